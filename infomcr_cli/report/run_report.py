"""All that is known about a run, read from its directory; what cannot be read becomes a sentence, not an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, TypeVar

from infomcr_cli.console.redaction import redactor
from infomcr_cli.console.suggestions import shortest_path, suggested_command
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.report.axes import json_value
from infomcr_cli.report.evaluated_run import ComparedRun, EvaluatedRun, is_outdated, read_compared_run
from infomcr_cli.report.plots.curves import GAMMA, trajectory
from infomcr_cli.report.plots.one_run import GammaAtStep
from infomcr_cli.report.run_pictures import FoundPicture, found_pictures
from infomcr_cli.runs import CheckpointInfo, MetricsLine, MetricsLog, RunDirectory, State, Status, list_checkpoints
from infomcr_cli.runs.annotations import Annotations, read_annotations
from infomcr_cli.runs.io.safe_documents import parse_json, parse_yaml
from infomcr_cli.runs.measures_file import Evaluation, MeasuresFile, read_measures_file
from infomcr_cli.runs.status import read_status

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class RunReport:
    """A run with its record.

    Attributes:
        compared:    its settings and evaluations; an `EvaluatedRun` if there is an evaluation.
        checkpoint:  the name of that evaluation in measures.json; None: there is none.
        overrides:   what its command line changed.
        environment: what environment.json holds; empty: nothing is known.
        metrics:     lines of metrics.jsonl.
        checkpoints: that can still be measured.
        pictures:    that commands have left in its directory.
        missing:     sentences on what is missing or cannot be read.
        files:       that were written.
        mlflow_run_id: of the run in MLflow, if the report is there too.
    """

    exit_code: ClassVar[int] = 0

    run: RunDirectory
    status: Status
    compared: ComparedRun
    checkpoint: str | None
    overrides: Sequence[str]
    noted: Annotations
    environment: Mapping[str, Any]
    metrics: Sequence[MetricsLine]
    checkpoints: Sequence[CheckpointInfo]
    pictures: Sequence[FoundPicture]
    missing: Sequence[str]
    files: Sequence[str] = ()
    mlflow_run_id: str | None = None

    @property
    def evaluated(self) -> EvaluatedRun | None:
        """The run with its evaluation; None: it has none."""
        return self.compared if isinstance(self.compared, EvaluatedRun) else None

    @property
    def is_imported(self) -> bool:
        """Whether its network was trained elsewhere."""
        return any(name.startswith("imported.") for name in self.compared.config)

    @property
    def settings(self) -> dict[str, Any]:
        """The flat settings that make its weights, without secrets."""
        hide = redactor()
        return {name: hide(one) if isinstance(one, str) else one for name, one in self.compared.settings.items()}

    @property
    def gamma_along_training(self) -> tuple[GammaAtStep, ...]:
        """Gamma of the checkpoints that were evaluated in one convention, by step."""
        points = trajectory(self.evaluated, GAMMA).points if self.evaluated is not None else ()
        measured = [
            (one.step, one.measures[GAMMA]) for one in self.compared.evaluations.values() if GAMMA in one.measures
        ]
        errors = {(step, one.value): one.std_error for step, one in measured}
        return tuple(GammaAtStep(*point, errors.get(point)) for point in points)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `report --json`."""
        status = self.status
        return {
            "run": self.run.name,
            "path": printable(str(self.run.path), 4096),
            "state": str(status.state),
            "reason": status.reason,
            "started": status.started,
            "ended": status.ended,
            "epoch": status.epoch,
            "step": status.step,
            "imported": self.is_imported,
            "settings": json_value(self.settings),
            "overrides": list(self.overrides),
            "tags": dict(self.noted.tags),
            "note": self.noted.note or None,
            "evaluation": None if self.evaluated is None else _evaluation(self.checkpoint, self.evaluated.evaluation),
            "evaluations": [_evaluation(name, one) for name, one in self.compared.evaluations.items()],
            "gamma_along_training": [asdict(point) for point in self.gamma_along_training],
            "metrics": {"lines": len(self.metrics), "last": _last(self.metrics)},
            "checkpoints": [one.name for one in self.checkpoints],
            "pictures": [picture.to_dict() for picture in self.pictures],
            "environment": dict(self.environment),
            "missing": list(self.missing),
            "files": list(self.files),
            "mlflow_run_id": self.mlflow_run_id,
        }

    def renderables(self, width: int) -> list[str]:
        """Return the lines that a terminal shows."""
        lines = [f"{self.run.name}  {self.status.state}", *(f"  {sentence}" for sentence in self.missing)]
        lines += [f"Written: {printable(path, 4096)}" for path in self.files]
        return lines + ([f"In MLflow: report.html of run {self.mlflow_run_id}"] if self.mlflow_run_id else [])


@dataclass
class _Reader:
    """Reads the parts of a run; a part that cannot be read is replaced and named."""

    problems: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)

    def read(self, part: Callable[[], _Found], otherwise: _Found, what: str) -> _Found:
        try:
            return part()
        except FileNotFoundError:
            return otherwise
        except (InputError, OSError) as error:
            self.unread.add(what)
            self.problems.append(f"{what} cannot be read: {printable(str(error), 300)}")
            return otherwise


