"""Which columns of J are computed at a time, within a budget of memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MemoryBudget:
    """Bytes that the engine's arrays may take.

    A single block needs no kept rows, so its pass may take everything. Several blocks share it: half for the pass over
    a block, half for the rows that are kept until the last block is done.
    """

    total: float

    def for_pass(self, *, single_block: bool) -> float:
        """Return the bytes for the tensors of one forward and backward pass."""
        return self.total if single_block else self.total / 2

    def for_rows(self, *, single_block: bool) -> float:
        """Return the bytes for the rows of all samples that are kept at one time."""
        return np.inf if single_block else self.total / 2


@dataclass(frozen=True)
class Part:
    """The columns [start, stop) of the rows of one weight; stop None for all of them."""

    index: int
    start: int = 0
    stop: int | None = None


def parts_within(columns: Sequence[int], row_bytes: float, budget: float) -> Iterator[list[Part]]:
    """Yield groups of parts whose rows take at most `budget` bytes together; a larger weight is cut.

    Args:
        columns:   number of columns of each weight.
        row_bytes: bytes that one column of all samples takes.
        budget:    bytes.
    """
    widest = max(1, int(min(budget / row_bytes, sum(columns))))
    group: list[Part] = []
    room = widest
    for index, count in enumerate(columns):
        whole = count <= widest
        for start in range(0, count, widest):
            width = min(widest, count - start)
            if width > room:
                yield group
                group, room = [], widest
            group.append(Part(index) if whole else Part(index, start, start + width))
            room -= width
    if group:
        yield group
