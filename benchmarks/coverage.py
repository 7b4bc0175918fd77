"""How often the 95 % intervals of `compare` and `judge` cover the true value, and how often chance is significant.

Command:  python -m benchmarks.coverage [--tables 1000] [--parts draws chosen_best …] [--json FILE]
Expected: 93 to 97 % wherever an interval is shown; in at most about 5 % of tables equal measures are called apart.

Minima are drawn from a Gaussian copula: gap and measure are normal with the correlation that gives Kendall's τ = 0, 0.4
or 0.7. With ties both are rounded, to a third (about 15 distinct values) or to 0.7 (about 7) of a standard deviation.
In the part `main_effects` the axes decide instead: the gap is the sum of the levels, the measure the same sum with a
sign for each axis, and both get normal noise of 0.3, 0.6 or 1 steps between levels.
The true value comes from a large sample: of τ and ρ from 8 of 4,000 minima, of Ψ from 4,000 tables of the same grid.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from infomcr_cli.judging import influence as limits
from infomcr_cli.judging.conditional_information import conditional_information
from infomcr_cli.judging.differences import Competitor, differences_from_best
from infomcr_cli.judging.granulated import estimate_psi, group_taus
from infomcr_cli.judging.influence import Influence
from infomcr_cli.judging.minima import AxisPairs, Minima, axis_pairs
from infomcr_cli.judging.rank_correlation import dense_ranks, influence_on_tau_and_rho, spearman_rho, tau_b
from infomcr_cli.judging.sign_error import pair_weights
from infomcr_cli.measures.value import student_interval

SIZES = (8, 12, 16, 24, 48)
GRIDS = ((3, 3), (4, 4), (3, 3, 2), (2, 2, 2, 2), (5, 5), (2, 2, 2, 2, 2), (6, 8))
DEPENDENCE = (0.0, 0.4, 0.7)
EFFECTS = (((4, 4), (1, -1)), ((4, 4), (1, 1)), ((3, 3, 2), (1, 1, -1)), ((6, 8), (1, -1)))  # grid, sign of each axis
NOISES = (0.3, 0.6, 1.0)
TIES = {"none": 0.0, "some": 1 / 3, "many": 0.7}
LARGE, TRUTHS = 4000, 4000
PERCENT = 100.0
Row = dict[str, Any]
Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def copula(tau: float, step: float, measures: int = 1) -> Draw:
    """Return a function that draws measures [M, n] and the gap [n] of n minima.

    Args:
        tau:  Kendall's τ of each measure with the gap before rounding.
        step: to whose multiples both are rounded; 0: not at all.
    """
    rho = np.sin(np.pi * tau / 2)

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        gap = rng.standard_normal(n)
        values = rho * gap + np.sqrt(1 - rho**2) * rng.standard_normal((measures, n))
        return (np.round(values / step), np.round(gap / step)) if step else (values, gap)

    return draw


def grid(shape: Sequence[int], rows: np.ndarray | None = None) -> tuple[AxisPairs, ...]:
    """Return the pairs of every axis of a grid.

    Args:
        rows: the settings that there are; None: all.
    """
    levels = np.array(list(itertools.product(*map(range, shape))))
    levels = levels if rows is None else levels[rows]
    names = tuple(f"axis {index}" for index in range(len(shape)))
    return axis_pairs(Minima(np.zeros(len(levels)), levels, names, (), np.zeros((len(levels), 0)), len(levels)))


def psi_of(measure: np.ndarray, gap: np.ndarray, pairs: Sequence[AxisPairs]) -> float:
    """Return Ψ alone."""
    taus = [group_taus(dense_ranks(measure), dense_ranks(gap), one) for one in pairs]
    usable = [tau[np.isfinite(tau)] for tau in taus]
    return float(np.mean([tau.mean() for tau in usable if len(tau)]))


def covered(intervals: Sequence[tuple[float | None, float | None]], truth: float) -> float:
    """Return the percentage of the intervals that hold the true value."""
    known = [(low, high) for low, high in intervals if low is not None and high is not None]
    return round(PERCENT * float(np.mean([low <= truth <= high for low, high in known])), 1)


def percentile_bootstrap(measure: np.ndarray, gap: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Return the percentile interval of τ-b over 200 resamples of the minima, for comparison."""
    resamples = (rng.integers(len(gap), size=len(gap)) for _ in range(200))
    low, high = np.nanpercentile([tau_b(measure[rows], gap[rows]) for rows in resamples], (2.5, 97.5))
    return float(low), float(high)


