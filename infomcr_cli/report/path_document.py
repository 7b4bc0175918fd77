"""path.json: losses and errors on the paths between two minima, and the barriers that they have.

The barrier of a path is the most by which a value lies above the straight line between the values of the ends:

    max over t of L(t) − ((1 − t) L(0) + t L(1))

Sources: Entezari et al., 2022, arXiv:2110.06296, and Frankle et al., 2020, arXiv:1912.05671, there with the mean of the
ends instead of the line. The same is taken of the error rate. It is 0 if no point lies above the line, as t = 0 is one
of the points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import parse_record

FILE = "path.json"
FORMAT = 1
DEFINITION = "max over t of value(t) - ((1 - t) value(0) + t value(1))"
VALUES = ("train_loss", "train_error", "test_loss", "test_error")
MOST_PATHS = 1000  # of a run that are read
ROUNDING = 2.0**-48  # of the largest value: a height of less is none
KINDS = {
    "linear": "straight line",
    "aligned": "straight line, channels aligned",
    "curve": "trained curve",
}

Number = Annotated[float, Field(strict=False)]
Values = Annotated[list[Number | None], Field(max_length=100_000)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


class PathValues(_Record):
    """Along one path.

    Attributes:
        t:           from 0 at the first end to 1 at the second.
        train_loss:  mean cross-entropy on training images, nats; null where it is not finite.
        train_error: share of them that are misclassified, 0..1.
    """

    t: Annotated[list[Number], Field(max_length=100_000)]
    train_loss: Values
    train_error: Values
    test_loss: Values
    test_error: Values


class Barrier(_Record):
    """The most that a value lies above the line between the ends, and where; null if a value is not finite."""

    value: Number | None = None
    t: Number | None = None


class PathScore(_Record):
    """Loss, nats, and accuracy, 0..1."""

    loss: Number | None = None
    accuracy: Number | None = None


class PathEnd(_Record):
    """A minimum.

    Attributes:
        run:   path of the run.
        uid:   of the run, wherever it is moved.
        train: with the statistics of batch norm that the run recorded, as `eval` reports it.
    """

    run: str
    name: str
    uid: str
    checkpoint: str
    step: int
    epoch: int
    train: PathScore
    test: PathScore


class PathAlignment(_Record):
    """How the channels of the second network were permuted.

    Attributes:
        groups:          of channels that go together.
        moved:           channels that changed their place.
        distance_before: of all weights from those of the first network, and `distance_after` the permutation.
    """

    groups: int
    channels: int
    moved: int
    distance_before: Number
    distance_after: Number


class PathDocument(_Record):
    """The whole of path.json.

    Attributes:
        ends:      the two minima.
        paths:     kind → values.
        barriers:  kind → value → barrier.
        alignment: of the second network's channels; null: they were not aligned.
        training:  of the curve; null: there is none.
    """

    format: int = FORMAT
    ends: Annotated[list[PathEnd], Field(min_length=2, max_length=2)]
    points: int
    steps: int
    samples: dict[str, int]
    seed: int
    definition: str = DEFINITION
    paths: Annotated[dict[str, PathValues], Field(max_length=10)]
    barriers: Annotated[dict[str, dict[str, Barrier]], Field(max_length=10)]
    alignment: PathAlignment | None = None
    training: dict[str, Any] | None = None
    folder: str = ""
    pictures: dict[str, Any] = {}
    files: list[str] = []


def barrier(t: Sequence[float], values: Sequence[float | None]) -> Barrier:
    """Return the barrier of values along a path.

    Args:
        t:      rising from 0 to 1, both included.
        values: at each t; None where it is not finite: there is no barrier then.

    Examples:
        >>> barrier([0.0, 0.5, 1.0], [1.0, 4.0, 2.0])
        Barrier(value=2.5, t=0.5)
        >>> barrier([0.0, 0.5, 1.0], [1.0, 1.0, 2.0]).value
        0.0
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    if len(known) < len(values) or not known:
        return Barrier()
    first, last = known[0], known[-1]
    above = [value - (first + place * (last - first)) for place, value in zip(t, known, strict=True)]
    highest = max(range(len(above)), key=above.__getitem__)
    if above[highest] <= ROUNDING * max(map(abs, known)):
        return Barrier(value=0.0, t=t[0])
    return Barrier(value=above[highest], t=t[highest])


def barriers(paths: dict[str, PathValues]) -> dict[str, dict[str, Barrier]]:
    """Return the barrier of each value of each path."""
    return {kind: {name: barrier(one.t, getattr(one, name)) for name in VALUES} for kind, one in paths.items()}


def parse_path(content: bytes, what: str) -> PathDocument:
    """Return what a path.json holds.

    Raises:
        InputError: it is not what `infomcr path` writes.
    """
    return parse_record(content, what, PathDocument, command="path")


def paths_of(run: RunDirectory) -> list[tuple[float, PathDocument]]:
    """Return the paths that a run's folder of landscapes holds, each with the time at which it was written.

    A file that cannot be read is left out. Times are seconds since 1970.
    """
    if not run.landscapes.is_dir():
        return []
    files = [path for path in sorted(run.landscapes.glob(f"*/{FILE}"))[:MOST_PATHS] if path.is_file()]
    found = []
    for path in files:
        relative = f"{run.landscapes.name}/{path.parent.name}/{FILE}"
        try:
            document = parse_path(run.read(relative), f"{relative} of {run.name}")
            found.append((path.stat().st_mtime, document))
        except (InputError, OSError):
            continue
    return found
