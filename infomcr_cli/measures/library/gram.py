"""Gamma, and the measures of the size of the Gram matrix G, from the draws of gamma.

The formulas are in `measures/gamma.py`, which also explains the symbols.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from infomcr_cli.measures import gamma as formulas
from infomcr_cli.measures.base import GRAM, register_measure
from infomcr_cli.measures.draws import (
    GAMMA,
    SETTINGS,
    Draw,
    gram_draws,
    register_draw_measure,
)
from infomcr_cli.measures.families import SAME_FUNCTION
from infomcr_cli.measures.gram.record import LayerGroup
from infomcr_cli.measures.library import JIANG
from infomcr_cli.measures.value import MeasureValue, mean_over_draws
from infomcr_cli.measures.work import gram_passes

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext

# G is made of the gradients at the true labels: not the Fisher information, whose labels the network itself draws.
EMPIRICAL = "empirical Fisher: Kunstner et al., NeurIPS 2019, arXiv:1905.12558"
DEFICIENT = "every draw is deficient: its gradients are linearly dependent"
NO_DRAW = "there is no draw"


# The trace of the Fisher information itself (Jastrzebski et al., 2021, arXiv:2012.14193) is another number.
@register_draw_measure(
    name="fisher_trace",
    formula="tr G / N, trace of the empirical Fisher (true labels)",
    source=EMPIRICAL,
    family="curvature",
    unit="nats²",
    missing=NO_DRAW,
    suite="fast",
)
def fisher_trace(draw: Draw) -> float:
    """Return tr G / N."""
    return formulas.fisher_trace(draw.gram)


@register_draw_measure(
    name="spectral_norm",
    formula="λ_max(G) / N, of the empirical Fisher (true labels)",
    source=f"{EMPIRICAL}; of the Fisher itself: Karakida et al., AISTATS 2019, arXiv:1806.01316",
    family="curvature",
    unit="nats²",
    missing=NO_DRAW,
    suite="fast",
)
def spectral_norm(draw: Draw) -> float:
    """Return λ_max / N."""
    return float(draw.eigenvalues[0])


@register_draw_measure(
    name="frobenius_norm",
    formula="‖G‖_F / N, of the empirical Fisher (true labels)",
    source=f"{EMPIRICAL}; beside Fisher and Hessian: Thomas et al., AISTATS 2020, arXiv:1906.07774",
    family="curvature",
    unit="nats²",
    missing=NO_DRAW,
    suite="fast",
)
def frobenius_norm(draw: Draw) -> float:
    """Return ‖G‖_F / N."""
    return formulas.frobenius_norm(draw.gram)


@register_draw_measure(
    name="effective_rank",
    formula="exp(H(p)), p = λ/Σλ",
    source="Roy & Vetterli, EUSIPCO 2007",
    family="spectral",
    unit="directions",
    missing=NO_DRAW,
    suite="fast",
)
def effective_rank(draw: Draw) -> float:
    """Return exp(H(p)); 0 if all gradients are zero."""
    gram = draw.scaled_gram
    return 0.0 if gram is None else formulas.effective_rank(gram)


@register_draw_measure(
    name="fisher_rao_norm",
    formula="mean_i u_i², u = J w (true labels)",
    source="Liang et al., AISTATS 2019, arXiv:1711.01530",
    family="norm",
    invariance=SAME_FUNCTION,
    unit="nats²",
    missing=NO_DRAW,
    suite="fast",
)
def fisher_rao_norm(draw: Draw) -> float:
    """Return mean u²."""
    return formulas.fisher_rao_norm(draw.record.products)


@register_draw_measure(
    name="gradient_noise",
    formula="tr Σ = (tr G − Σ_ij G_ij / N) / (N − 1)",
    source=f"McCandlish et al., 2018, arXiv:1812.06162; as a measure: {JIANG}",
    family="gradient",
    unit="nats²",
    missing="a draw of one image has no variance",
    suite="fast",
)
def gradient_noise(draw: Draw) -> float | None:
    """Return tr Σ."""
    return formulas.gradient_noise_variance(draw.gram) if len(draw.gram) > 1 else None


@register_measure(
    name=GAMMA,
    formula="½ ln det G, mean over draws",
    source="Jia & Su, ICML 2020, arXiv:1911.08192",
    family="volume",
    unit="nats",
    direction="lower",
    cost="one forward and one backward pass per draw, and as much again for the Gram matrix",
    passes=gram_passes,
    needs=(GRAM,),
    settings=SETTINGS,
    suite="fast",
)
def gamma(ctx: MeasureContext) -> MeasureValue:
    """Return gamma with each draw, its rank, the mean spectrum of G/N, and the split by layer group.

    A deficient draw is None in `draws`, is counted in `deficient`, and is not averaged.
    """
    draws = ctx.once(gram_draws)
    found = mean_over_draws([draw.numbers[GAMMA] for draw in draws], DEFICIENT)
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
