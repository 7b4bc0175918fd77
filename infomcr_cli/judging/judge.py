"""Rank measures: from a `Minima` record to the statistics of every measure, best first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from infomcr_cli.errors import InputError
from infomcr_cli.judging.bootstrap import interval, resample_counts
from infomcr_cli.judging.conditional_information import conditional_information
from infomcr_cli.judging.granulated import estimate_psi
from infomcr_cli.judging.minima import Minima, control_minima, ranked_minima
from infomcr_cli.judging.pairs import axis_pairs
from infomcr_cli.judging.rank_correlation import dense_ranks, estimate_rho, estimate_tau
from infomcr_cli.judging.result import (
    STATISTICS,
    ConditionalInformation,
    Difference,
    Estimate,
    Granulated,
    MeasureResult,
    RankingResult,
    SignError,
    number,
)
from infomcr_cli.judging.sign_error import sign_errors
from infomcr_cli.judging.ties import DIGITS

RESAMPLES = 1000
FEWEST = 3  # minima; with fewer there are no statistics


@dataclass(frozen=True)
class _Resampled:
    """The result of one measure and the resamples [B] of its statistics, for paired differences."""

    result: MeasureResult
    samples: Mapping[str, np.ndarray]


def judge_minima(
    runs: Minima,
    *,
    gap: str,
    n_test: int | None = None,
    seed: int = 0,
    directions: Mapping[str, str] | None = None,
    rank_by: str = "kendall_tau",
    resamples: int = RESAMPLES,
) -> RankingResult:
    """Rank every measure of some runs by how it orders the gap.

    Args:
        runs:       one row for each run; replicates are averaged here.
        gap:        name of the gap.
        n_test:     size of the test set, for the weights of the sign error; None: no sign error.
        seed:       of the bootstrap, of sampled pairs and of the control measures.
        directions: measure → "lower" or "higher" (is better); it decides the order alone. Absent: lower.
        rank_by:    the statistic that orders the measures and that differences from the best are of.
        resamples:  B.

    Raises:
        InputError: `n_test` is below 1, or `rank_by` is not a statistic.

    Examples:
        >>> levels = np.arange(3).reshape(3, 1)
        >>> runs = Minima(np.array([0.1, 0.2, 0.3]), levels, ("lr",), ("gamma",), levels * 1.0, rows=3)
        >>> judge_minima(runs, gap="error").measures[0].kendall_tau.value
        1.0
    """
    if n_test is not None and n_test < 1:
        raise InputError("n_test must be at least 1", received=n_test)
    if rank_by not in STATISTICS:
        raise InputError("rank_by must be a statistic", received=rank_by, accepted=STATISTICS)
    minima = ranked_minima(runs, average=runs.replicates)
    notes = _notes(minima, n_test)
    statistics = _statistics
    if minima.n < FEWEST <= minima.rows:
        minima, statistics = ranked_minima(runs, average=False), _statistics_of_single_runs
    found = statistics(minima, directions or {}, n_test, seed, resamples)
    controls = statistics(control_minima(minima, seed), {}, n_test, seed, resamples)
    return RankingResult(
        n=minima.n,
        rows=minima.rows,
        gap=gap,
        axes=runs.axes,
        n_test=n_test,
        seed=seed,
        resamples=resamples,
        rank_by=rank_by,
        measures=tuple(_ranked(found, rank_by)),
        controls=tuple(one.result for one in controls),
        digits=DIGITS,
        left_out=minima.left_out,
        notes=tuple(notes),
    )


def _statistics(
    minima: Minima, directions: Mapping[str, str], n_test: int | None, seed: int, resamples: int
) -> list[_Resampled]:
    """Return the statistics of every measure, in the order of the columns."""
    known = np.isfinite(minima.measures)
    results = [_empty_result(minima, name, directions, int(known[:, m].sum())) for m, name in enumerate(minima.names)]
    if minima.n < FEWEST:
        return [_Resampled(result, {}) for result in results]
    ranks = np.full(known.shape, -1, np.int64)  # [n, M], −1 where missing
    for m in range(len(results)):
        ranks[known[:, m], m] = dense_ranks(minima.measures[known[:, m], m])
    gap, pairs, counts = dense_ranks(minima.gap), axis_pairs(minima), resample_counts(minima.n, resamples, seed)
    information = conditional_information(minima, ranks, seed)
    errors, error_samples = [SignError()] * len(results), np.full((resamples, len(results)), np.nan)
    if n_test is not None:
        errors, error_samples = sign_errors(minima, pairs, ranks, n_test=n_test, resamples=resamples, seed=seed)
    found = []
    for m, result in enumerate(results):
        have = known[:, m]
        if result.n < FEWEST:
            found.append(_Resampled(result, {}))
            continue
        tau, taus = estimate_tau(ranks[have, m], gap[have], counts[:, have])
        rho, rhos = estimate_rho(ranks[have, m], gap[have], counts[:, have])
        psi, psis = estimate_psi(ranks[:, m], gap, pairs, resamples, seed)
        result = replace(result, kendall_tau=tau, spearman_rho=rho, granulated_psi=psi)
        result = replace(result, conditional_information=information[m], sign_error=errors[m])
        samples = {"kendall_tau": taus, "spearman_rho": rhos, "granulated_psi": psis, "sign_error": error_samples[:, m]}
        found.append(_Resampled(result, samples))
    return found


def _statistics_of_single_runs(
    minima: Minima, directions: Mapping[str, str], n_test: int | None, seed: int, resamples: int
) -> list[_Resampled]:
    """Return τ and ρ over single runs, which is all that fewer than three settings allow."""
    without_axes = replace(minima, axes=(), levels=minima.levels[:, :0])
    found = []
    for one in _statistics(without_axes, directions, None, seed, resamples):
        whole = one.result
        empty = _empty_result(minima, whole.name, directions, whole.n)
        result = replace(empty, kendall_tau=whole.kendall_tau, spearman_rho=whole.spearman_rho)
        found.append(_Resampled(result, one.samples))
    return found


def _empty_result(minima: Minima, name: str, directions: Mapping[str, str], n: int) -> MeasureResult:
    """Return a result without statistics for a measure with n values."""
    return MeasureResult(
        name=name,
        direction=directions.get(name),
        n=n,
        kendall_tau=Estimate(n=n),
        spearman_rho=Estimate(n=n),
        granulated_psi=Granulated(axes=dict.fromkeys(minima.axes), groups=dict.fromkeys(minima.axes, 0)),
        conditional_information=ConditionalInformation(),
        sign_error=SignError(),
        mixed=name in minima.mixed,
    )


def _ranked(found: list[_Resampled], rank_by: str) -> list[MeasureResult]:
    """Return the results, best first and equals by name, each with its difference from the best."""
    ranked = sorted(found, key=lambda one: (-_score(one, rank_by), one.result.name))
    if not ranked or ranked[0].result.oriented(rank_by) is None:
        return [one.result for one in ranked]
    statistic = rank_by if rank_by in ranked[0].samples else "kendall_tau"
    best = max(ranked, key=lambda one: _score(one, statistic))
    return [replace(one.result, against_best=_difference(best, one, statistic)) for one in ranked]


def _score(one: _Resampled, statistic: str) -> float:
    value = one.result.oriented(statistic)
    return float("-inf") if value is None else value


def _difference(best: _Resampled, other: _Resampled, statistic: str) -> Difference | None:
    """Return the best measure's lead in a statistic, with its paired bootstrap interval."""
    ahead, behind = best.result.oriented(statistic), other.result.oriented(statistic)
    if best is other or ahead is None or behind is None:
        return None
    samples = [one.result.orient(statistic, one.samples[statistic]) for one in (best, other)]
    low, high = interval(samples[0] - samples[1])
    return Difference(
        best=best.result.name,
        statistic=statistic,
        difference=number(ahead - behind),
        low=low,
        high=high,
        significant=None if low is None else low > 0,
        mixed=best.result.mixed or other.result.mixed,
    )


def _notes(minima: Minima, n_test: int | None) -> list[str]:
    notes = []
    if minima.rows < FEWEST:
        notes.append(f"No statistics: they need at least {FEWEST} minima; there are {minima.rows}.")
    elif minima.n < FEWEST:
        notes.append(
            f"{minima.rows} rows have only {minima.n} settings, which differ in the seed: τ and ρ are over single "
            f"rows, as if each seed were a minimum; Ψ, K and the sign error need at least {FEWEST} settings."
        )
    elif minima.n < minima.rows:
        notes.append(f"{minima.rows} rows are {minima.n} minima: replicates that differ in the seed are averaged.")
    if minima.n >= FEWEST and np.ptp(minima.gap) == 0:
        notes.append(f"Nothing to rank: the gap is the same, to {DIGITS} digits, in all minima.")
    if n_test is None:
        notes.append("No sign error: its weights need the size of the test set (n_test).")
    return notes + minima.left_out.sentences(minima.rows)