def stream(*place: Any) -> np.random.Generator:
    """Return the random numbers of a part of the simulation, the same whatever other parts are run."""
    return np.random.default_rng(zlib.crc32(repr(place).encode()))


def correlations(tables: int) -> Iterator[Row]:
    """Yield the coverage for τ and ρ at every size, dependence and kind of ties."""
    for (ties, step), tau in itertools.product(TIES.items(), DEPENDENCE):
        rng = stream("correlations", ties, tau)
        draw = copula(tau, step)
        large = [draw(rng, LARGE) for _ in range(8)]
        truths = [float(np.mean([of(m[0], g) for m, g in large])) if tau else 0.0 for of in (tau_b, spearman_rho)]
        for n in SIZES:
            drawn = [draw(rng, n) for _ in range(tables)]
            found = [influence_on_tau_and_rho(dense_ranks(m[0]), dense_ranks(g)) for m, g in drawn]
            for index, name in enumerate(("τ", "ρ")):
                shown = covered([pair[index].interval() for pair in found], truths[index])
                yield {"statistic": name, "n": n, "true": tau, "ties": ties, "coverage": shown}
            if step == 0:
                taken = [percentile_bootstrap(m[0], g, rng) for m, g in drawn[: tables // 20]]
                shown = covered(taken, truths[0])
                yield {"statistic": "τ, bootstrap", "n": n, "true": tau, "ties": ties, "coverage": shown}


def granulated(tables: int) -> Iterator[Row]:
    """Yield the coverage for Ψ and, for comparison, for the sign error by the same method, which is not shown."""
    for shape in GRIDS:
        pairs, n = grid(shape), int(np.prod(shape))
        for (ties, step), tau in itertools.product(TIES.items(), DEPENDENCE):
            draw, rng = copula(tau, step), stream("granulated", shape, ties, tau)
            truth = tau  # without ties Ψ is unbiased; without dependence it is 0 whatever the ties
            if step and tau:
                truth = float(np.nanmean([psi_of(m[0], g, pairs) for m, g in (draw(rng, n) for _ in range(TRUTHS))]))
            drawn = [draw(rng, n) for _ in range(tables)]
            found = [estimate_psi(dense_ranks(m[0]), dense_ranks(g), pairs)[0] for m, g in drawn]
            shown = covered([(one.low, one.high) for one in found], truth)
            where = {"grid": "×".join(map(str, shape)), "n": n, "true": tau, "ties": ties}
            yield {"statistic": "Ψ", **where, "coverage": shown}
            if shape in ((4, 4), (6, 8)):
                many = [_sign_terms(*draw(rng, n), pairs) for _ in range(TRUTHS)]
                truth = float(np.sum([one[0] for one in many]) / np.sum([one[1] for one in many]))
                taken = [_sign_influence(*part, pairs).interval() for part in drawn[: tables // 2]]
                yield {"statistic": "sign error", **where, "coverage": covered(taken, truth)}


def incomplete_grids(tables: int) -> Iterator[Row]:
    """Yield the coverage for Ψ if some settings of a grid are missing, other ones in each table; without ties."""
    for shape, missing, tau in itertools.product(((5, 5), (2, 2, 2, 2, 2), (6, 8)), (0.1, 0.25), DEPENDENCE):
        settings = int(np.prod(shape))
        n = settings - round(missing * settings)
        draw, rng = copula(tau, 0.0), stream("incomplete", shape, missing, tau)
        found = []
        for _ in range(tables):
            pairs, (measures, gap) = grid(shape, rng.choice(settings, n, replace=False)), draw(rng, n)
            found.append(estimate_psi(dense_ranks(measures[0]), dense_ranks(gap), pairs)[0])
        where = {"grid": "×".join(map(str, shape)), "missing": f"{missing:.0%}", "n": n, "true": tau}
        # A group of any size has the same expected τ, so that τ is the true Ψ.
        shown = covered([(one.low, one.high) for one in found], tau)
        yield {"statistic": "Ψ of incomplete grids", **where, "coverage": shown}


def main_effects(tables: int) -> Iterator[Row]:
    """Yield the coverage for Ψ if the measure follows the gap along some axes and is reversed along others."""
    for (shape, signs), noise in itertools.product(EFFECTS, NOISES):
        pairs, rng = grid(shape), stream("main effects", shape, signs, noise)
        draw = additive(shape, signs, noise)
        truth = float(np.mean([psi_of(*draw(rng), pairs) for _ in range(TRUTHS)]))
        drawn = [draw(rng) for _ in range(tables)]
        found = [estimate_psi(dense_ranks(mu), dense_ranks(g), pairs)[0] for mu, g in drawn]
        shown = covered([(one.low, one.high) for one in found], truth)
        where = {
            "grid": "×".join(map(str, shape)),
            "signs": ", ".join(f"{one:+}" for one in signs).replace("-", "−"),
            "noise": noise,
        }
        yield {"statistic": "Ψ of main effects", **where, "coverage": shown}


def additive(
    shape: Sequence[int], signs: Sequence[int], noise: float
) -> Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]:
    """Return a function that draws measure [n] and gap [n] of a complete grid with additive effects of its axes."""
    levels = np.array(list(itertools.product(*map(range, shape))), float)  # [n, axes]

    def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        of_measure, of_gap = noise * rng.standard_normal((2, len(levels)))
        return levels @ np.array(signs, float) + of_measure, levels.sum(axis=1) + of_gap

    return draw


def _sign_terms(measures: np.ndarray, gap: np.ndarray, pairs: Sequence[AxisPairs]) -> tuple[float, float]:
    """Return Σ w·sign Δμ·sign Δg and Σ w over all pairs, for gaps of 2 points of standard deviation."""
    parts = [_weighted(measures, gap, one) for one in pairs]
    return sum(float((w * s).sum()) for w, s in parts), sum(float(w.sum()) for w, _ in parts)


def _weighted(measures: np.ndarray, gap: np.ndarray, pairs: AxisPairs) -> tuple[np.ndarray, np.ndarray]:
    change = gap[pairs.first] - gap[pairs.second]
    return pair_weights(0.02 * change, 10_000), np.sign(change) * np.sign(
        measures[0][pairs.first] - measures[0][pairs.second]
    )


def _sign_influence(measures: np.ndarray, gap: np.ndarray, pairs: Sequence[AxisPairs]) -> Influence:
    agree, total = _sign_terms(measures, gap, pairs)
    value, phi = agree / total if total else np.nan, np.zeros(len(gap))
    for one in pairs:
        weight, sign = _weighted(measures, gap, one)
        for end in (one.first, one.second):
            phi += np.bincount(end, weights=weight * (sign - value) / max(total, 1e-9), minlength=len(gap))
    return Influence(value, phi, len(gap), 1 / max(total, 1.0), mean_step=0.0)


def chosen_best(tables: int) -> Iterator[Row]:
    """Yield how often some of M equally good measures is called apart, and how often all intervals hold."""
    places = [("τ", n, None) for n in (16, 24, 48)] + [("Ψ", 16, (4, 4)), ("Ψ", 48, (6, 8))]
    for (name, n, shape), count, tau, ties in itertools.product(places, (2, 24), DEPENDENCE, ("none", "some")):
        pairs = grid(shape) if shape else ()
        draw, rng = copula(tau, TIES[ties], count), stream("best", name, n, count, tau, ties)
        apart, hold = 0, 0
        for index in range(tables):
            measures, gap = draw(rng, n)
            found = [_influence(row, gap, pairs) for row in measures]
            competitors = [Competitor(str(m), one) for m, one in enumerate(found)]
            best = differences_from_best(competitors, (), name, simulations=400, seed=index).values()
            apart += any(one.significant for one in best)
            hold += all(one.low <= 0 <= one.high for one in best if one.low is not None and one.high is not None)
        where = {"statistic": f"difference in {name}", "n": n, "measures": count, "true": tau, "ties": ties}
        yield {**where, "coverage": round(PERCENT * hold / tables, 1), "apart": round(PERCENT * apart / tables, 1)}


def _influence(measure: np.ndarray, gap: np.ndarray, pairs: Sequence[AxisPairs]) -> Influence:
    ranks, gaps = dense_ranks(measure), dense_ranks(gap)
    return estimate_psi(ranks, gaps, pairs)[1] if pairs else influence_on_tau_and_rho(ranks, gaps)[0]


def draws(tables: int) -> Iterator[Row]:
    """Yield the coverage of the interval of gamma over T draws, normal ones and skewed ones (log-normal, σ = 0.3)."""
    for count, kind in itertools.product((2, 3, 5, 10, 30, 100), ("normal", "skewed")):
        normal = stream("draws", count, kind).standard_normal((tables, count))
        values, truth = (normal, 0.0) if kind == "normal" else (np.exp(0.3 * normal), float(np.exp(0.045)))
        means, errors = values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(count)
        taken = [student_interval(mean, error, count) for mean, error in zip(means, errors, strict=True)]
        yield {"statistic": "gamma", "draws": count, "kind": kind, "coverage": covered(taken, truth)}


def bias_of_k(tables: int) -> Iterator[Row]:
    """Yield the mean of K of a measure that knows nothing of the gap, whose true K is 0."""
    for shape in ((4, 4), (6, 8)):
        rng = stream("K", shape)
        levels = np.array(list(itertools.product(*map(range, shape))))
        found = []
        for _ in range(tables // 20):
            measures, gap = copula(0.0, 0.0)(rng, len(levels))
            minima = Minima(gap, levels, ("a", "b"), ("m",), measures.T, len(levels))
            found.append(conditional_information(minima, dense_ranks(measures[0])[:, None], 0)[0].value or 0.0)
        low = round(float(np.percentile(found, 2.5)), 4)
        yield {
            "statistic": "K",
            "grid": "×".join(map(str, shape)),
            "true": 0.0,
            "mean": round(float(np.mean(found)), 4),
            "low": low,
        }


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the rows as a Markdown table for each statistic: a line for each place, a column for each dependence."""
    for name in dict.fromkeys(row["statistic"] for row in rows):
        yield f"\n### {name}\n"
        found = [row for row in rows if row["statistic"] == name]
        keys = [key for key in found[0] if key not in ("statistic", "true", "coverage", "apart", "mean", "low")]
        shown = [key for key in ("coverage", "apart", "mean", "low") if key in found[0]]
        truths = list(dict.fromkeys(row.get("true") for row in found))
        head = [f"{key}, true {truth}" if truth is not None else key for truth in truths for key in shown]
        yield "| " + " | ".join([*keys, *head]) + " |"
        yield "| --- " * (len(keys) + len(head)) + "|"
        for place in dict.fromkeys(tuple(row[key] for key in keys) for row in found):
            of = {row.get("true"): row for row in found if tuple(row[key] for key in keys) == place}
            cells = [of[truth][key] if truth in of else "" for truth in truths for key in shown]
            yield "| " + " | ".join(map(str, [*place, *cells])) + " |"


# part → the function, and its tables for each of --tables
PARTS: dict[str, tuple[Callable[[int], Iterator[Row]], float]] = {
    "draws": (draws, 10),
    "correlations": (correlations, 1),
    "granulated": (granulated, 1),
    "incomplete_grids": (incomplete_grids, 1),
    "main_effects": (main_effects, 0.25),
    "chosen_best": (chosen_best, 0.2),
    "bias_of_k": (bias_of_k, 1),
}


def main() -> int:
    """Simulate, print the tables, write all rows as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    vars(limits)["FEWEST_RANKED"] = 3  # the simulation also shows what intervals below the limit would do
    start, rows = time.perf_counter(), list[Row]()
    for name in options.parts:
        part, share = PARTS[name]
        rows += part(max(1, int(share * options.tables)))
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    print("\n".join(table(rows)))
    if options.json:
        about = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
        options.json.write_text(json.dumps({**about, "tables": options.tables, "rows": rows}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
