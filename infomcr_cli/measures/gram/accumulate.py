"""Sum the Gram matrices of all weights, over blocks of samples and within a budget of memory."""

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
# For each part, and for each block of samples, the contributions of the weight's calls.
Kept = list[list[list[Contribution]]]


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
class GramSums:
    """Sums over weights for rows of unit derivatives at the logits.

    Args:
        losses, log_derivatives: as in `BlockResult`, [N].
        products: rows · w, [N].
        by_group: by layer group, the products of all pairs of rows, [N, N] each.
    """

    losses: Array
    log_derivatives: Array
    products: Array
    by_group: dict[str, Array]


def gram_sums(
    blocks: Callable[[], Iterable[BlockResult]],
    groups: Iterable[Sequence[Part]],
    kernels: Sequence[Any],
    names: Sequence[str],
    *,
    single_block: bool,
) -> GramSums:
    """Run one pass over all blocks for each group of parts and sum up.

    Args:
        blocks:       starts a pass over all blocks.
        groups:       parts of the weights whose rows fit into memory together.
        kernels:      the weights' values.
        names:        the layer group of each weight.
        single_block: there is one block: its rows need not be kept, and are written out weight by weight.
    """
    by_group: dict[str, Array] = {}
    products: Any = 0.0
    losses = logs = np.zeros(0)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        for parts in groups:
            if single_block:
                (block,) = blocks()
                losses, logs = block.losses, block.log_derivatives
                kept: Kept = [[block.contributions[part.index]] for part in parts]
            else:
                losses, logs, kept = _written_out(pool, blocks(), parts)
            found = pool.map(_product, kept, parts, [kernels[part.index] for part in parts])
            for part, (matrix, product) in zip(parts, found, strict=True):
                name = names[part.index]
                by_group[name] = by_group[name] + matrix if name in by_group else matrix  # [N, N]
                products = products + product  # [N]
    order = [name for name in dict.fromkeys(names) if name in by_group]
    return GramSums(losses, logs, products + np.zeros(len(losses)), {name: by_group[name] for name in order})


def _written_out(
    pool: ThreadPoolExecutor, blocks: Iterable[BlockResult], parts: Sequence[Part]
) -> tuple[Array, Array, Kept]:
    """Return losses, log-derivatives and compact contributions.

    The rows of one block are written out while the next block is passed.
    """
    losses, logs = [], []
    kept: Kept = [[] for _ in parts]
    writing: list[Future[Contribution]] = []

    def collect() -> None:
        for of_part, future in zip(kept, writing, strict=False):
            of_part.append([future.result()])

    for block in blocks:
        collect()
        losses.append(block.losses)
        logs.append(block.log_derivatives)
        writing = [pool.submit(_cut, block.contributions[part.index], part) for part in parts]
        block.contributions.clear()
    collect()
    return np.concatenate(losses), np.concatenate(logs), kept


def _cut(contributions: Sequence[Contribution], part: Part) -> Contribution:
    whole = summed(contributions)
    if part.stop is None:
        return whole
    return Rows(np.ascontiguousarray(whole.rows()[:, part.start : part.stop]), whole.window)


def _product(kept: list[list[Contribution]], part: Part, kernel: Any) -> tuple[Array, Array]:
    """Return the Gram matrix [N, N] of one part and its product with the kernel [N]; the part is released."""
    blocks = [summed(contributions) for contributions in kept]
    kept.clear()
    return gram(blocks), np.concatenate([block.times(kernel, part.start, part.stop) for block in blocks])


def single_threaded_products() -> threadpool_limits:
    """Keep BLAS from sharing a product among threads: products here are small, and threads would wait for each other.

    On a machine with other work the waiting costs a factor of ten and more.
    """
    return threadpool_limits(1, user_api="blas")
