"""Answers for few runs: is one flatter than the other, and does it generalize better?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from infomcr_cli.judging.two_runs import (
    DifferenceTest,
    corrected,
    known_errors,
    paired_errors,
    paired_means,
    unpaired_errors,
    unpaired_means,
)
from infomcr_cli.report.conventions import convention_text, unit_of
from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.report.tables import GAMMA, format_p_value, group_name, replicates, with_error
from infomcr_cli.runs.checkpoint import trained_on

if TYPE_CHECKING:
    from infomcr_cli.report.comparison import Comparison

MOST_SETTINGS = 7  # compared with the first; more are for the ranking
_SEEDS = "over {} and {} seeds, Welch's t"
_Members = Sequence[EvaluatedRun]


@dataclass(frozen=True)
class PairAnswer:
    """How a run, or the mean of the seeds of a setting, differs from another one.

    Attributes:
        first, second: names of the runs.
        gamma:      difference of gamma; None if it is not known for both in one convention.
        test_error: difference of the test errors, in [−1, 1].
        pairs:      comparisons among which p-values are corrected.
    """

    first: str
    second: str
    gamma: DifferenceTest | None
    test_error: DifferenceTest | None
    sentence: str
    pairs: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        tests = {"gamma": self.gamma, "test_error": self.test_error}
        found = {name: None if one is None else one.to_dict() for name, one in tests.items()}
        return {"runs": [self.first, self.second], **found, "pairs": self.pairs, "sentence": self.sentence}


def pair_answers(comparison: Comparison) -> tuple[PairAnswer, ...]:
    """Return the answers for two to seven settings that are too few to be ranked: each one against the first."""
    groups = replicates(comparison)
    if comparison.ranking.ranked or not 2 <= len(groups) <= MOST_SETTINGS:
        return ()
    first, others = groups[0], groups[1:]
    names = [group_name(comparison, members) for members in groups]
    gammas = corrected([_gamma(first, one) for one in others])
    errors = corrected([_test_error(first, one) for one in others])
    return tuple(
        PairAnswer(
            first[0].name,
            other[0].name,
            gamma,
            error,
            _sentence((names[0], name), (first, other), gamma, error, len(others)),
            len(others),
        )
        for name, other, gamma, error in zip(names[1:], others, gammas, errors, strict=True)
        if gamma is not None or error is not None
    )


def note_on_single_runs(comparison: Comparison) -> list[str]:
    """Return one sentence if answers are of single runs that differ in more than the seed."""
    if not comparison.answers or not comparison.axes or len(comparison.included) > len(replicates(comparison)):
        return []
    return [
        "These conclusions hold for single runs, not for their settings. To compare settings, train each with several "
        "seeds."
    ]


def note_on_single_seeds(comparison: Comparison) -> list[str]:
    """Return one sentence if settings are too few to be ranked and some cannot be compared: they have one seed."""
    groups = replicates(comparison)
    if comparison.ranking.ranked or not 2 <= len(groups) <= MOST_SETTINGS:
        return []
    several = {len(members) > 1 for members in groups}
    single = [group_name(comparison, members) for members in groups if len(members) == 1]
    if several != {True, False}:
        return []
    names = ", ".join(single if len(groups[0]) > 1 else [group_name(comparison, groups[0])])
    return [
        f"No conclusion on {names} beside settings of several seeds: it is a single run, and a comparison over seeds "
        "needs at least two of each."
    ]


def _gamma(first: _Members, other: _Members) -> DifferenceTest | None:
    both = (*first, *other)
    conventions = {convention_text(run.evaluation.measures[GAMMA].convention) for run in both if _has_gamma(run)}
    if len(conventions) != 1 or not all(_has_gamma(run) for run in both):
        return None
    if len(both) > 2:
        return _over_seeds(first, other, lambda run: run.value(GAMMA))
    one, two = first[0], other[0]
    # of a record without draws none; gamma of a rank-deficient draw is None
    draws = [run.evaluation.measures[GAMMA].numbers("draws") for run in (one, two)]
    if draws[0] and len(draws[0]) == len(draws[1]) and _same_images(one, two):
        known = [(x, y) for x, y in zip(*draws, strict=True) if x is not None and y is not None]
        if len(known) > 1:
            return paired_means([x for x, _ in known], [y for _, y in known])
    finite = [[value for value in part if value is not None] for part in draws]
    if (found := unpaired_means(finite[0], finite[1])) is not None:
        return found
    (x, dx), (y, dy) = ((run.value(GAMMA), run.std_error(GAMMA)) for run in (one, two))
    return None if x is None or dx is None or y is None or dy is None else known_errors((x, dx), (y, dy))


def _has_gamma(run: EvaluatedRun) -> bool:
    return run.value(GAMMA) is not None


def _same_images(one: EvaluatedRun, other: EvaluatedRun) -> bool:
    """Return whether two runs were trained on the same images, from which the draws are taken."""
    prints = {trained_on(run.directory) for run in (one, other)}
    return len(prints) == 1 and None not in prints


def _test_error(first: _Members, other: _Members) -> DifferenceTest | None:
    if len(first) + len(other) > 2:
        sizes = [run.evaluation.n_test for run in (*first, *other) if run.evaluation.n_test]
        step = 1 / min(sizes) if sizes else 0.0  # errors are whole images
        return _over_seeds(first, other, lambda run: run.gap("test_error"), step)
    answers = [run.evaluation.test_answers for run in (first[0], other[0])]
    if answers[0] is not None and answers[1] is not None and answers[0].digest == answers[1].digest:
        correct = [one.correct_images() for one in answers if one is not None]
        if len(correct[0]) == len(correct[1]) > 0:
            return paired_errors(correct[0], correct[1])
    rates = [(run.gap("test_error"), run.evaluation.n_test) for run in (first[0], other[0])]
    (x, n), (y, m) = rates
    return None if x is None or y is None or n is None or m is None else unpaired_errors((x, n), (y, m))


def _over_seeds(
    first: _Members, other: _Members, value: Callable[[EvaluatedRun], float | None], step: float = 0.0
) -> DifferenceTest | None:
    one, two = ([x for x in map(value, members) if x is not None] for members in (first, other))
    return unpaired_means(one, two, method=_SEEDS.format(len(one), len(two)), step=step)


def _sentence(
    names: tuple[str, str],
    both: tuple[_Members, _Members],
    gamma: DifferenceTest | None,
    error: DifferenceTest | None,
    pairs: int,
) -> str:
    """Return the answer in words, such as: gamma differs by 3 ± 11 nats: not distinguishable."""
    parts = []
    if gamma is not None:
        unit = unit_of(both[0], GAMMA) or "nats"
        flatter = names[0] if gamma.difference < 0 else names[1]
        shown = with_error(abs(gamma.difference), gamma.std_error)
        parts.append(f"gamma differs by {shown} {unit}: {_conclusion(gamma, f'{flatter} is flatter')}")
    if error is not None:
        better = names[0] if error.difference < 0 else names[1]
        rates = " against ".join(_rate(members) for members in both)
        parts.append(f"test error {rates}: {_conclusion(error, f'{better} generalizes better')}")
    corrected_for = f" p-values are corrected for {pairs} comparisons." if pairs > 1 else ""
    return f"{names[0]} and {names[1]}: {'; '.join(parts)}.{corrected_for}"


def _conclusion(test: DifferenceTest, answer: str) -> str:
    p_value = format_p_value(test.p_value)
    shown = f"p {p_value}" if p_value.startswith("<") else f"p = {p_value}"
    return f"{answer if test.is_distinguishable else 'not distinguishable'} ({test.method}, {shown})"


def _rate(members: _Members) -> str:
    """Return a test error in percent with its standard error, of a single run the binomial one."""
    rates = [100 * rate for run in members if (rate := run.gap("test_error")) is not None]
    if len(rates) > 1:
        return f"{with_error(float(np.mean(rates)), float(np.std(rates, ddof=1) / np.sqrt(len(rates))))} %"
    error = members[0].gap_std_error("test_error")
    return f"{with_error(rates[0] if rates else None, None if error is None else 100 * error)} %"
