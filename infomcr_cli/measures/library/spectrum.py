"""The shape of the spectrum of G, independent of its scale."""

from __future__ import annotations

import numpy as np

from infomcr_cli.measures import gamma as formulas
from infomcr_cli.measures.draws import Draw, register_draw_measure

ZERO = "the gradients of every draw are zero"


@register_draw_measure(
    name="renyi_entropy",
    formula="−ln Σ_k p_k², p = λ/Σλ",
    source="Rényi, 1961, order 2; of a Gram matrix: Sanchez Giraldo et al., 2015, arXiv:1211.2459",
    family="spectral",
    unit="nats",
    missing=ZERO,
)
def renyi_entropy(draw: Draw) -> float | None:
    """Return 2 ln (tr G / ‖G‖_F), in [0, ln N]; None if all gradients are zero."""
    gram = draw.scaled_gram
    return None if gram is None else max(0.0, 2.0 * float(np.log(np.trace(gram) / np.linalg.norm(gram))))


@register_draw_measure(
    name="stable_rank",
    formula="tr G / λ_max",
    source="Rudelson & Vershynin, 2007, arXiv:math/0503442: the stable rank of J",
    family="spectral",
    unit="directions",
    missing=ZERO,
)
def stable_rank(draw: Draw) -> float | None:
    """Return ‖J‖_F² / ‖J‖₂², in [1, N]; None if all gradients are zero."""
    gram = draw.scaled_gram
    return None if gram is None else float(np.trace(gram) / formulas.eigenvalues(gram)[0])
