"""The result of one draw: sums over weights and blocks of samples, and the Gram matrix and what else the measures read.

The sums are taken within a budget of memory. Nothing here needs TensorFlow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures import gamma as formulas
from infomcr_cli.measures.gram.parts import MemoryBudget, Part, parts_within
from infomcr_cli.measures.gram.products import Contribution, Products

if TYPE_CHECKING:
    import keras

    from infomcr_cli.measures.gram.compiled import CompiledPasses

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


def gram_sums(passes: CompiledPasses, images: Any, labels: NDArray[np.int32], memory: MemoryBudget) -> GramSums:
    """Run one pass over all blocks for each group of weights whose rows fit into memory together, and sum up.

    Args:
        passes: from a block of samples to the contributions of every weight.
        images: what the model takes, [N, ...].
        labels: true classes, [N].
        memory: what the rows that are kept may take.
    """
    values, single_block = passes.values(), len(labels) <= passes.block_size
    kernels = passes.kernels(values)
    row_bytes = len(labels) * np.dtype(passes.setting.precision).itemsize  # of one column of J
    columns = [int(np.prod(v.shape)) for v in passes.variables]
    names = [group_name(v) for v in passes.variables]
    by_group: dict[str, Array] = {}
    along_weights: Any = 0.0
    losses = logs = np.zeros(0)
    with ThreadPoolExecutor(passes.products.workers) as pool:
        for parts in parts_within(columns, row_bytes, memory.for_rows(single_block=single_block)):
            results = passes.over_blocks(values, images, labels)
            if single_block:  # its rows need not be kept, and are written out weight by weight
                (block,) = results
                losses, logs = block.losses, block.log_derivatives
                kept: Kept = [[block.contributions[part.index]] for part in parts]
            else:
                losses, logs, kept = _written_out(pool, results, parts, passes.products)
            products = _products(pool, kept, kernels, parts, passes.products)
            for part, (matrix, along) in zip(parts, products, strict=True):
                name = names[part.index]
                by_group[name] = by_group[name] + matrix if name in by_group else matrix  # [N, N]
                along_weights = along_weights + along  # [N]
    order = [name for name in dict.fromkeys(names) if name in by_group]
    return GramSums(losses, logs, along_weights + np.zeros(len(losses)), {name: by_group[name] for name in order})


def _products(
    pool: ThreadPoolExecutor, kept: Kept, kernels: Sequence[Any], parts: Sequence[Part], products: Products
) -> Iterator[tuple[Array, Array]]:
    """Yield the Gram matrix [N, N] of each part and its product with the kernel [N], in the order of the weights."""

    def columns_of(part: Part) -> int:
        return int(np.prod(kernels[part.index].shape)) if part.stop is None else part.stop - part.start

    finding = {
        index: pool.submit(_released, products, kept[index], kernels[parts[index].index], parts[index])
        # The widest first: one that is begun last leaves the other cores idle.
        for index in sorted(range(len(parts)), key=lambda index: -columns_of(parts[index]))
    }
    yield from (finding[index].result() for index in range(len(parts)))


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


@dataclass(frozen=True)
class LayerGroup:
    """The part of a Gram matrix that comes from one group of layers.

    Args:
        trace:      its part of the trace of the empirical Fisher, tr G_group / N.
        log_volume: gamma of the group's weights only, nats; None if their Gram matrix is singular.
        rank:       of the unit-diagonal matrix.
        weights:    number of trainable weights.
    """

    trace: float
    log_volume: float | None
    rank: int
    weights: int


@dataclass(frozen=True)
class GramRecord:
    """Gram matrix of the per-sample gradients of one draw.

    Args:
        unit_gram:       Ĝ, the matrix of cosines between gradients, [N, N].
        log_lengths:     ln ‖J_i‖, [N]; -inf for a zero gradient.
        losses:          ℓ_i, nats, [N].
        products:        u = J w, [N].
        groups:          by layer group, in the order of the model.
        gradient_method: by weight: `rule`, `layer` or `model`, see `trace.GradientPlan`.
    """

    unit_gram: Array
    log_lengths: Array
    losses: Array
    products: Array
    groups: dict[str, LayerGroup]
    gradient_method: dict[str, str]

    @cached_property
    def gram(self) -> Array:
        """G = J Jᵀ, [N, N]."""
        return formulas.rescaled(self.unit_gram, self.log_lengths)

    @cached_property
    def rank(self) -> int:
        """Rank of Ĝ; rows of zeros do not count."""
        return formulas.rank(self.unit_gram)

    @property
    def gamma(self) -> float | None:
        """Gamma of this draw, nats; None if the draw is deficient, its rank being below N."""
        whole = self.rank == len(self.unit_gram)
        return formulas.log_volume_of_unit(self.unit_gram, self.log_lengths) if whole else None


def gram_record(sums: GramSums, passes: CompiledPasses, same: NDArray[np.int64]) -> GramRecord:
    """Return the record of a draw.

    Args:
        sums:   for rows of unit derivatives at the logits: J_i = exp(a_i) · row_i, a the log-derivatives.
        passes: that gave the sums.
        same:   for each sample the first one that equals it, [N]; equal samples take the row of the first.
    """
    _check_finite(sums)
    logs, pairs, weights = sums.log_derivatives[same], np.ix_(same, same), Counter[str]()
    for variable in passes.variables:
        weights[group_name(variable)] += int(np.prod(variable.shape))
    groups: dict[str, LayerGroup] = {}
    for name, matrix in sums.by_group.items():  # H_group of unit derivatives: G_ij = exp(a_i + a_j) H_ij
        cosines, lengths = formulas.unit_diagonal(matrix[pairs])
        own = lengths + logs  # ln ‖J_i‖ over the weights of the group, [N]
        try:
            volume = formulas.log_volume_of_unit(cosines, own)
        except formulas.SingularGramError:
            volume = None
        trace = float(np.exp(2 * own).sum() / len(own))
        groups[name] = LayerGroup(trace, volume, formulas.rank(cosines), weights[name])
    unit_gram, lengths = formulas.unit_diagonal(np.sum(list(sums.by_group.values()), axis=0)[pairs])
    with np.errstate(under="ignore"):  # lengths below 1e-308 become 0
        products = np.exp(logs) * sums.products[same]
    methods = {v.path: method for v, method in zip(passes.variables, passes.gradient_methods, strict=True)}
    return GramRecord(unit_gram, lengths + logs, sums.losses[same], products, groups, methods)


def _check_finite(sums: GramSums) -> None:
    odd = [name for name, matrix in sums.by_group.items() if not np.isfinite(matrix).all()]
    if odd:
        advice = "Look for a square root, a norm or a division at 0, whose derivative is infinite."
        received = f"NaN or infinity in {', '.join(odd[:3])}"
        raise InputError("the gradients of a measured model must be finite", received=received, advice=advice)


def group_name(variable: keras.Variable) -> str:
    """Return the layer group of a weight: its layer's name up to the first dot, or the outermost layer's name."""
    parts = variable.path.split("/")
    return parts[-2].split(".")[0] if len(parts) > 1 and "." in parts[-2] else parts[0].split(".")[0]
