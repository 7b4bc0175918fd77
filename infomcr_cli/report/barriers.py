"""Barriers between minima as tables: of one path, and of all paths between the runs of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from infomcr_cli.console.text import printable
from infomcr_cli.report.path_document import (
    DEFINITION,
    KINDS,
    Barrier,
    PathDocument,
    PathEnd,
    paths_of,
)
from infomcr_cli.report.tables import NONE, TextTable, format_number
from infomcr_cli.runs import read_status

if TYPE_CHECKING:
    from infomcr_cli.report.evaluated_run import ComparedRun

HEADS = {
    "train_loss": "training loss, nats",
    "train_error": "training error, %",
    "test_loss": "test loss, nats",
    "test_error": "test error, %",
}
SHORT = {"linear": "straight line", "aligned": "line, aligned", "curve": "curve"}
_CAPTION = f"barrier: {DEFINITION}; batch-norm statistics, if any, renewed at every point"


@dataclass(frozen=True)
class RunBarriers:
    """The barriers between two runs of a comparison.

    Attributes:
        document: the latest path between them.
    """

    document: PathDocument

    @property
    def runs(self) -> tuple[str, str]:
        """Names of the ends."""
        first, last = self.document.ends
        return _label(first), _label(last)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        found = {
            kind: {name: one.model_dump(mode="json", include={"value", "t"}) for name, one in values.items()}
            for kind, values in self.document.barriers.items()
        }
        document = self.document
        return {
            "runs": list(self.runs),
            "barriers": found,
            "points": document.points,
            "samples": document.samples,
            "steps": document.steps,
        }


def barriers_between(runs: Sequence[ComparedRun]) -> tuple[RunBarriers, ...]:
    """Return the barriers between some runs at the checkpoints that are compared, where `infomcr path` found any.

    Of several paths between the same two minima the latest counts.
    """
    steps: dict[str, int | None] = {}  # uid of a run -> step that is compared; None: not known
    for run in runs:
        evaluation = getattr(run, "evaluation", None)  # only an `EvaluatedRun` has one
        steps[read_status(run.directory).uid] = None if evaluation is None else evaluation.step
    found: dict[frozenset[tuple[str, int]], tuple[float, PathDocument]] = {}
    for written, document in (pair for run in runs for pair in paths_of(run.directory)):
        ends = [(one.uid, one.step) for one in document.ends]
        if all(uid in steps and steps[uid] in (None, step) for uid, step in ends):
            key = frozenset(ends)  # a set, because a path from A to B is one from B to A, which is in B's folder
            if key not in found or written > found[key][0]:
                found[key] = written, document
    return tuple(RunBarriers(document) for _, document in found.values())


def barriers_table(barriers: Sequence[RunBarriers]) -> TextTable:
    """Return a row for each pair of runs: barriers of training loss and test error on each kind of path.

    A barrier of few points or images says less, so that their numbers stand beside it.
    """
    kinds = [kind for kind in KINDS if any(kind in one.document.barriers for one in barriers)]
    columns = [(kind, name) for name in ("train_loss", "test_error") for kind in kinds]
    heads = ("runs", *(f"{HEADS[name]}: {SHORT[kind]}" for kind, name in columns), "points", "training images")
    rows = tuple(
        (
            " – ".join(one.runs),
            *(_cell(one.document.barriers.get(kind, {}).get(name), name) for kind, name in columns),
            str(one.document.points),
            f"{one.document.samples.get('train', 0):,}",
        )
        for one in barriers
    )
    return TextTable("Barriers between runs", heads, rows, _CAPTION)


def path_renderables(document: PathDocument, width: int) -> list[RenderableType]:
    """Return the scores of the ends, the barriers of each path, and the files."""
    from infomcr_cli.report.terminal import text_tables

    ends = [Text(f"{letter}  {_label(end)}  {_scores(end)}") for letter, end in zip("AB", document.ends, strict=True)]
    aligned = []
    if (found := document.alignment) is not None:
        before, after = (format_number(one, 4) for one in (found.distance_before, found.distance_after))
        moved = f"{found.moved:,} of {found.channels:,} channels of B moved, in {found.groups} groups"
        aligned = [Text(f"aligned: {moved}; distance of the weights {before} before, {after} after")]
    rows = tuple(
        (KINDS.get(kind, kind), *(_cell(values.get(name), name) for name in HEADS))
        for kind, values in document.barriers.items()
    )
    table = text_tables(TextTable("Barriers", ("path", *HEADS.values()), rows, _CAPTION), width)
    return [*ends, *aligned, *table, Text(f"Written: {', '.join(printable(path, 4096) for path in document.files)}")]


def _label(end: PathEnd) -> str:
    return printable(end.name if end.checkpoint == "last" else f"{end.name}@{end.checkpoint}")


def _cell(barrier: Barrier | None, name: str) -> str:
    if barrier is None:
        return NONE
    if barrier.value is None or barrier.t is None:
        return "not finite"
    value = 100 * barrier.value if name.endswith("error") else barrier.value
    return f"{format_number(value)} at {barrier.t:.2g}" if barrier.t else format_number(value)


def _scores(end: PathEnd) -> str:
    parts = []
    for split, score in (("train", end.train), ("test", end.test)):
        accuracy = NONE if score.accuracy is None else f"{score.accuracy:.2%}"
        parts.append(f"{split} loss {format_number(score.loss, 4)} accuracy {accuracy}")
    return "   ".join(parts)
