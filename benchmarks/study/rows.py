"""From the directory of a finished run to a row of a table."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.slices import Family, Levels
from infomcr_cli.report.columns import DIRECTION, RANKED, STD_ERROR, TRAIN_LOSS
from infomcr_cli.report.evaluated_run import EvaluatedRun, read_compared_run
from infomcr_cli.runs import RunDirectory, State, read_status
from infomcr_cli.runs.identity import HEAD
from infomcr_cli.runs.metrics import MetricsLine, MetricsLog

DIGITS = 9  # significant ones, of every number in a table
CONVENTIONS = "conventions"
FURTHER = f"{CONVENTIONS}_further"  # filled by the second evaluation, whatever it found
CLEAN = "clean_train/loss"
_ACCURACIES = {"validation": "validation/accuracy", "test": "test/accuracy"}
LEVELS = (0.1, 0.03, 0.01)  # of the clean training loss, at which the pilot counts epochs


def row_of(family: Family, levels: Levels, path: Path) -> dict[str, str] | None:
    """Return the row of a run; None if it is not finished, or not measured yet if it is to be.

    A run that failed has a row without scores, so that it is counted and not tried again.
    """
    directory = RunDirectory.open(path)
    status = read_status(directory)
    head = {
        "id": f"{family.name}-{status.identity[:HEAD]}",
        "state": str(status.state),
        **{name: levels[name] for name in family.keys},
        "overrides": " ".join(family.overrides(levels)),
    }
    if status.state is State.FAILED:
        return {**head, RANKED: "False"}
    if not family.measured:
        return {**head, **_history(directory)} if status.state is State.FINISHED else None
    run = read_compared_run(directory)
    if status.state is not State.FINISHED or not isinstance(run, EvaluatedRun):
        return None
    gamma = run.evaluation.measures.get("gamma")
    if gamma is not None and (gamma.convention or {}).get("logit_scale") is not None:
        sys.exit(f"{path} holds only gamma of normalised logits. Measure it again: infomcr eval {path}")
    answers = dict(_answers(run)) if family.answers else {}
    return {**head, **_scores(run), **_seconds(directory), **dict(_measures(run)), **answers}


def is_whole(family: Family, levels: Levels, row: Mapping[str, str] | None) -> bool:
    """Return whether a job has a row, and if it finished its second evaluation too."""
    if row is None:
        return False
    return row.get("state") != "FINISHED" or not family.further(levels) or bool(row.get(FURTHER))


def further_cells(document: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, str]:
    """Return the cells of measures from one run of the document of `infomcr eval --json`.

    Args:
        renamed: measure → its name in the table.
    """
    found = {renamed.get(name, name): one for name, one in document["measures"].items()}
    cells = {name: cell for measure, one in found.items() for name, cell in _cells(measure, one)}
    return {FURTHER: key_of(conventions_in(document)), **cells}


def conventions_in(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return measure → its convention from one run of the document of `infomcr eval --json`."""
    found = {name: one.get("convention") for name, one in document["measures"].items()}
    return {name: convention for name, convention in sorted(found.items()) if convention}


def conventions_of(path: Path) -> dict[str, Any]:
    """Return measure → its convention as a run's measures.json records it."""
    run = read_compared_run(RunDirectory.open(path))
    return _conventions(run) if isinstance(run, EvaluatedRun) else {}


def key_of(conventions: Mapping[str, Any]) -> str:
    """Return the name of a set of conventions: equal sets have equal names."""
    return "c-" + hashlib.sha256(json.dumps(conventions, sort_keys=True).encode()).hexdigest()[:8]


def number(value: float | None) -> str:
    """Return a number as a table holds it, empty for none."""
    return "" if value is None else f"{value:.{DIGITS}g}"


def _conventions(run: EvaluatedRun) -> dict[str, Any]:
    found = {name: one.convention for name, one in run.evaluation.measures.items()}
    return {name: convention for name, convention in sorted(found.items()) if convention}


def _scores(run: EvaluatedRun) -> dict[str, str]:
    train, test = run.evaluation.train, run.evaluation.test
    return {
        RANKED: str(run.is_ranked),
        TRAIN_LOSS: number(train.loss),
        f"{TRAIN_LOSS}{DIRECTION}": "lower",
        "train_accuracy": number(train.accuracy),
        "test_loss": number(test.loss),
        "test_accuracy": number(test.accuracy),
        "n_test": str(run.evaluation.n_test or ""),
        "gap_error": number(run.gap("error")),
        "gap_loss": number(run.gap("loss")),
        "test_error": number(run.gap("test_error")),
        f"gap_error{STD_ERROR}": number(run.gap_std_error("error")),
        f"test_error{STD_ERROR}": number(run.gap_std_error("test_error")),
        "compute": number(run.compute.epochs if run.compute else None),
        CONVENTIONS: key_of(_conventions(run)),
    }


def _history(directory: RunDirectory) -> dict[str, str]:
    """Return what training recorded: epochs until each milestone of the clean training loss, and the last scores."""
    lines = MetricsLog(directory).read()
    losses = {line.epoch: line.values[CLEAN] for line in lines if CLEAN in line.values}
    reached = {f"epochs to {level:g}": [epoch for epoch, loss in losses.items() if loss <= level] for level in LEVELS}
    last = lines[-1].values
    return {
        RANKED: str(read_status(directory).reached_target is not False),
        **{name: str(epochs[0]) if epochs else "" for name, epochs in reached.items()},
        TRAIN_LOSS: number(losses.get(lines[-1].epoch)),
        "augmented_train_loss": number(last.get("train/loss")),
        **{f"{split}_error": number(1 - last[name]) for split, name in _ACCURACIES.items() if name in last},
        "test_loss": number(last.get("test/loss")),
        "epochs": str(lines[-1].epoch),
        "compute_seconds": f"{_training_seconds(lines):.1f}",
    }


def _training_seconds(lines: Sequence[MetricsLine]) -> float:
    return sum(line.timing.get(name, 0.0) for line in lines for name in ("train_seconds", "eval_seconds"))


def _seconds(directory: RunDirectory) -> dict[str, str]:
    """Return the seconds on the clock that training took, and from its end to the record of the measures."""
    lines = MetricsLog(directory).read()
    ended = read_status(directory).ended
    measured = (directory.path / "measures.json").stat().st_mtime
    return {
        "compute_seconds": f"{_training_seconds(lines):.1f}",
        "compute_seconds_measures": "" if ended is None else f"{max(0.0, measured - ended):.1f}",
    }


def _measures(run: EvaluatedRun) -> Iterator[tuple[str, str]]:
    for name, one in run.evaluation.measures.items():
        if name != TRAIN_LOSS:
            yield from _cells(name, one.model_dump())


def _cells(name: str, measure: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a measure, its standard error if it has one, and its direction."""
    yield name, number(measure.get("value"))
    if measure.get("std_error") is not None:
        yield f"{name}{STD_ERROR}", number(measure["std_error"])
    yield f"{name}{DIRECTION}", measure.get("direction") or ""


def _answers(run: EvaluatedRun) -> Iterator[tuple[str, str]]:
    """Yield which test images are classified correctly, as measures.json holds it: bits in base64."""
    if (answers := run.evaluation.test_answers) is not None:
        yield "test_answers", answers.correct
        yield "test_digest", answers.digest
