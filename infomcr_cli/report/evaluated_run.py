"""A run in a comparison: its settings, and what `infomcr eval` recorded. No file is trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from infomcr_cli.config.compute import passes_until
from infomcr_cli.config.schema.fields import Count
from infomcr_cli.config.schema.regularizer import RegConfig
from infomcr_cli.config.schema.run import ScheduleConfig
from infomcr_cli.console.redaction import redactor
from infomcr_cli.errors import InputError
from infomcr_cli.report.axes import flatten, weight_settings
from infomcr_cli.report.columns import TRAIN_LOSS
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.runs.measures_file import Evaluation, Gap, MeasureRecord, MeasuresFile, read_measures_file
from infomcr_cli.runs.status import read_status

UNIT = "epochs of plain SGD"  # of compute
GAPS = {"error": "error gap", "loss": "loss gap", "test_error": "test error"}


@dataclass(frozen=True)
class Compute:
    """Forward and backward passes of the training of a run, up to a checkpoint.

    Attributes:
        epochs: in epochs of plain SGD, which passes once over each batch.
        images: in images, each counted as often as it passed.
    """

    epochs: float
    images: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"value": self.epochs, "unit": UNIT, "image_passes": self.images}


@dataclass(frozen=True)
class ComparedRun:
    """A run in a comparison, evaluated or not.

    Attributes:
        name:        safe to print, unique in the comparison.
        settings:    flat settings that make the weights.
        config:      all flat settings.
        evaluations: of every checkpoint that was evaluated, by its name in measures.json.
    """

    name: str
    directory: RunDirectory
    state: str
    settings: Mapping[str, Any]
    config: Mapping[str, Any]
    evaluations: Mapping[str, Evaluation]

    @property
    def seed(self) -> Any:
        """The seed as the configuration states it."""
        return self.settings.get("seed")


@dataclass(frozen=True)
class EvaluatedRun(ComparedRun):
    """A run with an evaluation of the checkpoint that is compared.

    Attributes:
        missed_target: the training-loss target was not reached.
        high_loss:     the training loss is above what the user accepts.
        compute:       what training up to that checkpoint cost; None if its record does not say.
    """

    evaluation: Evaluation
    missed_target: bool = False
    high_loss: bool = False
    compute: Compute | None = None

    @property
    def is_ranked(self) -> bool:
        """Whether the run enters the ranking."""
        return not self.missed_target and not self.high_loss

    def gap(self, name: str) -> float | None:
        """Return the gap "error", "loss" or "test_error"."""
        if name == "test_error":
            accuracy = self.evaluation.test.accuracy
            return None if accuracy is None else 1 - accuracy
        value: float | None = getattr(self.evaluation.gap, name)
        return value

    def gap_std_error(self, name: str) -> float | None:
        """Return the binomial standard error of the gap "error" or "test_error"; None if it is not known."""
        scores = [(self.evaluation.test.accuracy, self.evaluation.n_test)]
        if name == "error":
            scores.append((self.evaluation.train.accuracy, self.evaluation.n_train))
        variances = [share * (1 - share) / size for share, size in scores if share is not None and size]
        return math.sqrt(sum(variances)) if name != "loss" and len(variances) == len(scores) else None

    def shown_gap(self, name: str) -> float | None:
        """Return a gap in the unit of its label, see `gap_label`; None if the run has none."""
        gap = self.gap(name)
        return gap if gap is None or name == "loss" else 100 * gap

    def shown_gap_error(self, name: str) -> float | None:
        """Return the standard error of a gap in the unit of its label; None if it is not known."""
        error = self.gap_std_error(name)
        return error if error is None or name == "loss" else 100 * error

    def value(self, measure: str) -> float | None:
        """Return the value of a measure; None if it was not measured or has no value."""
        found = self.evaluation.measures.get(measure)
        return None if found is None else found.value

    def std_error(self, measure: str) -> float | None:
        """Return the standard error of a measure; None if it was not estimated."""
        found = self.evaluation.measures.get(measure)
        return None if found is None else found.std_error


def read_compared_run(
    directory: RunDirectory, checkpoint: str = "last", file: MeasuresFile | None = None
) -> ComparedRun:
    """Return a run, an `EvaluatedRun` if the checkpoint was evaluated.

    Args:
        file: what measures.json holds, if it is known already.

    Raises:
        InputError: a file is not one that this program writes; the error names it.
    """
    what = f"config.yaml of {directory.name}"
    config = parse_yaml(directory.read_config(), what)
    if not isinstance(config, dict):
        raise InputError(f"{what} must be a mapping of settings")
    flat = flatten(config)
    file = read_measures_file(directory) if file is None else file
    status = read_status(directory)
    hide = redactor()
    shown = {key: hide(value) if isinstance(value, str) else value for key, value in flat.items()}
    common = (directory.name, directory, status.state.value, weight_settings(flat), shown, file.checkpoints)
    evaluation = file.checkpoints.get(checkpoint)
    if evaluation is None or is_outdated(evaluation, checkpoint, status.step):
        return ComparedRun(*common)
    recorded = (evaluation.reached_target, file.reached_target, status.reached_target)
    reached = next((one for one in recorded if one is not None), None)
    target = flat.get("schedule.stop_at_train_loss")
    return EvaluatedRun(
        *common,
        evaluation=_completed(evaluation),
        missed_target=_is_above(evaluation.train.loss, target) if reached is None else not reached,
        compute=compute_until(config, step=evaluation.step, n_train=evaluation.n_train),
    )


def is_outdated(evaluation: Evaluation, checkpoint: str, step: int) -> bool:
    """Return whether an evaluation of "last" was made before the run's present step."""
    return checkpoint == "last" and evaluation.step is not None and evaluation.step < step


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    batch_size: Count


