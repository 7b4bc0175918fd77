"""gamma = ½ ln det G = Σ_k ln σ_k(J), the log-volume of per-sample gradients, and what else is read from G.

    symbol    meaning                                                            shape
    w         all trainable weights, flattened                                   [W]
    ℓ_i       cross-entropy of sample i at its true label, nats                  scalar
    J         row i is ∂ℓ_i/∂w                                                   [N, W]
    G         J Jᵀ, the Gram matrix of the per-sample gradients                  [N, N]
    λ_k       eigenvalues of G, descending: λ_k = σ_k², σ_k singular values of J [N]
    ‖J_i‖     length of row i, kept as its logarithm                             [N]
    Ĝ         G_ij / (‖J_i‖ ‖J_j‖): cosines, with a diagonal of ones             [N, N]
    u         J w, the derivative of each loss along the weights                 [N]

G/N has the non-zero spectrum of the empirical Fisher information, whose gradients are taken at the true labels
(Kunstner et al., 2019, arXiv:1905.12558); the study of gamma calls it the observed one.

A row of J may be 1e-12 or 1e3 long. So everything that could lose small rows is computed from Ĝ and the logarithms of
the lengths: gamma = Σ_i ln ‖J_i‖ + ½ ln det Ĝ. This file is NumPy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class SingularGramError(ValueError):
    """A Gram matrix has rank below its size, so its log-volume is -inf.

    Args:
        rank: numerical rank.
        size: N.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        super().__init__(
            f"the Gram matrix must have full rank; got {rank=}, {size=}. "
            "Remove duplicated samples, or draw fewer samples than the model has weights."
        )


def log_volume(gram: Array) -> float:
    """Return gamma = ½ ln det G of a Gram matrix, in nats.

    Args:
        gram: G, symmetric positive semi-definite, [N, N], float64.

    Raises:
        SingularGramError: Ĝ has rank below N.

    Source:
        Jia & Su, ICML 2020, arXiv:1911.08192.

    Examples:
        >>> import numpy as np
        >>> round(log_volume(np.diag([4.0, 9.0])), 4)  # ln 6
        1.7918
    """
    return log_volume_of_unit(*unit_diagonal(gram))


def log_volume_of_unit(unit_gram: Array, log_lengths: Array) -> float:
    """Return gamma = Σ_i ln ‖J_i‖ + ½ ln det Ĝ, in nats, for rows of any length.

    Args:
        unit_gram:   Ĝ, [N, N], float64.
        log_lengths: ln ‖J_i‖, [N]; -inf for a zero row.

    Raises:
        SingularGramError: Ĝ has rank below N.
    """
    found = rank(unit_gram)
    if found < len(unit_gram) or not np.all(np.isfinite(log_lengths)):
        raise SingularGramError(min(found, int(np.isfinite(log_lengths).sum())), len(unit_gram))
    _, log_determinant = np.linalg.slogdet(unit_gram)  # the determinant itself would underflow
    return float(np.sum(log_lengths) + 0.5 * log_determinant)


def rank(unit_gram: Array) -> int:
    """Return the rank of Ĝ [N, N]: the number of its eigenvalues above N·eps·λ_max."""
    values = eigenvalues(unit_gram)
    return int(np.sum(values > len(values) * np.finfo(np.float64).eps * values[0])) if len(values) else 0


def unit_diagonal(gram: Array) -> tuple[Array, Array]:
    """Split G into Ĝ and the logarithms of the row lengths.

    Args:
        gram: G, symmetric positive semi-definite, [N, N].

    Returns:
        (Ĝ, [N, N]; ln ‖J_i‖, [N]). A zero row has length -inf and a zero row in Ĝ.

    Examples:
        >>> import numpy as np
        >>> unit_gram, log_lengths = unit_diagonal(np.diag([4.0, 9.0]))
        >>> np.exp(log_lengths)
        array([2., 3.])
    """
    gram = _checked(gram)
    lengths = np.sqrt(np.maximum(np.diag(gram), 0.0))
    # 1/‖J_i‖, and 0 for a zero row, [N].
    inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    with np.errstate(divide="ignore"):
        return inverse[:, None] * gram * inverse[None, :], np.log(lengths)


def rescaled(unit_gram: Array, log_lengths: Array) -> Array:
    """Return G_ij = ‖J_i‖‖J_j‖ Ĝ_ij, the inverse of `unit_diagonal`; entries below 1e-308 become 0."""
    with np.errstate(under="ignore"):
        scale = np.exp(np.add.outer(log_lengths, log_lengths))
    return np.where(unit_gram == 0.0, 0.0, scale * unit_gram)  # 0 also where the scale overflows


def eigenvalues(gram: Array) -> Array:
    """Return the eigenvalues of a symmetric matrix in descending order, [N]."""
    return np.asarray(np.linalg.eigvalsh(_checked(gram))[::-1], np.float64)


def fisher_trace(gram: Array) -> float:
    """Return tr G / N, the trace of the empirical Fisher information, nats² per squared unit of weight."""
    return float(np.trace(gram) / len(gram))


def spectral_norm(gram: Array) -> float:
    """Return λ_1 / N, the largest eigenvalue of the empirical Fisher information."""
    return float(eigenvalues(gram)[0] / len(gram))


def frobenius_norm(gram: Array) -> float:
    """Return ‖G‖_F / N, the Frobenius norm of the empirical Fisher information."""
    return float(np.linalg.norm(gram) / len(gram))


def effective_rank(gram: Array) -> float:
    """Return exp(H(p)) with p = λ / Σλ: the number of directions that carry the spectrum, in [1, N].

    Returns:
        0 for a zero matrix.

    Source:
        Roy & Vetterli, EUSIPCO 2007.
    """
    values = np.maximum(eigenvalues(gram), 0.0)
    if not values.sum() > 0:
        return 0.0
    shares = values[values > 0] / values.sum()  # p ln p is 0 at p = 0, but NaN in NumPy
    return float(np.exp(-np.sum(shares * np.log(shares))))


def fisher_rao_norm(products: Array) -> float:
    """Return mean_i u_i², the squared Fisher-Rao norm wᵀFw of the weights.

    Args:
        products: u = J w, [N], nats.

    Source:
        Liang et al., AISTATS 2019, arXiv:1711.01530.
    """
    return float(np.mean(np.square(products)))


def gradient_noise_variance(gram: Array) -> float:
    """Return tr Σ = (tr G - Σ_ij G_ij / N) / (N - 1), Σ the unbiased covariance of the per-sample gradients.

    The gradient of a batch of b samples has variance tr Σ / b.

    Args:
        gram: G, [N, N], N at least 2.

    Raises:
        ValueError: there are fewer than two samples.

    Source:
        McCandlish et al., 2018, arXiv:1812.06162; as a measure: Jiang et al., 2020, arXiv:1912.02178.

    Examples:
        >>> import numpy as np
        >>> gradient_noise_variance(np.eye(2))
        1.0
    """
    count = len(gram)
    if count < 2:
        raise ValueError(f"a covariance needs at least two samples; got {count}.")
    return float((np.trace(gram) - gram.sum() / count) / (count - 1))


def _checked(gram: Array) -> Array:
    gram = np.asarray(gram, np.float64)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise ValueError(f"a Gram matrix must be square; got {gram.shape=}.")
    if not np.all(np.isfinite(gram)):
        raise ValueError("a Gram matrix must be finite; got NaN or infinity.")
    return gram
