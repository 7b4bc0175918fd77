"""Sum the Gram matrices of all weights, over blocks of samples and within a budget for the rows that are kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from infomcr_cli.measures.gram.outer_product import Contribution, Rows, gram, summed

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BlockResult:
    """What one pass over a block gives.

    Args:
        losses:          ℓ_i, nats, [n].
        log_derivatives: logarithm of the length of ∂ℓ_i/∂z_i, by which all rows are divided, [n].
        contributions:   for each weight, the contributions of its calls to the n rows.
    """

    losses: Array
    log_derivatives: Array
    contributions: list[list[Contribution]]

    def first(self, count: int) -> BlockResult:
        """Return the part of the first samples."""
        parts = [[part.first(count) for part in of_one] for of_one in self.contributions]
        return BlockResult(self.losses[:count], self.log_derivatives[:count], parts)


@dataclass(frozen=True)
class Part:
    """The columns [start, stop) of the rows of one weight; stop None for all of them."""

    index: int
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class GramSums:
    """Sums over weights for rows of unit derivatives at the logits.

    Args:
        losses,
        log_derivatives: as in `BlockResult`, [N].
        products: rows · w, [N].
        by_group: H, [N, N] each.
    """

    losses: Array
    log_derivatives: Array
    products: Array
    by_group: dict[str, Array]


def parts_within(columns: Sequence[int], row_bytes: float, budget: float) -> Iterator[list[Part]]:
    """Yield groups of parts whose rows take at most `budget` bytes together; a weight too large alone is cut.

    Args:
        columns: number of columns of each weight.
        row_bytes: bytes that one column of all samples takes.
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


def gram_sums(
    blocks: Callable[[], Iterable[BlockResult]],
    groups: Iterable[Sequence[Part]],
    kernels: Sequence[Any],
    names: Sequence[str],
    *,
    alone: bool,
) -> GramSums:
    """Run one pass over all blocks for each group of parts and sum up.

    Args:
        blocks:  starts a pass over all blocks.
        kernels: the weights' values.
        names:   the layer group of each weight.
        alone:   there is one block: its rows need not be kept, and are written out weight by weight.
    """
    by_group: dict[str, Array] = {}
    products: Any = 0.0
    losses = logs = np.zeros(0)
    with ThreadPoolExecutor(_threads()) as pool:
        for parts in groups:
            losses, logs, kept = _as_they_are(blocks(), parts) if alone else _written_out(pool, blocks(), parts)
            found = pool.map(_product, kept, parts, [kernels[part.index] for part in parts])
            for part, (matrix, product) in zip(parts, found, strict=True):
                name = names[part.index]
                by_group[name] = by_group[name] + matrix if name in by_group else matrix
                products = products + product
    order = [name for name in dict.fromkeys(names) if name in by_group]
    return GramSums(losses, logs, products + np.zeros(len(losses)), {name: by_group[name] for name in order})


Kept = tuple[Array, Array, list[list[list[Contribution]]]]


def _as_they_are(blocks: Iterable[BlockResult], parts: Sequence[Part]) -> Kept:
    """Losses, log-derivatives, and for each part the contributions of the only block."""
    (block,) = blocks
    return block.losses, block.log_derivatives, [[block.contributions[part.index]] for part in parts]


def _written_out(pool: ThreadPoolExecutor, blocks: Iterable[BlockResult], parts: Sequence[Part]) -> Kept:
    """The same of several blocks, compact; the rows of one are written out while the next block is passed."""
    losses, logs = [], []
    kept: list[list[list[Contribution]]] = [[] for _ in parts]
    writing: list[Future[Contribution]] = []
    for block in blocks:
        _collect(kept, writing)
        losses.append(block.losses)
        logs.append(block.log_derivatives)
        writing = [pool.submit(_cut, block.contributions[part.index], part) for part in parts]
        block.contributions.clear()
    _collect(kept, writing)
    return np.concatenate(losses), np.concatenate(logs), kept


def _collect(kept: list[list[list[Contribution]]], writing: Sequence[Future[Contribution]]) -> None:
    for i, future in enumerate(writing):
        kept[i].append([future.result()])


def _cut(contributions: Sequence[Contribution], part: Part) -> Contribution:
    whole = summed(contributions)
    if part.stop is None:
        return whole
    return Rows(np.ascontiguousarray(whole.rows()[:, part.start : part.stop]), whole.window)


def _product(kept: list[list[Contribution]], part: Part, kernel: Any) -> tuple[Array, Array]:
    """Gram matrix and product with the kernel of one part, which is let go."""
    blocks = [summed(contributions) for contributions in kept]
    kept.clear()
    return gram(blocks), np.concatenate([block.times(kernel, part.start, part.stop) for block in blocks])


def one_thread_a_product() -> threadpool_limits:
    """Keep BLAS from sharing a product among threads: products here are small, and threads would wait for each other.

    On a machine with other work the waiting costs a factor of ten and more.
    """
    return threadpool_limits(1, user_api="blas")


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
