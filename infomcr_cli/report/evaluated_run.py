"""A run in a comparison: its settings, and what `infomcr eval` recorded. No file is trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infomcr_cli.console.redaction import redactor
from infomcr_cli.errors import InputError
from infomcr_cli.judging.result import DIRECTIONS
from infomcr_cli.report.columns import TRAIN_LOSS
from infomcr_cli.report.settings import Compute, compute_until, flatten, weight_settings
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.runs.measures_file import Evaluation, Gap, MeasureRecord, MeasuresFile, read_measures_file
from infomcr_cli.runs.status import read_status


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


def direction_of(runs: Sequence[EvaluatedRun], measure: str) -> str | None:
    """Return "lower" or "higher" as the first run that records a direction says."""
    found = (run.evaluation.measures[measure].direction for run in runs if measure in run.evaluation.measures)
    return next((direction for direction in found if direction in DIRECTIONS), None)


def unit_of(runs: Sequence[EvaluatedRun], measure: str) -> str | None:
    """Return the unit of a measure as the first run that records one says."""
    found = (run.evaluation.measures[measure].unit for run in runs if measure in run.evaluation.measures)
    return next((unit for unit in found if unit), None)


def convention_text(convention: Any) -> str:
    """Return a convention as canonical text, by which two conventions are compared."""
    return json.dumps(convention, sort_keys=True, default=str)


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
