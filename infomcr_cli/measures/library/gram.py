"""Gamma and the other measures of the Gram matrix G: one table, one pass over the draws for all of them.

The formulas are in `measures/gamma.py`, which also explains the symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures import gamma as formulas
from infomcr_cli.measures.base import GRAM, Compute, gram_passes, register_measure
from infomcr_cli.measures.draws import disjoint_draws
from infomcr_cli.measures.families import SAME_FUNCTION, Change, Family
from infomcr_cli.measures.gram.record import GramRecord, LayerGroup
from infomcr_cli.measures.library import JIANG
from infomcr_cli.measures.value import MeasureValue, is_converged, mean_over_draws

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext

# G is made of the gradients at the true labels: not the Fisher information, whose labels the network itself draws.
EMPIRICAL = "empirical Fisher: Kunstner et al., NeurIPS 2019, arXiv:1905.12558"


class GramMeasure(NamedTuple):
    """A row of the table: a number that is computed from each draw and averaged over the draws."""

    formula: str
    source: str
    unit: str
    number: Callable[[GramRecord], float | None]
    family: Family
    invariance: tuple[Change, ...] = ()


TABLE: Mapping[str, GramMeasure] = {
    "gamma": GramMeasure(
        "½ ln det G, mean over draws",
        "Jia & Su, ICML 2020, arXiv:1911.08192",
        "nats",
        lambda draw: draw.gamma,
        "volume",
    ),
    # The trace of the Fisher information itself (Jastrzebski et al., 2021, arXiv:2012.14193) is another number.
    "fisher_trace": GramMeasure(
        "tr G / N, trace of the empirical Fisher (true labels)",
        EMPIRICAL,
        "nats²",
        lambda draw: formulas.fisher_trace(draw.gram),
        "curvature",
    ),
    "spectral_norm": GramMeasure(
        "λ_max(G) / N, of the empirical Fisher (true labels)",
        f"{EMPIRICAL}; of the Fisher itself: Karakida et al., AISTATS 2019, arXiv:1806.01316",
        "nats²",
        lambda draw: formulas.spectral_norm(draw.gram),
        "curvature",
    ),
    "frobenius_norm": GramMeasure(
        "‖G‖_F / N, of the empirical Fisher (true labels)",
        f"{EMPIRICAL}; beside Fisher and Hessian: Thomas et al., AISTATS 2020, arXiv:1906.07774",
        "nats²",
        lambda draw: formulas.frobenius_norm(draw.gram),
        "curvature",
    ),
    "effective_rank": GramMeasure(
        "exp(H(p)), p = λ/Σλ",
        "Roy & Vetterli, EUSIPCO 2007",
        "directions",
        lambda draw: formulas.effective_rank(draw.gram),
        "spectral",
    ),
    "fisher_rao_norm": GramMeasure(
        "mean_i u_i², u = J w (true labels)",
        "Liang et al., AISTATS 2019, arXiv:1711.01530",
        "nats²",
        lambda draw: formulas.fisher_rao_norm(draw.products),
        "norm",
        SAME_FUNCTION,
    ),
    "gradient_noise": GramMeasure(
        "tr Σ = (tr G − Σ_ij G_ij / N) / (N − 1)",
        f"McCandlish et al., 2018, arXiv:1812.06162; as a measure: {JIANG}",
        "nats²",
        lambda draw: formulas.gradient_noise_variance(draw.gram) if len(draw.gram) > 1 else None,
        "gradient",
    ),
}
SETTINGS = tuple(
    f"gamma.{name}"
    for name in ("samples", "draws", "draw_size", "batch_norm", "logit_scale", "chunk_size", "precision")
)


@dataclass(frozen=True)
class DrawSummary:
    """What is kept of one draw: numbers, not matrices.

    Args:
        numbers:         of each measure of the table; None if the draw is deficient or too small.
        eigenvalues:     of G/N, descending, [N].
        gradient_method: by weight, as in `GramRecord`.
    """

    numbers: Mapping[str, float | None]
    rank: int
    eigenvalues: NDArray[np.float64]
    groups: dict[str, LayerGroup]
    gradient_method: dict[str, str]


def summarise(draw: GramRecord) -> DrawSummary:
    """Reduce a draw to its numbers."""
    numbers = {name: row.number(draw) for name, row in TABLE.items()}
    eigenvalues = np.maximum(formulas.eigenvalues(draw.gram), 0.0) / len(draw.gram)
    return DrawSummary(numbers, draw.rank, eigenvalues, draw.groups, draw.gradient_method)


def gram_draws(ctx: MeasureContext) -> list[DrawSummary]:
    """Measure draw after draw, until all are done or gamma's standard error is at most `target_se` nats."""
    from infomcr_cli.measures.gram import engine

    settings, train = ctx.config.gamma, ctx.dataset.train
    gram_engine = engine.engine_for(ctx.model, settings)
    draws = disjoint_draws(
        train.labels,
        stored_order=ctx.dataset.stored_order,
        samples=settings.samples,
        draw_size=settings.draw_size,
        draws=settings.draws,
    )
    found: list[DrawSummary] = []
    for indices in draws:  # [N]
        draw = gram_engine(ctx.dataset.standardise(train.images[indices]), train.labels[indices])
        found.append(summarise(draw))
        if is_converged([one.numbers["gamma"] for one in found], settings.target_se):
            break
    return found


