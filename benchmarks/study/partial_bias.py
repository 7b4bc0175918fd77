"""Simulate how often partial correlations find a link in a measure that follows the training loss alone.

Command:  python -m benchmarks.study.partial_bias
Expected: docs/study.md, deviations from the plan.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.study.statistics import partial_rho, partial_tau

TABLES, MINIMA = 100, 162
OF_MEASURE, OF_GAP = 0.9, 0.6  # correlations with the training loss


def main() -> None:
    """Print in how many tables the interval of each correlation lies above 0."""
    above = {"tau": 0, "rho": 0}
    for seed in range(TABLES):
        rng = np.random.default_rng(seed)
        loss = rng.normal(size=MINIMA)
        measure, gap = (r * loss + math.sqrt(1 - r**2) * rng.normal(size=MINIMA) for r in (OF_MEASURE, OF_GAP))
        for name, partial in (("tau", partial_tau), ("rho", partial_rho)):
            low = partial(measure, gap, loss).low
            above[name] += low is not None and low > 0
    print(f"of {TABLES} tables of {MINIMA} minima an interval lies above 0: {above}")


if __name__ == "__main__":
    main()
