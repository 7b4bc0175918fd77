"""Whether Markov chains have converged, and how many independent draws they are worth.

| symbol | meaning |
| --- | --- |
| x [m, n] | n values of each of m chains |
| W | mean over chains of the variance within a chain |
| B/n | variance of the chains' means |
| V | (n-1)/n · W + B/n, the variance that is estimated from all of them |
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def split_rhat(chains: Array) -> float:
    """Return R̂ = √(V/W) over the halves of all chains; near 1 if they agree and none of them drifts.

    Args:
        chains: x, [m, n], n at least 4; a middle value of an odd number is left out.

    Source:
        Gelman et al., Bayesian Data Analysis, 3rd edition, 2013, section 11.4; Vehtari et al., 2021, arXiv:1903.08008.

    Examples:
        >>> import numpy as np
        >>> split_rhat(np.array([[1.0, 2.0, 1.0, 2.0], [1.0, 2.0, 1.0, 2.0]]))  # halves of one mean: √((n-1)/n)
        0.7071067811865476
    """
    halves = _halves(chains)
    within, total = _variances(halves)
    if total == 0:  # all values are one: nothing disagrees
        return 1.0
    return float(np.sqrt(total / within)) if within > 0 else float("inf")


def effective_sample_size(chains: Array) -> float:
    """Return m·n / (1 + 2 Σ ρ_t): how many independent draws give the mean with the same error.

    ρ_t is the autocorrelation at lag t over the halves of all chains. The sum ends where a pair ρ_2k + ρ_2k+1 is
    negative, and pairs are made to fall with k (Geyer's initial monotone sequence). Of the negative pair ρ_2k is added
    once if it is positive, as Stan and ArviZ do.

    Args:
        chains: x, [m, n], n at least 4.

    Source:
        Geyer, Statistical Science 7 (1992); Vehtari et al., 2021, arXiv:1903.08008, equations 10 to 14.
    """
    halves = _halves(chains)
    within, total = _variances(halves)
    if total == 0:
        return float(halves.size)
    correlations = 1 - (within - _autocovariances(halves).mean(axis=0)) / total  # [n]
    correlations[0] = 1.0
    even = len(correlations) // 2 * 2
    pairs = correlations[:even].reshape(-1, 2).sum(axis=1)  # ρ_2k + ρ_2k+1, [n/2]
    last = int(np.argmax(pairs < 0)) if (pairs < 0).any() else len(pairs)
    beyond = max(correlations[2 * last], 0.0) if last < len(pairs) else 0.0
    time = -1 + 2 * float(np.minimum.accumulate(pairs[:last]).sum()) + beyond
    return float(halves.size / max(time, 1 / np.log10(halves.size)))  # as Stan bounds what alternating draws give


def _halves(chains: Array) -> Array:
    """Return the first and the last half of each chain, [2m, ⌊n/2⌋]."""
    half = chains.shape[1] // 2
    return np.concatenate([chains[:, :half], chains[:, -half:]])


def _variances(chains: Array) -> tuple[float, float]:
    """Return W and V."""
    length = chains.shape[1]
    within = float(chains.var(axis=1, ddof=1).mean())
    between = float(chains.mean(axis=1).var(ddof=1))  # B/n
    return within, (length - 1) / length * within + between


def _autocovariances(chains: Array) -> Array:
    """Return the autocovariance of each chain at each lag, with n in the denominator, [m, n]."""
    length = chains.shape[1]
    centred = chains - chains.mean(axis=1, keepdims=True)
    # Zeros to twice the length, so that the end of a chain does not meet its beginning.
    spectrum = np.fft.rfft(centred, 2 * length, axis=1)
    products = np.fft.irfft(np.abs(spectrum) ** 2, 2 * length, axis=1)[:, :length]
    return np.asarray(products / length)
