"""One run as the court sees it: its settings and what `infomcr eval` wrote down, read with distrust."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infomcr_cli.console.redaction import redactor
from infomcr_cli.errors import InputError
from infomcr_cli.report.axes import flatten, weight_makers
from infomcr_cli.report.compute import Compute, compute_until
from infomcr_cli.report.table_columns import TRAIN_LOSS
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import parse_json, parse_yaml
from infomcr_cli.runs.measures_file import Evaluation, Gap, MeasureRecord, read_measures_file
from infomcr_cli.runs.status import read_status


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
    file = read_measures_file(run)
    evaluations, told = dict(file.checkpoints), file.reached_target
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


def _completed(evaluation: Evaluation) -> Evaluation:
    """Return an evaluation with the gaps that follow from its scores, and the training loss as a measure."""
    train, test, gap = evaluation.train, evaluation.test, evaluation.gap
    gap = Gap(
        error=_difference(train.accuracy, test.accuracy) if gap.error is None else gap.error,
        loss=_difference(test.loss, train.loss) if gap.loss is None else gap.loss,
    )
    train_loss = MeasureRecord(value=train.loss, unit="nats", direction="lower", convention={"batch_norm": "inference"})
    measures = {**evaluation.measures}
    if not {TRAIN_LOSS, "training_loss"} & measures.keys():
        measures[TRAIN_LOSS] = train_loss
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
