"""The command `audit`: how far the measures of a run move when something changes that should not matter."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.text import Text

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import check_source, training_set_size
from infomcr_cli.engine.audit_jobs import audit_sweeps, train_and_measure
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import measured_run
from infomcr_cli.measures.base import check_measures
from infomcr_cli.runs import RunDirectory, load_checkpoint

if TYPE_CHECKING:
    from infomcr_cli.measures.value import MeasureValue
    from infomcr_cli.report.audit import Audit, Values
    from infomcr_cli.report.evaluated_run import EvaluatedRun


@dataclass(frozen=True)
class AuditRequest:
    """What the command line asks for.

    Args:
        run:         a run directory.
        overrides:   of measures, and of settings that do not change the weights.
        against:     runs whose measures give the spread between minima; empty: none.
        rescalings:  how often layers are rescaled.
        factor:      largest factor of a rescaling.
        seeds:       further seeds that are trained; 0: none.
        orders:      further orders of batches that are trained; 0: none.
        more_epochs: numbers of further epochs, each trained in a run of its own.
        checkpoint:  "last", "best" or the name of one; runs that are trained anew are measured at their last.
        config_dir:  a folder of configuration that comes first.
    """

    run: str
    overrides: Sequence[str] = ()
    against: Sequence[str] = ()
    rescalings: int = 4
    factor: float = 3.0
    seeds: int = 0
    orders: int = 0
    more_epochs: Sequence[int] = ()
    checkpoint: str = "last"
    config_dir: Path | None = None


@dataclass(frozen=True)
class AuditResult:
    """The result of `infomcr audit`."""

    audit: Audit
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        return self.audit.model_dump(mode="json")

    def renderables(self, width: int) -> Iterable[RenderableType]:
        """Return the table, what was changed, and the files."""
        from infomcr_cli.report.audit import audit_table
        from infomcr_cli.report.terminal import text_tables

        written = [f"Written: {', '.join(self.audit.files)}"] if self.audit.files else []
        return [*text_tables(audit_table(self.audit), width), *map(Text, [*self.audit.notes, *written])]


def audit(request: AuditRequest, console: Console) -> AuditResult:
    """Change a run in ways that should not matter, measure it each time, and write audit.json and its plot.

    Raises:
        InputError: the run, the comparison or an override cannot be used; nothing was trained or measured then.
    """
    _check(request)
    run = RunDirectory.open(request.run)
    load_checkpoint(run, request.checkpoint)  # raises if it cannot be measured, before TensorFlow is imported
    config = measured_run(run, request.overrides, request.config_dir, done="audited")
    check_source(config.data)
    check_measures(config.measure, training_set_size(config.data))
    minima = _minima(request.against)
    sweeps = audit_sweeps(
        run,
        config,
        seeds=request.seeds,
        orders=request.orders,
        more_epochs=request.more_epochs,
        overrides=request.overrides,
        config_dir=request.config_dir,
    )
    if sweeps:
        _check_rescaling(run, config, request)
    changes = {kind: {"overrides": overrides} for kind, overrides in sweeps.items()}
    trained = {kind: train_and_measure(overrides, console, request.config_dir) for kind, overrides in sweeps.items()}
    original, rescaled, description = _rescaled(run, config, request, console)
    notes = [line for _, lines in trained.values() for line in lines]
    record = _record(
        request,
        run,
        original,
        {**rescaled, **{kind: values for kind, (values, _) in trained.items()}},
        {**description, **changes},
        minima,
        notes,
    )
    return AuditResult(record, 1 if notes else 0)


def _check(request: AuditRequest) -> None:
    if not (request.rescalings or request.seeds or request.orders or request.more_epochs):
        raise InputError(
            "an audit must make at least one change", received="--rescalings 0", advice="Try --rescalings 4."
        )
    if not 1 < request.factor < math.inf:
        raise InputError("--factor must be above 1 and finite", received=str(request.factor))


def _check_rescaling(run: RunDirectory, config: RunConfig, request: AuditRequest) -> None:
    """Raise InputError if the run itself cannot be measured or rescaled: training may take hours."""
    from infomcr_cli.measures.rescaled_evaluation import check_rescaling

    with redirect_stdout(sys.stderr):  # a network of the user's own may print
        check_rescaling(run, config, request.checkpoint, draws=request.rescalings)


def _minima(against: Sequence[str]) -> list[EvaluatedRun]:
    """Return the runs that the spread between minima comes from: evaluated, and not above their target."""
    if not against:
        return []
    from infomcr_cli.report.evaluated_run import EvaluatedRun
    from infomcr_cli.report.gather import gather

    runs = gather(against).runs
    return [run for run in runs if isinstance(run, EvaluatedRun) and not run.missed_target]


def _rescaled(
    run: RunDirectory, config: RunConfig, request: AuditRequest, console: Console
) -> tuple[Values, dict[str, list[Values]], dict[str, Any]]:
    """Return the measures of the run as it is, those after each rescaling, and what was rescaled."""
    from infomcr_cli.measures.rescaled_evaluation import measure_rescaled

    with redirect_stdout(sys.stderr):  # a network of the user's own may print
        found = measure_rescaled(
            run, config, request.checkpoint, console, draws=request.rescalings, largest=request.factor
        )
    original = _values(found.original)
    if not request.rescalings:
        return original, {}, {}
    description = {"factor": request.factor, "places": list(found.places), "logits_change": found.logits_change}
    return original, {"rescaling": [_values(one) for one in found.rescaled]}, {"rescaling": description}


def _values(found: Mapping[str, MeasureValue]) -> Values:
    from infomcr_cli.report.audit import MeasuredValue

    return {
        # Through JSON, as measures.json gives the conventions of the other runs: tuples become lists.
        name: MeasuredValue(one.value, one.unit, one.direction, json.loads(json.dumps(one.extras.get("convention"))))
        for name, one in found.items()
    }


def _record(
    request: AuditRequest,
    run: RunDirectory,
    original: Values,
    changed: Mapping[str, Sequence[Values]],
    changes: Mapping[str, Any],
    minima: Sequence[EvaluatedRun],
    notes: Sequence[str],
) -> Audit:
    """Write audit.json and its plot, and return the record."""
    from infomcr_cli.report.audit import CHANGES, FILE, Audit, audited_measures, write_audit
    from infomcr_cli.report.plots.audit import save_audit_plot

    kinds = [kind for kind in CHANGES if kind in changed]
    few = [f"The spread between minima comes from {len(minima)} runs only."] if 0 < len(minima) < 5 else []
    none = [] if minima else ["Without --against there is no spread between minima to compare with."]
    record = Audit(
        run=run.name,
        checkpoint=request.checkpoint,
        changes={kind: {"count": len(changed[kind]), **changes[kind]} for kind in kinds},
        against=[one.name for one in minima],
        measures=audited_measures(original, {kind: changed[kind] for kind in kinds}, minima),
        notes=[*notes, *few, *none],
    )
    files = [str(run.path / FILE), *map(str, save_audit_plot(record, run.plots))]
    record = record.model_copy(update={"files": files})
    write_audit(run, record)
    return record
