"""The Laplace approximation around the weights, with the Fisher information of a draw for the Hessian.

The prior of each weight is N(0, 1/δ), δ = p·N, so that a draw of any size weighs it against the samples alike; p is
`measure.laplace.prior_precision`. By Sylvester's identity ln det(I + JᵀJ/δ) over all W weights is ln det(I + G/δ).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures.draws import Draw, register_draw_measure
from infomcr_cli.measures.library.gram import NO_DRAW

MACKAY = "MacKay, Neural Computation 4, 1992"
PRIOR = "laplace.prior_precision"


def half_log_det(eigenvalues: NDArray[np.float64], prior_precision: float) -> float:
    """Return ½ ln det(I + G/(p N)) from the eigenvalues of G/N, nats; 0 for a G of zeros.

    Examples:
        >>> round(half_log_det(np.array([3.0, 0.0]), 1.0), 4)  # ln 2
        0.6931
    """
    return 0.5 * float(np.sum(np.log1p(eigenvalues / prior_precision)))


@register_draw_measure(
    name="laplace_log_det",
    formula="½ ln det(I + G/δ), δ = p·N, p = laplace.prior_precision",
    source=f"{MACKAY}; Immer et al., ICML 2021, arXiv:2104.04975",
    family="volume",
    unit="nats",
    missing=NO_DRAW,
    settings=(PRIOR,),
)
def laplace_log_det(draw: Draw) -> float:
    """Return the log-ratio of the prior's volume to the posterior's: gamma, but finite for every G."""
    return half_log_det(draw.eigenvalues, draw.prior_precision)


@register_draw_measure(
    name="laplace_evidence",
    formula="−Σ_i ℓ_i − ½ δ‖w‖² − ½ ln det(I + G/δ), δ = p·N, p = laplace.prior_precision",
    source=f"{MACKAY}; Immer et al., ICML 2021, arXiv:2104.04975",
    family="volume",
    unit="nats",
    direction="higher",
    missing=NO_DRAW,
    settings=(PRIOR,),
)
def laplace_evidence(draw: Draw) -> float:
    """Return the log-evidence of a draw: log-likelihood, prior, and the volume of the posterior.

    The normalising constants of prior and posterior cancel but for the determinant.
    """
    prior = 0.5 * draw.prior_precision * len(draw.labels) * draw.squared_norm
    return -float(draw.record.losses.sum()) - prior - half_log_det(draw.eigenvalues, draw.prior_precision)


@register_draw_measure(
    name="effective_dimension",
    formula="Σ_k λ_k/(λ_k + z), λ of G/N, z = laplace.prior_precision",
    source=f"{MACKAY}; Maddox et al., 2020, arXiv:2003.02139",
    family="spectral",
    unit="directions",
    missing=NO_DRAW,
    settings=(PRIOR,),
)
def effective_dimension(draw: Draw) -> float:
    """Return how many directions the samples determine rather than the prior, in [0, N]."""
    return float(np.sum(draw.eigenvalues / (draw.eigenvalues + draw.prior_precision)))