class _Settings(BaseModel):
    """The part of config.yaml that decides what training costs."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    data: _Data
    schedule: ScheduleConfig
    reg: RegConfig


def compute_until(config: Mapping[str, Any], *, step: int | None, n_train: int | None) -> Compute | None:
    """Return what a run cost up to a step; None if its record is incomplete or contradicts itself.

    Args:
        config:  the content of config.yaml, which may be malformed.
        step:    number of training steps.
        n_train: number of training images; the incomplete last batch of an epoch is dropped.
    """
    try:
        # through JSON, because strict validation takes a list for a tuple only there
        settings = _Settings.model_validate_json(
            json.dumps({name: config.get(name) for name in _Settings.model_fields})
        )
    except (TypeError, ValueError, RecursionError):
        return None
    steps_per_epoch = (n_train or 0) // settings.data.batch_size
    steps = settings.schedule.epochs * steps_per_epoch
    if step is None or steps == 0 or not 0 <= step <= steps:
        return None
    passes = passes_until(step, steps, settings.reg, settings.schedule)
    return Compute(passes / steps_per_epoch, passes * settings.data.batch_size)


def gap_label(gap: str) -> str:
    """Return the label of a gap's axis, with the unit: errors in percent, losses in nats.

    Examples:
        >>> gap_label("error"), gap_label("loss")
        ('error gap, %', 'loss gap, nats')
    """
    return f"{GAPS[gap]}, {'nats' if gap == 'loss' else '%'}"


def gaps_of(runs: Sequence[EvaluatedRun], gap: str) -> np.ndarray:
    """Return the gap of each run, NaN if it has none, float64 [n]."""
    return np.array([run.gap(gap) for run in runs], dtype=np.float64)  # None becomes NaN


def values_of(runs: Sequence[EvaluatedRun], measure: str) -> np.ndarray:
    """Return a measure of each run, NaN if it has none, float64 [n]."""
    return np.array([run.value(measure) for run in runs], dtype=np.float64)


def measure_names(runs: Sequence[EvaluatedRun]) -> list[str]:
    """Return the names of all measures that any run has: gamma, then the others in order of appearance."""
    names = dict.fromkeys(name for run in runs for name in run.evaluation.measures)
    return sorted(names, key=lambda name: name != "gamma")


def _completed(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation with the gaps that follow from its scores, and the training loss as a measure."""
    train, test, gap = evaluation.train, evaluation.test, evaluation.gap
    gap = Gap(
        error=_difference(train.accuracy, test.accuracy) if gap.error is None else gap.error,
        loss=_difference(test.loss, train.loss) if gap.loss is None else gap.loss,
    )
    measures = {**evaluation.measures}
    if not {TRAIN_LOSS, "training_loss"} & measures.keys():
        convention = {"batch_norm": "inference"}
        measures[TRAIN_LOSS] = MeasureRecord(value=train.loss, unit="nats", direction="lower", convention=convention)
    return evaluation.model_copy(update={"gap": gap, "measures": measures})


def _difference(one: float | None, other: float | None) -> float | None:
    if one is None or other is None or not math.isfinite(one - other):
        return None
    return one - other


def _is_above(loss: float | None, target: Any) -> bool:
    """Return whether a training loss is above a target; False if either is not a number."""
    if loss is None or isinstance(target, bool) or not isinstance(target, int | float):
        return False
    return loss > target
