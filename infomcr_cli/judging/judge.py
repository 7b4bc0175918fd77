"""From minima to a verdict on each of their measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from infomcr_cli.errors import InputError
from infomcr_cli.judging.bootstrap import interval, resample_counts
from infomcr_cli.judging.conditional_information import conditional_information
from infomcr_cli.judging.granulated import granulated_psi, group_taus, psi_resampled
from infomcr_cli.judging.minima import DIGITS, Minima, control_minima, settled
from infomcr_cli.judging.pairs import AxisPairs, axis_pairs
from infomcr_cli.judging.rank_correlation import (
    dense_ranks,
    spearman_rho,
    spearman_rho_resampled,
    tau_b,
    tau_b_resampled,
)
from infomcr_cli.judging.result import (
    STATISTICS,
    ConditionalInformation,
    Estimate,
    Granulated,
    MeasureResult,
    Paired,
    RankingResult,
    SignError,
    number,
)
from infomcr_cli.judging.sign_error import sign_errors

RESAMPLES = 1000
FEWEST = 3  # minima below which nothing is said


@dataclass(frozen=True)
class _Judged:
    """A measure's verdict with the resamples [B] of its statistics, for paired differences."""

    verdict: MeasureResult
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
    """Judge every measure of some runs by how it ranks the gap.

    Args:
        runs:       one row for each run; replicates are averaged here.
        gap:        name of the gap.
        n_test:     size of the test set, for the weights of the sign error; None: no sign error.
        seed:       of the bootstrap, of sampled pairs and of the reference rows.
        directions: measure → "lower" or "higher" (is better); decides the order alone. Absent: lower.
        rank_by:    the statistic that orders the measures and that differences from the best are taken of.
        resamples:  B.

    Raises:
        InputError: `n_test` is below 1, or `rank_by` is not a statistic.
    """
    if n_test is not None and n_test < 1:
        raise InputError("n_test must be at least 1", received=n_test)
    if rank_by not in STATISTICS:
        raise InputError("rank_by must be a statistic", received=rank_by, accepted=STATISTICS)
    minima = settled(runs, average=runs.replicates)
    notes = _notes(minima, n_test)
    if pooled := minima.n < FEWEST <= minima.rows:
        minima = settled(runs, average=False)
    judging = _judged_pooled if pooled else _judged
    judged = judging(minima, n_test, seed, directions or {}, resamples)
    references = judging(control_minima(minima, seed), n_test, seed, {}, resamples)
    return RankingResult(
        n=minima.n,
        rows=minima.rows,
        gap=gap,
        axes=runs.axes,
        n_test=n_test,
        seed=seed,
        resamples=resamples,
        rank_by=rank_by,
        measures=tuple(_ordered(judged, rank_by)),
        references=tuple(one.verdict for one in references),
        digits=DIGITS,
        left_out=minima.left_out,
        notes=tuple(notes),
    )


def _judged(
    minima: Minima, n_test: int | None, seed: int, directions: Mapping[str, str], resamples: int
) -> list[_Judged]:
    ranks = _ranks(minima.measures)
    if minima.n < FEWEST:
        return [_Judged(_silent(minima, m, directions), {}) for m in range(len(minima.names))]
    pairs = axis_pairs(minima)
    counts = resample_counts(minima.n, resamples, seed)
    information = conditional_information(minima, ranks, seed)
    errors, error_samples = _sign_errors(minima, pairs, ranks, n_test, resamples, seed)
    judged = []
    for m, name in enumerate(minima.names):
        one = _rank_statistics(minima, m, ranks[:, m], pairs, counts, seed)
        enough = one.verdict.n >= FEWEST
        verdict = replace(one.verdict, direction=directions.get(name))
        if enough:
            verdict = replace(verdict, conditional_information=information[m], sign_error=errors[m])
        judged.append(_Judged(verdict, {**one.samples, "sign_error": error_samples[:, m]} if enough else {}))
    return judged


def _judged_pooled(
    minima: Minima, n_test: int | None, seed: int, directions: Mapping[str, str], resamples: int
) -> list[_Judged]:
    """Return τ and ρ alone, over single runs: all that can be said of fewer than three settings."""
    whole = _judged(replace(minima, axes=(), levels=minima.levels[:, :0]), None, seed, directions, resamples)
    silent = [_silent(minima, m, directions) for m in range(len(minima.names))]
    return [
        replace(
            one,
            verdict=replace(
                none, n=one.verdict.n, kendall_tau=one.verdict.kendall_tau, spearman_rho=one.verdict.spearman_rho
            ),
        )
        for one, none in zip(whole, silent, strict=True)
    ]


def _ranks(measures: np.ndarray) -> np.ndarray:
    """Return dense ranks of each column, −1 where the value is missing, int64 [n, M]."""
    ranks = np.full(measures.shape, -1, np.int64)
    for column in range(measures.shape[1]):
        known = np.isfinite(measures[:, column])
        ranks[known, column] = dense_ranks(measures[known, column])
    return ranks


