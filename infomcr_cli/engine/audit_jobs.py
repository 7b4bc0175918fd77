"""Plan and train the runs of an audit: the audited run again, with one thing changed each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from infomcr_cli.config.allowed_builders import is_trusted
from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.flat_settings import flatten
from infomcr_cli.config.overrides import parse, spelled
from infomcr_cli.config.schema.model import BuilderConfig
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.settings import spelled_value
from infomcr_cli.engine.directory import locked_directory
from infomcr_cli.engine.preflight import check_content, check_names
from infomcr_cli.engine.run_sweep import run_sweep
from infomcr_cli.engine.sweep_plan import plan_sweep
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import differences
from infomcr_cli.experiment.resolve_settings import resolved
from infomcr_cli.models.custom import check_trusted
from infomcr_cli.runs import RunDirectory, is_run
from infomcr_cli.runs.directory import AUDITS
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.runs.metrics import MetricsLog

if TYPE_CHECKING:
    from infomcr_cli.report.audit import Values

_MADE_OF = ("start", "data", "model", "augment", "optimizer", "schedule", "reg", "seed", "precision", "experiment")
# Settings of their own for a run that continues the audited one.
_WAY_ON = ("schedule", "start", "optimizer.learning_rate", "reg.phases")


def audit_sweeps(
    run: RunDirectory,
    config: RunConfig,
    *,
    seeds: int,
    orders: int,
    more_epochs: Sequence[int],
    overrides: Sequence[str] = (),
    config_dir: Path | None = None,
) -> dict[str, list[str]]:
    """Return the overrides of a sweep for each kind of change that needs training.

    Another order of batches comes with other draws of the augmentation. A run that is trained further starts from the
    last checkpoint of the audited run. Its learning rate is constant, the last one above 0, and it has the regularizer
    if the last phase had it.

    Args:
        config:    of the run, with the measures that are taken.
        overrides: given by the user; those of the engine and of the device hold for what is trained.

    Raises:
        InputError: the run cannot be trained again from what it recorded.
    """
    if not (seeds or orders or more_epochs):
        return {}
    if run.path.parent.name == AUDITS and is_run(run.path.parent.parent):
        raise InputError(
            "a run that an audit trained cannot be trained again by another audit: its folder would be too deep",
            received=str(run.path),
            advice="Audit it by rescaling only, or copy it out of the audited run.",
        )
    recorded = _recorded(run, config, config_dir)
    found: dict[str, list[str]] = {}
    if more_epochs:
        found["more_epochs"] = [*_without(recorded, _WAY_ON), *_going_on(run, config, more_epochs)]
    if seeds:
        values = _others(config.seed, seeds)
        found["seed"] = [*_without(recorded, ("seed",)), f"seed={values}"]
    if orders:
        first = config.seed if config.data.order_seed is None else config.data.order_seed
        found["order"] = [*_without(recorded, ("data.order_seed",)), f"data.order_seed={_others(first, orders)}"]
    common = [
        spelled("runs_dir", str(run.path / AUDITS)),
        "tracking=off",
        "sweep.compare=false",
        *measure_overrides(config),
        *(text for text in overrides if _group(text) in ("engine", "device")),
    ]
    return {kind: [*own, f"sweep.name={kind}", *common] for kind, own in found.items()}


def train_and_measure(
    overrides: Sequence[str], console: Console, config_dir: Path | None
) -> tuple[list[Values], list[str]]:
    """Train and measure what is not done yet; return the measures of each run, and a line on each that failed.

    Args:
        overrides: of a sweep, as `audit_sweeps` gives them.

    Raises:
        InputError: the sweep cannot be made, or its engine is Slurm; nothing has been trained.
    """
    from infomcr_cli.report.audit import MeasuredValue
    from infomcr_cli.report.evaluated_run import EvaluatedRun, read_compared_run

    plan = plan_sweep(overrides, config_dir, retry_failed=False)
    if plan.config.engine.name == "slurm":
        raise InputError(
            "an audit trains inside the run directory, where Slurm's files must not be",
            received="engine=slurm",
            advice="Use engine=local: infomcr audit RUN engine=local.",
        )
    check_names(plan.due, evaluate=plan.settings.evaluate)
    check_content(plan.due, evaluate=plan.settings.evaluate)
    with locked_directory(plan.runs_dir, plan.name) as folder:
        # The advice would be about MLflow, which is off here.
        outcome = run_sweep(plan, folder, console, fail_fast=False, retry_advice="")
    if outcome.number is not None:
        raise SystemExit(128 + outcome.number)
    values: list[Values] = []
    problems = []
    for job in outcome.jobs:
        path = job.to_dict()["run"]
        run = read_compared_run(RunDirectory.open(path)) if path is not None else None
        if isinstance(run, EvaluatedRun):
            values.append(
                {
                    name: MeasuredValue(one.value, one.unit, one.direction, one.convention)
                    for name, one in run.evaluation.measures.items()
                }
            )
        else:
            problems.append(f"{job.job.label or job.job.id} has no measures: {job.reason or job.state}")
    return values, problems


def measure_overrides(config: RunConfig) -> list[str]:
    """Return the overrides that give a new run the measures of a configuration, with all their settings."""
    return [
        f"measure.{name}={spelled_value(value)}"
        for name, value in flatten(config.measure.model_dump(mode="json")).items()
    ]


def _recorded(run: RunDirectory, config: RunConfig, config_dir: Path | None) -> list[str]:
    """Return the overrides of the run, after checking that they reproduce it.

    They may come from anyone, so a function that they name is called only if the user has named it.
    """
    if isinstance(config.model, BuilderConfig):
        check_trusted(config.model.builder, trusted=is_trusted(config))
    given = parse_yaml(run.read("overrides.yaml"), f"overrides.yaml of {run.name}")
    texts = [str(text) for text in given] if isinstance(given, list) else []
    kept = [text for text in texts if _group(text) in _MADE_OF]
    changed = differences(config, resolved(compose_run(kept, config_dir)))
    if changed:
        raise InputError(
            "to retrain a run, its overrides.yaml and the configuration must reproduce its settings",
            received=", ".join(f"{key}: {old} → {new}" for key, (old, new) in changed.items()),
            advice="Audit it by rescaling only, or give your own configuration with --config-dir.",
        )
    return kept


def _group(text: str) -> str:
    (override,) = parse([text])
    return str(override.key_or_group).partition(".")[0]


def _without(texts: Sequence[str], names: Sequence[str]) -> list[str]:
    """Leave out the overrides of some settings or groups."""
    kept = []
    for text in texts:
        (override,) = parse([text])
        key = override.key_or_group
        if not any(key == name or key.startswith(f"{name}.") for name in names):
            kept.append(text)
    return kept


def _going_on(run: RunDirectory, config: RunConfig, more_epochs: Sequence[int]) -> Iterator[str]:
    rates = [line.values.get("learning_rate", 0.0) for line in MetricsLog(run).read()]
    positive = [rate for rate in rates if rate > 0]  # a cosine ends at 0, where nothing would change
    if not positive:
        raise InputError("to train a run further, it must have logged a learning rate", received=run.name)
    yield "schedule=constant"
    yield f"schedule.epochs={','.join(map(str, more_epochs))}"
    yield f"optimizer.learning_rate={positive[-1]:.7g}"
    yield spelled("start", str(run.path))
    phases = getattr(config.reg, "phases", None)
    if phases is not None:
        yield f"reg.phases='{str(phases)[-1] * 3}'"  # a digit for each of three phases


def _others(first: int, count: int) -> str:
    return ",".join(str((first + offset) % 2**31) for offset in range(1, count + 1))