def read_report(run: RunDirectory) -> RunReport:
    """Return what the directory of a run holds.

    Raises:
        InputError: config.yaml or status.json cannot be read; without them nothing is known.
    """
    reader = _Reader()
    status = read_status(run)
    file = reader.read(lambda: read_measures_file(run), MeasuresFile(), "measures.json")
    checkpoint = _newest(file.checkpoints, status.step)
    compared = read_compared_run(run, checkpoint or "", file)
    none_logged: list[MetricsLine] = []
    nothing: Mapping[str, Any] = {}
    pictures, left_out = found_pictures(run)
    report = RunReport(
        run=run,
        status=status,
        compared=compared,
        checkpoint=checkpoint,
        overrides=reader.read(lambda: _overrides(run), [], "overrides.yaml"),
        noted=reader.read(lambda: read_annotations(run), Annotations(), "annotations.json"),
        environment=reader.read(lambda: _mapping(run, "environment.json"), nothing, "environment.json"),
        metrics=reader.read(lambda: MetricsLog(run).read(), none_logged, "metrics.jsonl"),
        checkpoints=list_checkpoints(run),
        pictures=pictures,
        missing=(),
    )
    return replace(report, missing=(*reader.problems, *_missing(report, reader.unread), *left_out))


def _newest(evaluations: Mapping[str, Evaluation], step: int) -> str | None:
    """Return the evaluation that a report shows: that of "last" if it is up to date, else that of the highest step."""
    last = evaluations.get("last")
    if last is not None and not is_outdated(last, "last", step):
        return "last"
    known = [name for name in evaluations if name != "last"]
    return max(known, key=lambda name: evaluations[name].step or 0, default=None)


def _missing(report: RunReport, unread: Collection[str]) -> list[str]:
    """Return a sentence on each thing that a reader would expect and that is missing.

    Args:
        unread: files that are there but could not be read.
    """
    found, path = [], shortest_path(report.run.path)
    if report.evaluated is None and "measures.json" not in unread:
        what = "The run was not evaluated, so there are no measures."
        if report.compared.evaluations:
            what = "Its evaluation is of an earlier step."
        how = f"`{suggested_command('eval', path)}` measures it."
        found.append(f"{what} {how if report.checkpoints else 'There is no checkpoint to measure.'}")
    step = None if report.evaluated is None else report.evaluated.evaluation.step
    if step is not None and step < report.status.step:
        found.append(f"The latest evaluation is of step {step}, but the run is at step {report.status.step}.")
    if report.is_imported:
        found.append("The network was imported, so its training is not recorded and there are no learning curves.")
    elif len(report.metrics) < 2 and "metrics.jsonl" not in unread:
        found.append("Fewer than two epochs were logged, so there are no learning curves.")
    if report.evaluated is not None and len(report.gamma_along_training) < 2 and len(report.checkpoints) > 1:
        command = suggested_command("eval", path, "--checkpoint", "all")
        found.append(f"Gamma along training needs two evaluated checkpoints: `{command}`")
    if not report.environment and "environment.json" not in unread:
        found.append("environment.json is missing, so versions and device are unknown.")
    return found


def _mapping(run: RunDirectory, name: str) -> Mapping[str, Any]:
    found = parse_json(run.read(name), f"{name} of {run.name}")
    return found if isinstance(found, dict) else {}


def _overrides(run: RunDirectory) -> list[str]:
    found = parse_yaml(run.read("overrides.yaml"), f"overrides.yaml of {run.name}")
    return [printable(one) for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _evaluation(name: str | None, one: Evaluation) -> dict[str, Any]:
    """Return an evaluation without the long lists that measures.json holds."""
    document = one.model_dump(include={"step", "epoch", "train", "test", "gap", "n_train", "n_test"})
    measures = {key: found.model_dump(include={"value", "std_error", "unit"}) for key, found in one.measures.items()}
    return {"checkpoint": name, **document, "measures": measures}


def _last(metrics: Sequence[MetricsLine]) -> dict[str, Any] | None:
    if not metrics:
        return None
    last = metrics[-1]
    values = {name: value if math.isfinite(value) else None for name, value in last.values.items()}
    return {"step": last.step, "epoch": last.epoch, **values}


def how_it_ended(report: RunReport) -> str:
    """Return how a run ended, in a sentence, and how to continue it."""
    status, path = report.status, shortest_path(report.run.path)
    again = f" `{suggested_command('train', '--resume', path)}` continues it." if report.checkpoints else ""
    reason = f": {printable(status.reason, 1000).rstrip('.')}" if status.reason else ""
    reached = {
        None: "",
        True: " It reached its target training loss.",
        False: " It did not reach its target training loss.",
    }
    finished = "" if report.is_imported else f"It finished.{reached[status.reached_target]}"
    words = {
        State.RUNNING: "It is still running; this page shows its state when the page was written.",
        State.FINISHED: finished,
        State.FAILED: f"It failed{reason}.",
        State.KILLED: f"It was stopped{reason}.{again}",
        State.LOST: f"Its process is gone{reason}.{again}",
    }
    return words.get(status.state, f"Its state is {status.state}.")
