"""How the gradients of samples agree: a step that serves one sample may serve the others, or not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures.draws import Draw, register_draw_measure
from infomcr_cli.measures.library.spectrum import ZERO

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
FORT = "Fort et al., 2019, arXiv:1901.09491"


@register_draw_measure(
    name="gradient_coherence",
    formula="Σ_ij G_ij / (N tr G)",
    source="Chatterjee & Zielinski, 2020, arXiv:2008.01217",
    family="gradient",
    unit="share",
    direction="higher",
    missing=ZERO,
)
def gradient_coherence(draw: Draw) -> float | None:
    """Return ‖mean gradient‖² over the mean of ‖gradient‖²: 1/N if they are orthogonal, 1 if they are equal."""
    gram = draw.scaled_gram
    return None if gram is None else max(0.0, float(gram.sum() / (len(gram) * np.trace(gram))))


def mean_cosine(draw: Draw, pairs: Mask) -> float | None:
    """Return the mean of Ĝ over these pairs of different samples; None if there are none with gradients.

    Args:
        pairs: [N, N]. A sample whose gradient is zero has no direction, and its pairs are left out.
    """
    has_gradient = np.isfinite(draw.record.log_lengths)
    # [N, N], without the diagonal: each cosine with itself is 1.
    chosen = pairs & np.outer(has_gradient, has_gradient) & ~np.eye(len(has_gradient), dtype=bool)
    return float(draw.record.unit_gram[chosen].mean()) if chosen.any() else None


def same_class(draw: Draw) -> Mask:
    """Return which pairs of samples are of one class, [N, N]."""
    return np.equal.outer(draw.labels, draw.labels)


@register_draw_measure(
    name="stiffness",
    formula="mean of Ĝ_ij over i ≠ j",
    source=FORT,
    family="gradient",
    unit="cosine",
    direction="higher",
    missing="no draw has two samples with gradients that are not zero",
)
def stiffness(draw: Draw) -> float | None:
    """Return the mean cosine over all pairs."""
    return mean_cosine(draw, np.ones_like(same_class(draw)))


@register_draw_measure(
    name="stiffness_within",
    formula="mean of Ĝ_ij over i ≠ j of one class",
    source=FORT,
    family="gradient",
    unit="cosine",
    direction="higher",
    missing="no draw has two samples of one class with gradients that are not zero",
)
def stiffness_within(draw: Draw) -> float | None:
    """Return the mean cosine over pairs of one class."""
    return mean_cosine(draw, same_class(draw))


@register_draw_measure(
    name="stiffness_between",
    formula="mean of Ĝ_ij over i, j of different classes",
    source=FORT,
    family="gradient",
    unit="cosine",
    direction="higher",
    missing="no draw has samples of two classes with gradients that are not zero",
)
def stiffness_between(draw: Draw) -> float | None:
    """Return the mean cosine over pairs of different classes."""
    return mean_cosine(draw, ~same_class(draw))


@register_draw_measure(
    name="gradient_disparity",
    formula="‖mean gradient of the first half of a draw − of the second‖",
    source="Forouzesh & Thiran, 2021, arXiv:2107.06665",
    family="gradient",
    unit="nats",
    missing="a draw of one image has no halves",
)
def gradient_disparity(draw: Draw) -> float | None:
    """Return √(aᵀGa), a_i = 1/⌊N/2⌋ in the first half and −1/⌈N/2⌉ in the second; None for one sample."""
    count = len(draw.labels)
    if count < 2:
        return None
    half = count // 2
    # a: aᵀJ is the difference of the mean gradients, so aᵀGa its squared length.
    signs = np.r_[np.full(half, 1.0 / half), np.full(count - half, -1.0 / (count - half))]
    # The scaled G does not underflow; its scale comes back outside of the root.
    gram, longest = draw.scaled_gram, float(np.exp(draw.record.log_lengths.max()))
    return 0.0 if gram is None else longest * float(np.sqrt(max(0.0, signs @ gram @ signs)))
