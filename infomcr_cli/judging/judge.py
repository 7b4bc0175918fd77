"""Rank measures: from a `Minima` record to the statistics of every measure, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from infomcr_cli.errors import InputError
from infomcr_cli.judging.axis_importance import axis_importance
from infomcr_cli.judging.conditional_information import conditional_information, pgdl_cmi
from infomcr_cli.judging.differences import Competitor, differences_from_best
from infomcr_cli.judging.granulated import estimate_psi
from infomcr_cli.judging.influence import Influence
from infomcr_cli.judging.minima import Minima, axis_pairs, control_minima, ranked_minima
from infomcr_cli.judging.rank_correlation import dense_ranks, estimate, influence_on_tau_and_rho
from infomcr_cli.judging.result import (
    FEWEST_RANKED,
    MOST_IMAGES,
    STATISTICS,
    ConditionalInformation,
    Estimate,
    Granulated,
    MeasureResult,
    RankingResult,
    SignError,
)
from infomcr_cli.judging.sign_error import sign_errors
from infomcr_cli.judging.ties import DIGITS

RESAMPLES = 2000  # simulations of the largest difference between measures
FEWEST = 3  # minima; with fewer there are no statistics


@dataclass(frozen=True)
class _Found:
    """The result of one measure, and the influence of each minimum on its statistics."""

    result: MeasureResult
    influence: Mapping[str, Influence]


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
        seed:       of the simulated differences, of sampled pairs and of the control measures.
        directions: measure → "lower" or "higher" (is better); it decides the order and the sign of what is shown.
                    Absent: lower.
        rank_by:    the statistic that orders the measures and that differences from the best are of; the differences
                    are of τ if it has no interval, as K and the sign error.
        resamples:  number of simulated differences.

    Raises:
        InputError: `n_test` is below 1 or above 10¹², or `rank_by` is not a statistic.

    Examples:
        >>> levels = np.arange(3).reshape(3, 1)
        >>> runs = Minima(np.array([0.1, 0.2, 0.3]), levels, ("lr",), ("gamma",), levels * 1.0, rows=3)
        >>> judge_minima(runs, gap="error").measures[0].kendall_tau.value
        1.0
    """
    if n_test is not None and not 1 <= n_test <= MOST_IMAGES:
        raise InputError(f"n_test must be at least 1 and at most {MOST_IMAGES}", received=n_test)
    if rank_by not in STATISTICS:
        raise InputError("rank_by must be a statistic", received=rank_by, accepted=STATISTICS)
    minima = ranked_minima(runs, average=runs.replicates)
    notes = _notes(minima, n_test)
    statistics = _statistics
    if minima.n < FEWEST <= minima.rows:
        minima, statistics = ranked_minima(runs, average=False), _statistics_of_single_runs
    found = statistics(minima, directions or {}, n_test, seed)
    controls = statistics(control_minima(minima, seed), {}, n_test, seed)
    if ranked := statistics is _statistics and minima.n >= FEWEST_RANKED:
        found, controls = _ranked(found, controls, rank_by, simulations=resamples, seed=seed)
    return RankingResult(
        n=minima.n,
        rows=minima.rows,
        gap=gap,
        axes=runs.axes,
        n_test=n_test,
        seed=seed,
        resamples=resamples,
        rank_by=rank_by,
        measures=tuple(one.result for one in found),
        controls=tuple(one.result for one in controls),
        digits=DIGITS,
        ranked=ranked,
        importance=axis_importance(minima),
        left_out=minima.left_out,
        notes=(*_nothing_to_rank(minima, [one.result for one in found]), *notes),
    )


def _statistics(minima: Minima, directions: Mapping[str, str], n_test: int | None, seed: int) -> list[_Found]:
    """Return the statistics of every measure, in the order of the columns."""
    known = np.isfinite(minima.measures)
    results = [_empty_result(minima, name, directions, int(known[:, m].sum())) for m, name in enumerate(minima.names)]
    if minima.n < FEWEST:
        return [_Found(result, {}) for result in results]
    ranks, gap = _ranks(minima.measures, known), dense_ranks(minima.gap)  # [n, M], [n]
    pairs = axis_pairs(minima)
    information, competition = conditional_information(minima, ranks, seed), pgdl_cmi(minima, ranks)
    errors = [SignError()] * len(results) if n_test is None else sign_errors(minima, pairs, ranks, n_test=n_test)
    found = []
    for m, result in enumerate(results):
        if result.n < FEWEST:
            found.append(_Found(result, {}))
            continue
        have = known[:, m]  # [n]
        tau, rho = influence_on_tau_and_rho(ranks[have, m], gap[have])
        psi, on_psi = estimate_psi(ranks[:, m], gap, pairs)
        result = replace(
            result,
            kendall_tau=estimate(tau, result.n),
            spearman_rho=estimate(rho, result.n),
            granulated_psi=psi,
            conditional_information=information[m],
            pgdl_cmi=competition[m],
            sign_error=errors[m],
        )
        influence = {"kendall_tau": _over_all(tau, have), "spearman_rho": _over_all(rho, have)}
        found.append(_Found(result, influence | {"granulated_psi": on_psi}))
    return found