def _rank_statistics(
    minima: Minima, index: int, ranks: np.ndarray, pairs: tuple[AxisPairs, ...], counts: np.ndarray, seed: int
) -> _Judged:
    """Return τ, ρ and Ψ of one measure over the minima that have it."""
    known = ranks >= 0
    verdict = replace(_silent(minima, index, {}), n=int(known.sum()))
    if verdict.n < FEWEST:
        return _Judged(verdict, {})
    mu, g, chosen = ranks[known], minima.gap[known], counts[:, known]
    gap_ranks = dense_ranks(minima.gap)
    taus = {one.axis: group_taus(ranks, gap_ranks, one) for one in pairs}
    samples = {
        "kendall_tau": tau_b_resampled(mu, g, chosen),
        "spearman_rho": spearman_rho_resampled(mu, g, chosen),
        "granulated_psi": psi_resampled(list(taus.values()), len(counts), seed),
    }
    verdict = replace(
        verdict,
        kendall_tau=_estimate(tau_b(mu, g), samples["kendall_tau"], verdict.n),
        spearman_rho=_estimate(spearman_rho(mu, g), samples["spearman_rho"], verdict.n),
        granulated_psi=granulated_psi(taus, samples["granulated_psi"]),
    )
    return _Judged(verdict, samples)


def _estimate(value: float, samples: np.ndarray, n: int) -> Estimate:
    low, high = interval(samples) if np.isfinite(value) else (None, None)
    return Estimate(number(value), low, high, n)


def _sign_errors(
    minima: Minima, pairs: tuple[AxisPairs, ...], ranks: np.ndarray, n_test: int | None, resamples: int, seed: int
) -> tuple[list[SignError], np.ndarray]:
    if n_test is None:
        count = len(minima.names)
        return [SignError(None, None, None, None, None, 0, 0)] * count, np.full((resamples, count), np.nan)
    return sign_errors(minima, pairs, ranks, n_test=n_test, resamples=resamples, seed=seed)


def _silent(minima: Minima, index: int, directions: Mapping[str, str]) -> MeasureResult:
    """Return a verdict without statistics."""
    name, n = minima.names[index], int(np.isfinite(minima.measures[:, index]).sum())
    nothing = Estimate(None, None, None, n)
    return MeasureResult(
        name=name,
        direction=directions.get(name),
        n=n,
        kendall_tau=nothing,
        spearman_rho=nothing,
        granulated_psi=Granulated(None, None, None, dict.fromkeys(minima.axes), dict.fromkeys(minima.axes, 0)),
        conditional_information=ConditionalInformation(None, None, 0, sampled=False),
        sign_error=SignError(None, None, None, None, None, 0, 0),
        mixed=name in minima.mixed,
    )


def _ordered(judged: list[_Judged], rank_by: str) -> list[MeasureResult]:
    """Return the verdicts, best first and equals by name, each held against the best on the same resamples."""
    ranked = sorted(judged, key=lambda one: (-_or_lowest(one.verdict.oriented(rank_by)), one.verdict.name))
    if not ranked or ranked[0].verdict.oriented(rank_by) is None:
        return [one.verdict for one in ranked]
    statistic = rank_by if rank_by in ranked[0].samples else "kendall_tau"
    best = max(ranked, key=lambda one: _or_lowest(one.verdict.oriented(statistic)))
    return [replace(one.verdict, against_best=_paired(best, one, statistic)) for one in ranked]


def _or_lowest(value: float | None) -> float:
    return float("-inf") if value is None else value


def _paired(best: _Judged, other: _Judged, statistic: str) -> Paired | None:
    ahead, behind = best.verdict.oriented(statistic), other.verdict.oriented(statistic)
    if best is other or ahead is None or behind is None:
        return None
    low, high = interval(_oriented_samples(best, statistic) - _oriented_samples(other, statistic))
    apart = None if low is None else low > 0
    mixed = best.verdict.mixed or other.verdict.mixed
    return Paired(best.verdict.name, statistic, number(ahead - behind), low, high, apart, mixed)


def _oriented_samples(one: _Judged, statistic: str) -> np.ndarray:
    samples = one.samples[statistic]
    sign = -1.0 if one.verdict.direction == "higher" else 1.0
    return np.asarray(sign * (0.5 - samples if statistic == "sign_error" else samples))


def _notes(minima: Minima, n_test: int | None) -> list[str]:
    notes = []
    if minima.rows < FEWEST:
        notes.append(f"No statistic: at least {FEWEST} minima are needed; there are {minima.rows}.")
    elif minima.n < FEWEST:
        notes.append(
            f"{minima.rows} rows are only {minima.n} settings, which differ in the seed: τ and ρ are over single rows, "
            f"as if seeds were minima of their own; Ψ, K and the sign error need at least {FEWEST} settings."
        )
    elif minima.n < minima.rows:
        notes.append(f"{minima.rows} rows are {minima.n} minima: replicates that differ in the seed are averaged.")
    if minima.n >= FEWEST and np.ptp(minima.gap) == 0:
        notes.append(f"Nothing to rank: the gap is the same, to {DIGITS} digits, in all minima.")
    if n_test is None:
        notes.append("No sign error: its weights need the size of the test set (n_test).")
    return notes + minima.left_out.sentences(minima.rows)
