"""Bootstrap resamples as matrices of counts, and percentile intervals.

A resample of n things is a vector of counts that sums to n. All resamples form one matrix [B, n], so a statistic of
weighted pairs is a matrix product. All measures share the resamples, so their differences are paired.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from infomcr_cli.judging.result import number

PERCENTILES = (2.5, 97.5)
_CHUNK = 4_000_000  # entries of a block of counts: 32 MB


def resample_counts(n: int, resamples: int, seed: int) -> np.ndarray:
    """Return how often each of n things is drawn in each resample, float32 [B, n]; each row sums to n."""
    return np.concatenate(list(count_blocks(n, resamples, seed)))


def count_blocks(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the rows of `resample_counts` in blocks that fit in memory, float32 [b, n]."""
    rng = np.random.default_rng([seed, n])
    for start in range(0, resamples, step := max(1, _CHUNK // max(n, 1))):
        rows = min(step, resamples - start)
        drawn = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]  # row b counts in bins [b·n, b·n + n)
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float32)


def interval(samples: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95 % percentile interval of the finite samples [B], or (None, None) if there are fewer than two."""
    finite = samples[np.isfinite(samples)]
    if len(finite) < 2:
        return None, None
    low, high = np.percentile(finite, PERCENTILES)
    return number(low), number(high)