def _register(name: str, *, cost: str, settings: tuple[str, ...] = SETTINGS) -> Callable[[Compute], Compute]:
    row = TABLE[name]
    return register_measure(
        name=name,
        formula=row.formula,
        source=row.source,
        family=row.family,
        invariance=row.invariance,
        unit=row.unit,
        direction="lower",
        cost=cost,
        passes=gram_passes,
        needs=(GRAM,),
        settings=settings,
        suite="fast",
    )


def _averaged(name: str) -> Callable[[MeasureContext], MeasureValue]:
    def compute(ctx: MeasureContext) -> MeasureValue:
        return mean_over_draws([draw.numbers[name] for draw in ctx.once(gram_draws)])

    return compute


for _name in [name for name in TABLE if name != "gamma"]:
    _register(_name, cost="none beside gamma's draws")(_averaged(_name))


@_register(
    "gamma",
    cost="one forward and one backward pass a draw, and as much again for the Gram matrix",
    settings=(*SETTINGS, "gamma.memory", "gamma.target_se"),
)
def gamma(ctx: MeasureContext) -> MeasureValue:
    """Return gamma with each draw, its rank, the mean spectrum of G/N, and the split by layer group.

    A deficient draw is None in `draws`, is counted in `deficient`, and is not averaged.
    """
    draws = ctx.once(gram_draws)
    found = mean_over_draws([draw.numbers["gamma"] for draw in draws])
    methods = list(draws[-1].gradient_method.values())
    extras = {
        "rank": [draw.rank for draw in draws],
        "deficient": found.extras["draws"].count(None),
        "spectrum": np.mean([draw.eigenvalues for draw in draws], axis=0).tolist(),
        "groups": {name: _layer_group([draw.groups[name] for draw in draws]) for name in draws[0].groups},
        "served_by": {kind: methods.count(kind) for kind in ("rule", "layer", "model")},
    }
    return MeasureValue(found.value, found.std_error, {**found.extras, **extras})


def _layer_group(parts: list[LayerGroup]) -> dict[str, float | int | None]:
    """Return a layer group's part of the Fisher trace and its own log-volume, averaged over draws."""
    volume = mean_over_draws([part.log_volume for part in parts])
    return {
        "fisher_trace": float(np.mean([part.trace for part in parts])),
        "log_volume": volume.value,
        "deficient": volume.extras["draws"].count(None),
        "weights": parts[0].weights,
    }
