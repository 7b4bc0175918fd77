"""Sum the Gram matrices of all weights, over blocks of samples and within a budget of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures.gram.outer_product import Contribution
from infomcr_cli.measures.gram.parts import Part
from infomcr_cli.measures.gram.products import Products

Array = NDArray[np.float64]
# For each part, and for each block of samples, the contributions of the weight's calls.
Kept = list[list[list[Contribution]]]


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
    products: Products,
    *,
    single_block: bool,
) -> GramSums:
    """Run one pass over all blocks for each group of parts and sum up.

    Args:
        blocks:       starts a pass over all blocks.
        groups:       parts of the weights whose rows fit into memory together.
        kernels:      the weights' values, as `products` holds them.
        names:        the layer group of each weight.
        products:     where rows are multiplied.
        single_block: there is one block: its rows need not be kept, and are written out weight by weight.
    """
    by_group: dict[str, Array] = {}
    along_weights: Any = 0.0
    losses = logs = np.zeros(0)
    with ThreadPoolExecutor(products.workers) as pool:
        for parts in groups:
            if single_block:
                (block,) = blocks()
                losses, logs = block.losses, block.log_derivatives
                kept: Kept = [[block.contributions[part.index]] for part in parts]
            else:
                losses, logs, kept = _written_out(pool, blocks(), parts, products)
            finding = {
                index: pool.submit(_released, products, kept[index], kernels[parts[index].index], parts[index])
                # The widest first: one that is begun last leaves the other cores idle.
                for index in sorted(range(len(parts)), key=lambda index: -_columns_of(parts[index], kernels))
            }
            for index, part in enumerate(parts):  # summed in the order of the weights
                matrix, along = finding[index].result()
                name = names[part.index]
                by_group[name] = by_group[name] + matrix if name in by_group else matrix  # [N, N]
                along_weights = along_weights + along  # [N]
    order = [name for name in dict.fromkeys(names) if name in by_group]
    return GramSums(losses, logs, along_weights + np.zeros(len(losses)), {name: by_group[name] for name in order})


def _columns_of(part: Part, kernels: Sequence[Any]) -> int:
    """Return the number of columns of a part."""
    return int(np.prod(kernels[part.index].shape)) if part.stop is None else part.stop - part.start


def _written_out(
    pool: ThreadPoolExecutor, blocks: Iterable[BlockResult], parts: Sequence[Part], products: Products
) -> tuple[Array, Array, Kept]:
    """Return losses, log-derivatives and compact contributions.

    Rows are written out between the passes, not beside them: both use all cores, and would push each other from the
    caches.
    """
    losses, logs = [], []
    kept: Kept = [[] for _ in parts]
    for block in blocks:
        losses.append(block.losses)
        logs.append(block.log_derivatives)
        written = pool.map(products.compact, [block.contributions[part.index] for part in parts], parts)
        for of_part, one in zip(kept, written, strict=True):
            of_part.append([one])
        block.contributions.clear()
    return np.concatenate(losses), np.concatenate(logs), kept


def _released(products: Products, kept: list[list[Contribution]], kernel: Any, part: Part) -> tuple[Array, Array]:
    """Return the Gram matrix [N, N] of one part and its product with the kernel [N]; the part is released."""
    blocks = [products.compact(contributions) for contributions in kept]
    kept.clear()
    return products.gram(blocks, kernel, part)
