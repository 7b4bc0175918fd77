"""The part of docs/study.md on regularizers: test errors of each method, differences by a paired bootstrap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.families import family
from benchmarks.study.regularizers import STRENGTHS
from benchmarks.study.results import is_complete, rows_of
from benchmarks.study.statistics import paired_bootstrap
from benchmarks.study.tables import Row
from infomcr_cli.runs.answers import Answers


def regularizers(tables: Path) -> str:
    """Return the table of methods, once all seeds of all of them are there."""
    rows, tuning = rows_of("regularizers", tables), rows_of("tuning", tables)
    if not is_complete(family("regularizers", tables), rows):
        return (
            f"The comparison is incomplete: {len(tuning)} rows of the tuning, {len(rows)} runs. It shows nothing yet."
        )
    answers = {method: answers_of(rows, method) for method in STRENGTHS}
    head = (
        "method",
        "strength",
        "compute, epochs of plain SGD",
        "test error ± deviation over seeds",
        "difference from `off`",
        "difference from `on`",
    )
    lines = [" | ".join(head), " | ".join(["---"] * len(head))]
    lines += [" | ".join(_cells(method, rows, answers)) for method in STRENGTHS]
    return "\n".join(f"| {line} |" for line in lines)


def answers_of(rows: Sequence[Row], method: str) -> Mapping[str, NDArray[np.bool_]]:
    """Return seed → which test images the run of a method classifies correctly."""
    return {
        row["seed"]: Answers(
            digest=row["test_digest"], images=int(row["n_test"]), correct=row["test_answers"]
        ).correct_images()
        for row in rows
        if row["method"] == method and row.get("test_answers")
    }


def _cells(method: str, rows: Sequence[Row], answers: Mapping[str, Mapping[str, NDArray[np.bool_]]]) -> list[str]:
    own = [row for row in rows if row["method"] == method]
    errors = np.array([float(row["test_error"]) for row in own if row.get("test_error")])
    spread = f" ± {errors.std(ddof=1):.1%}" if len(errors) > 1 else ""
    compute = ", ".join(sorted({row.get("compute", "") for row in own}))
    return [
        method,
        own[0]["strength"],
        compute,
        f"{errors.mean():.1%}{spread} ({len(errors)} seeds)" if len(errors) else "–",
        *(_difference(answers, method, other) for other in ("off", "on")),
    ]


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