def _ranks(measures: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the dense ranks of each measure, −1 where missing, int64 [n, M]."""
    ranks = np.full(known.shape, -1, np.int64)
    for m in range(known.shape[1]):
        ranks[known[:, m], m] = dense_ranks(measures[known[:, m], m])
    return ranks


def _over_all(influence: Influence, have: np.ndarray) -> Influence:
    """Return an influence over all minima, 0 for those that have no value; `have` is bool [n]."""
    phi = np.zeros(len(have))
    phi[have] = influence.phi
    return replace(influence, phi=phi)


def _statistics_of_single_runs(
    minima: Minima, directions: Mapping[str, str], n_test: int | None, seed: int
) -> list[_Found]:
    """Return τ and ρ over single runs, which is all that fewer than three settings allow; they have no interval."""
    without_axes = replace(minima, axes=(), levels=minima.levels[:, :0])  # [n, 0]
    found = []
    for one in _statistics(without_axes, directions, None, seed):
        whole = one.result
        empty = _empty_result(minima, whole.name, directions, whole.n)
        tau, rho = (replace(part, low=None, high=None) for part in (whole.kendall_tau, whole.spearman_rho))
        found.append(_Found(replace(empty, kendall_tau=tau, spearman_rho=rho), {}))
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


def _ranked(
    found: list[_Found], controls: list[_Found], rank_by: str, *, simulations: int, seed: int
) -> tuple[list[_Found], list[_Found]]:
    """Return measures, best first, and controls, each with its difference from the best measure.

    Measures with too few values for an interval come last, as they came.
    """
    ranked = sorted(found, key=lambda one: -_score(one, rank_by))
    statistic = rank_by if any(rank_by in one.influence for one in found) else "kendall_tau"
    competitors, others = _competitors(ranked, statistic), _competitors(controls, statistic)
    if not competitors:
        return ranked, controls
    differences = differences_from_best(competitors, others, statistic, simulations=simulations, seed=seed)

    def compared(one: _Found) -> _Found:
        return replace(one, result=replace(one.result, against_best=differences.get(one.result.name)))

    return [compared(one) for one in ranked], [compared(one) for one in controls]


def _competitors(found: list[_Found], statistic: str) -> list[Competitor]:
    """Return the measures whose statistic has an interval, turned so that larger is better."""
    competitors = []
    for one in found:
        influence = one.influence.get(statistic)
        if influence is None or not influence.has_interval:
            continue
        value, phi = (one.result.orient(statistic, part) for part in (influence.value, influence.phi))
        turned = replace(influence, value=value, phi=phi)
        competitors.append(Competitor(one.result.name, turned, one.result.mixed))
    return competitors


def _score(one: _Found, statistic: str) -> float:
    """Return what a measure is ranked by; −∞ without a value, or with too few minima for an interval."""
    value, influence = one.result.oriented(statistic), one.influence.get(statistic)
    if value is None or one.result.n < FEWEST_RANKED or (influence is not None and not influence.has_interval):
        return float("-inf")
    return value


def _nothing_to_rank(minima: Minima, results: Sequence[MeasureResult]) -> list[str]:
    if minima.n < FEWEST or any(one.kendall_tau.value is not None for one in results):
        return []
    if np.ptp(minima.gap) == 0:
        return [f"Nothing to rank: the gap is the same in all minima, to {DIGITS} digits."]
    return [f"Nothing to rank: no measure has {FEWEST} values that are not all equal, with gaps that are not."]


def _notes(minima: Minima, n_test: int | None) -> list[str]:
    notes = []
    if minima.rows < FEWEST:
        notes.append(f"No statistics: they need at least {FEWEST} minima, but there are {minima.rows}.")
    elif minima.n < FEWEST:
        notes.append(
            f"{minima.rows} rows have only {minima.n} settings, which differ in the seed: τ and ρ are over single "
            f"rows, as if each seed were a minimum; Ψ, K and the sign error need at least {FEWEST} settings."
        )
    elif minima.n < minima.rows:
        notes.append(f"{minima.rows} rows are {minima.n} minima: rows that agree on all axes are averaged.")
    if minima.rows >= FEWEST and minima.n < FEWEST_RANKED:
        notes.append(
            f"Not ranked: {minima.n} minima are too few. Below {FEWEST_RANKED}, 95 % intervals do not reliably cover "
            "the true value, so there are no intervals, no order and no significance."
        )
    if n_test is None and minima.n >= FEWEST:
        notes.append("No sign error: its weights need the size of the test set (n_test).")
    return notes + minima.left_out.sentences(minima.rows)
