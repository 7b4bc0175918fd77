"""Slow reference: every ranking statistic as its definition says, pair by pair, in plain Python."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations, permutations

import numpy as np

Rows = Sequence[tuple[object, ...]]  # for each minimum its value on each axis
Values = Sequence[float]


def sign(x: float) -> int:
    return (x > 0) - (x < 0)


def tau_b(mu: Values, g: Values) -> float | None:
    """Return τ-b by counting pairs; None if μ or g is constant."""
    agree = mu_varies = g_varies = 0
    for i, j in combinations(range(len(mu)), 2):
        a, b = sign(mu[i] - mu[j]), sign(g[i] - g[j])
        agree += a * b
        mu_varies += a != 0
        g_varies += b != 0
    return agree / math.sqrt(mu_varies * g_varies) if mu_varies and g_varies else None


def psi(rows: Rows, mu: Values, g: Values) -> tuple[float | None, dict[int, float | None]]:
    """Return Ψ, and index of the axis → ψ."""
    by_axis: dict[int, float | None] = {}
    for axis in range(len(rows[0])):
        groups = defaultdict(list)
        for index, row in enumerate(rows):
            groups[row[:axis] + row[axis + 1 :]].append(index)
        taus = []
        for members in groups.values():
            if len({g[i] for i in members}) == 1:
                continue
            tau = tau_b([mu[i] for i in members], [g[i] for i in members])
            taus.append(0.0 if tau is None else tau)
        by_axis[axis] = sum(taus) / len(taus) if taus else None
    known = [value for value in by_axis.values() if value is not None]
    return (sum(known) / len(known) if known else None), by_axis


def entropy(counter: Counter[object]) -> float:
    """Return the entropy of the relative frequencies, in nats."""
    total = sum(counter.values())
    return -sum(c / total * math.log(c / total) for c in counter.values() if c)


def information(rows: Rows, mu: Values, g: Values) -> tuple[float | None, float]:
    """Return K and the share of ordered pairs with Δμ ≠ 0."""
    pairs = list(permutations(range(len(mu)), 2))
    used = [(i, j) for i, j in pairs if mu[i] != mu[j] and g[i] != g[j]]
    ratios = []
    for size in range(3):
        for chosen in combinations(range(len(rows[0])), size):
            cells = defaultdict(list)
            for i, j in used:
                condition = tuple((rows[i][a], rows[j][a]) for a in chosen)
                cells[condition].append((sign(mu[i] - mu[j]), sign(g[i] - g[j])))
            h_g = h_mu = h_both = 0.0
            for cell in cells.values():
                share = len(cell) / len(used)
                h_mu += share * entropy(Counter(v for v, _ in cell))
                h_g += share * entropy(Counter(v for _, v in cell))
                h_both += share * entropy(Counter(cell))
            if h_g > 1e-12:
                ratios.append((h_g + h_mu - h_both) / h_g)
    return (min(ratios) if ratios else None), sum(mu[i] != mu[j] for i, j in pairs) / len(pairs)


def sign_error(rows: Rows, mu: Values, g: Values, n: int) -> tuple[float | None, float | None, float | None, int]:
    """Return (mean, 90th percentile, maximum, pairs of non-zero weight)."""
    environments, pairs = defaultdict(list), 0
    for i, j in combinations(range(len(mu)), 2):
        differing = [a for a in range(len(rows[0])) if rows[i][a] != rows[j][a]]
        if len(differing) != 1:
            continue
        v = max(0.0, 1 - 2 * math.exp(-2 * n * (abs(g[i] - g[j]) / 2) ** 2)) ** 2
        weight = max(0.0, v - 0.5)
        if weight:
            axis = differing[0]
            error = (1 - sign(mu[i] - mu[j]) * sign(g[i] - g[j])) / 2
            environments[axis, frozenset((rows[i][axis], rows[j][axis]))].append((weight, error))
            pairs += 1
    if not environments:
        return None, None, None, 0
    everything = [pair for part in environments.values() for pair in part]
    means = [sum(w * e for w, e in part) / sum(w for w, _ in part) for part in environments.values()]
    mean = sum(w * e for w, e in everything) / sum(w for w, _ in everything)
    return mean, float(np.percentile(means, 90)), max(means), pairs
