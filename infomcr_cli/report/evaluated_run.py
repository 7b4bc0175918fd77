"""One run as the court sees it: its settings and what `infomcr eval` wrote down, read with distrust."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from infomcr_cli.console.redaction import redactor
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.report.axes import flatten, weight_makers
from infomcr_cli.report.compute import Compute, compute_until
from infomcr_cli.report.table_columns import TRAIN_LOSS
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import parse_json, parse_yaml
from infomcr_cli.runs.status import read_status

MAX_MEASURES = 1000


def _bounded(value: Any) -> Any:
    """Refuse an integer that no float can hold before it is turned into one."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**63:
        raise ValueError("a number beyond 64 bits")
    return value


def _text(value: Any) -> Any:
    return printable(value, 200) if isinstance(value, str) else value


Number = Annotated[float, BeforeValidator(_bounded), Field(strict=False)]
Name = Annotated[str, AfterValidator(lambda text: printable(text, 100))]
Text = Annotated[str, BeforeValidator(_text)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class Measured(_Record):
    """One measure of one checkpoint. `convention` is what two numbers must share to be ranked together."""

    value: Number | None = None
    std_error: Number | None = None
    unit: Text | None = None
    direction: Text | None = None
    convention: Any = None
    spectrum: list[Number] | None = None


class Score(_Record):
    """Loss (cross-entropy, nats) and accuracy in [0, 1] on one split."""

    loss: Number | None = None
    accuracy: Annotated[Number, Field(ge=0, le=1)] | None = None


class Gap(_Record):
    """Test less training, of error and of cross-entropy."""

    error: Number | None = None
    loss: Number | None = None


class Evaluation(_Record):
    """What measures.json holds for one checkpoint."""

    checkpoint: Text | None = None
    step: int | None = None
    epoch: int | None = None
    train: Score = Score()
    test: Score = Score()
    gap: Gap = Gap()
    n_train: Annotated[int, Field(ge=1, le=10**12)] | None = None
    n_test: Annotated[int, Field(ge=1, le=10**12)] | None = None
    reached_target: bool | None = None
    measures: Annotated[dict[Name, Measured], Field(max_length=MAX_MEASURES)] = {}


class _MeasuresFile(_Record):
    checkpoints: Annotated[dict[Name, Evaluation], Field(max_length=100_000)] = {}
    reached_target: bool | None = None


@dataclass(frozen=True)
class EvaluatedRun:
    """A run in a comparison.

    Attributes:
        name:         safe to print, unique in the comparison.
        settings:     flat settings that make the weights.
        config:       all flat settings.
        evaluation:   of the checkpoint that is compared; None where there is none.
        evaluations:  of every checkpoint that was evaluated, by its name in measures.json.
        missed:       the training-loss target was not reached.
        compute:      what training up to that checkpoint cost; None where its record does not say.
    """

    name: str
    run: RunDirectory
    state: str
    settings: Mapping[str, Any]
    config: Mapping[str, Any]
    evaluation: Evaluation | None
    evaluations: Mapping[str, Evaluation]
    missed: bool
    compute: Compute | None = None

    @property
    def seed(self) -> Any:
        """The seed as the configuration states it."""
        return self.settings.get("seed")


def read_evaluated_run(run: RunDirectory, checkpoint: str = "last") -> EvaluatedRun:
    """Return a run with the evaluation of one checkpoint.

    Raises:
        InputError: a file is not what this program writes; it is named.
    """
    what = f"config.yaml of {run.name}"
    config = parse_yaml(run.read_config(), what)
    if not isinstance(config, dict):
        raise InputError(f"{what} must be a mapping of settings")
    evaluations, told = _read_measures(run)
    status = read_status(run)
    evaluation = _current(evaluations.get(checkpoint), checkpoint, status.step)
    hide = redactor()
    flat = {key: hide(value) if isinstance(value, str) else value for key, value in flatten(config).items()}
    return EvaluatedRun(
        name=run.name,
        run=run,
        state=status.state.value,
        settings=weight_makers(config),
        config=flat,
        evaluation=None if evaluation is None else _completed(evaluation),
        evaluations=evaluations,
        missed=_missed(run, evaluation, told, flat.get("schedule.stop_at_train_loss")),
        compute=compute_until(config, step=evaluation.step, n_train=evaluation.n_train) if evaluation else None,
    )


def _current(evaluation: Evaluation | None, checkpoint: str, step: int) -> Evaluation | None:
    """An evaluation of "last" is none once the run has gone on from there."""
    if evaluation is None or checkpoint != "last" or evaluation.step is None:
        return evaluation
    return evaluation if evaluation.step >= step else None


def _read_measures(run: RunDirectory) -> tuple[dict[str, Evaluation], bool | None]:
    what = f"measures.json of {run.name}"
    try:
        document = parse_json(run.read("measures.json"), what)
    except FileNotFoundError:
        return {}, None
    try:
        file = _MeasuresFile.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = printable(".".join(str(part) for part in first["loc"]))
        raise InputError(f"{what} must be as `infomcr eval` writes it: {where}: {printable(first['msg'])}") from None
    return dict(file.checkpoints), file.reached_target


def _completed(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation with the gaps that follow from its scores, and the training loss as a measure."""
    train, test, gap = evaluation.train, evaluation.test, evaluation.gap
    gap = Gap(
        error=_difference(train.accuracy, test.accuracy) if gap.error is None else gap.error,
        loss=_difference(test.loss, train.loss) if gap.loss is None else gap.loss,
    )
    rival = Measured(value=train.loss, unit="nats", direction="lower", convention={"batch_norm": "inference"})
    measures = {**evaluation.measures}
    if not {TRAIN_LOSS, "training_loss"} & measures.keys():
        measures[TRAIN_LOSS] = rival
    return evaluation.model_copy(update={"gap": gap, "measures": measures})


def _difference(one: float | None, other: float | None) -> float | None:
    if one is None or other is None or not math.isfinite(one - other):
        return None
    return one - other


def _missed(run: RunDirectory, evaluation: Evaluation | None, told: bool | None, target: Any) -> bool:
    """Return whether a run has a training-loss target and did not reach it; a record of it decides, then the loss."""
    status = parse_json(run.read("status.json"), f"status.json of {run.name}")
    for reached in (evaluation.reached_target if evaluation else None, told, status.get("reached_target")):
        if isinstance(reached, bool):
            return not reached
    loss = evaluation.train.loss if evaluation else None
    is_target = isinstance(target, int | float) and not isinstance(target, bool)
    return bool(is_target and loss is not None and loss > target)


def convention_text(convention: Any) -> str:
    """Return a convention as canonical text, by which two are compared."""
    return json.dumps(convention, sort_keys=True, default=str)
