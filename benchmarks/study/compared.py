"""The part of docs/study.md on regularizers: test errors of each method, differences by a paired bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.families import family
from benchmarks.study.regularizers import EPOCHS, STRENGTHS
from benchmarks.study.results import is_complete, markdown_table, rows_of
from benchmarks.study.statistics import paired_bootstrap
from benchmarks.study.tables import Row
from infomcr_cli.measures.value import student_interval
from infomcr_cli.runs.answers import Answers


def regularizers(tables: Path) -> str:
    """Return the table of methods, once all seeds of all of them are there."""
    rows, tuning = rows_of("regularizers", tables), rows_of("tuning", tables)
    if not is_complete(family("regularizers", tables), rows):
        return (
            f"The comparison is incomplete: {len(tuning)} rows of the tuning, {len(rows)} runs. It shows nothing yet."
        )
    answers = {method: answers_by_seed(_of(rows, method)) for method in STRENGTHS}
    head = (
        "method",
        "strength",
        "compute, epochs of plain SGD",
        "test error ± deviation over seeds",
        "difference from `off`",
        "difference from `on`",
    )
    return markdown_table(head, [_cells(method, _of(rows, method), answers) for method in STRENGTHS])


def same_epochs(tables: Path) -> str:
    """Return the table of the methods beside `off` for as many epochs, once all runs of both are there."""
    rows, plain = rows_of("regularizers", tables), rows_of("same_epochs", tables)
    if not (is_complete(family("regularizers", tables), rows) and is_complete(family("same_epochs", tables), plain)):
        return f"The comparison is incomplete: {len(plain)} runs of `off`. It shows nothing yet."
    head = (
        "method",
        "epochs",
        "test error",
        "`off`, as many epochs",
        "difference",
        "gamma of `off`",
        "difference of gamma",
    )
    cells = []
    for method, epochs in EPOCHS.items():
        own, off = _of(rows, method), [row for row in plain if row["epochs"] == epochs]
        difference = _difference({"own": answers_by_seed(own), "off": answers_by_seed(off)}, "own", "off")
        gammas = _mean(off, "gamma", ".1f"), _change(own, off, "gamma")
        cells.append((method, epochs, _errors(own), _errors(off), difference, *gammas))
    return markdown_table(head, cells)


def _of(rows: Sequence[Row], method: str) -> list[Row]:
    return [row for row in rows if row["method"] == method]


def answers_by_seed(rows: Sequence[Row]) -> dict[str, NDArray[np.bool_]]:
    """Return seed → which test images the run of a row classifies correctly; the rows differ in the seed alone."""
    return {
        row["seed"]: Answers(
            digest=row["test_digest"], images=int(row["n_test"]), correct=row["test_answers"]
        ).correct_images()
        for row in rows
        if row.get("test_answers")
    }


def _cells(method: str, own: Sequence[Row], answers: Mapping[str, Mapping[str, NDArray[np.bool_]]]) -> list[str]:
    compute = ", ".join(sorted({row.get("compute", "") for row in own}))
    return [
        method,
        own[0]["strength"],
        compute,
        _errors(own),
        *(_difference(answers, method, other) for other in ("off", "on")),
    ]


def _errors(rows: Sequence[Row]) -> str:
    """Return mean and deviation of the test error over seeds, with their number."""
    seeds = sum(bool(row.get("test_error")) for row in rows)
    return f"{_mean(rows, 'test_error', '.1%')} ({seeds} seeds)" if seeds else "–"


def _change(rows: Sequence[Row], others: Sequence[Row], name: str) -> str:
    """Return the mean change of a column from other rows of the same seeds, with its interval of Student's t."""
    before, after = ({row["seed"]: float(row[name]) for row in part if row.get(name)} for part in (others, rows))
    change = np.array([after[seed] - before[seed] for seed in sorted(after.keys() & before.keys())])
    if len(change) < 2:
        return "–"
    low, high = student_interval(change.mean(), change.std(ddof=1) / np.sqrt(len(change)), len(change))
    return f"{change.mean():+.1f} [{low:+.1f}, {high:+.1f}]"


def _mean(rows: Sequence[Row], name: str, form: str) -> str:
    """Return mean and deviation of a column over seeds."""
    values = np.array([float(row[name]) for row in rows if row.get(name)])
    if not len(values):
        return "–"
    return f"{values.mean():{form}}" + (f" ± {values.std(ddof=1):{form}}" if len(values) > 1 else "")


def _difference(answers: Mapping[str, Mapping[str, NDArray[np.bool_]]], method: str, other: str) -> str:
    if method == other:
        return "–"
    found = paired_bootstrap(answers[method], answers[other])
    if found.value is None:
        return "–"
    text = f"{100 * found.value:+.2f} points"
    if found.low is None or found.high is None:
        return text
    return f"{text} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"
