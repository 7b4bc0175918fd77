"""Sum the Gram matrices of all weights, over blocks of samples and within a budget for the rows that are kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from infomcr_cli.measures.contributions import Contribution, Rows, stacked, summed

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

    Args: losses, log_derivatives: as in `BlockResult`, [N]. products: rows · w, [N]. by_group: H, [N, N] each.
    """

    losses: Array
    log_derivatives: Array
    products: Array
    by_group: dict[str, Array]


def parts_within(columns: Sequence[int], row_bytes: float, budget: float) -> Iterator[list[Part]]:
    """Yield groups of parts whose rows take at most `budget` bytes together; a weight too large alone is cut.

    Args: columns: number of columns of each weight. row_bytes: bytes that one column of all samples takes.
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
) -> GramSums:
    """Run one pass over all blocks for each group of parts and sum up.

    Args:
        blocks:  starts a pass over all blocks.
        kernels: the weights' values.
        names:   the layer group of each weight.
    """
    by_group: dict[str, Array] = {}
    products: Any = 0.0
    losses = logs = np.zeros(0)
    for parts in groups:
        losses, logs, kept = _kept(blocks(), parts)
        for part, (gram, product) in zip(parts, _products(kept, parts, kernels), strict=True):
            name = names[part.index]
            by_group[name] = by_group[name] + gram if name in by_group else gram
            products = products + product
    order = [name for name in dict.fromkeys(names) if name in by_group]
    return GramSums(losses, logs, products + np.zeros(len(losses)), {name: by_group[name] for name in order})


def _kept(blocks: Iterable[BlockResult], parts: Sequence[Part]) -> tuple[Array, Array, list[list[list[Contribution]]]]:
    """Losses, log-derivatives, and for each part the contributions of each block.

    A block that is alone is handed on as it is; several are made compact, since they are kept together.
    """
    losses, logs = [], []
    kept: list[list[list[Contribution]]] = [[] for _ in parts]
    for block, is_alone in _with_loneliness(blocks):
        losses.append(block.losses)
        logs.append(block.log_derivatives)
        found = [block.contributions[part.index] for part in parts]
        block.contributions.clear()
        if not (is_alone and all(part.stop is None for part in parts)):
            found = [[whole] for whole in _on_all_cores(lambda pair: _cut(*pair), list(zip(found, parts, strict=True)))]
        for of_part, contributions in zip(kept, found, strict=True):
            of_part.append(contributions)
    return np.concatenate(losses), np.concatenate(logs), kept


def _with_loneliness(blocks: Iterable[BlockResult]) -> Iterator[tuple[BlockResult, bool]]:
    """Yield each block and whether it is the only one."""
    iterator = iter(blocks)
    first = next(iterator)
    second = next(iterator, None)
    yield first, second is None
    if second is not None:
        yield second, False
    for block in iterator:
        yield block, False


def _cut(contributions: Sequence[Contribution], part: Part) -> Contribution:
    whole = summed(contributions)
    if part.stop is None:
        return whole
    return Rows(np.ascontiguousarray(whole.rows()[:, part.start : part.stop]), whole.window)


def _products(
    kept: list[list[list[Contribution]]], parts: Sequence[Part], kernels: Sequence[Any]
) -> Iterator[tuple[Array, Array]]:
    """Gram matrix and product with the kernel of each part."""

    def of_part(i: int) -> tuple[Array, Array]:
        whole = stacked([summed(contributions) for contributions in kept[i]])
        kept[i] = []
        return whole.gram(), whole.times(kernels[parts[i].index], parts[i].start, parts[i].stop)

    yield from _on_all_cores(of_part, range(len(parts)))


def _on_all_cores(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
    """Map in order, one item a thread."""
    with ThreadPoolExecutor(_threads()) as pool:
        yield from pool.map(function, items)


def one_thread_a_product() -> threadpool_limits:
    """Keep BLAS from sharing a product among threads: products here are small, and threads would wait for each other.

    On a machine with other work the waiting costs a factor of ten and more.
    """
    return threadpool_limits(1, user_api="blas")


def _threads() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
