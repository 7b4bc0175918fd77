"""The two rows that every measure is held against: one that nearly knows the gap, and one that knows nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from infomcr_cli.report.minima import Minima

ORACLE, RANDOM = "oracle", "random"
ORACLE_NOISE = 0.1  # of the gap's standard deviation


def reference_minima(minima: Minima, seed: int) -> Minima:
    """Return the minima with two measures, an oracle (the gap and a tenth of its spread as noise) and a random one."""
    rng = np.random.default_rng([seed, 0x0AC1E])
    noise = rng.standard_normal((2, minima.n))
    spread = float(np.std(minima.gap)) if minima.n else 0.0
    values = np.stack([minima.gap + ORACLE_NOISE * spread * noise[0], noise[1]], axis=1)
    return replace(minima, names=(ORACLE, RANDOM), measures=values, mixed=frozenset())
