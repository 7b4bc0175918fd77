"""Differences from the best measure, corrected for the choice of the best among many.

The best of M measures is chosen by the same table on which it is compared, so a plain interval of a difference calls
some measure worse in most tables even if all are equally good. Here a difference counts only if it exceeds what the
largest difference among all pairs of measures reaches by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infomcr_cli.judging.influence import Influence
from infomcr_cli.judging.result import CONFIDENCE, Difference, number
from infomcr_cli.judging.two_runs import LEVEL


@dataclass(frozen=True)
class Competitor:
    """A measure in the comparison, turned so that larger is better.

    Attributes:
        mixed: its values are of several conventions.
    """

    name: str
    influence: Influence
    mixed: bool = False


@dataclass(frozen=True)
class _Chance:
    """What chance does to differences.

    Attributes:
        floor:   smallest standard error that a difference is divided by. The errors are estimates; the smallest of many
                 would else decide.
        largest: largest difference over its standard error, in each simulation, ascending, [B].
    """

    floor: float
    largest: np.ndarray


def differences_from_best(
    measures: Sequence[Competitor], controls: Sequence[Competitor], statistic: str, *, simulations: int, seed: int
) -> dict[str, Difference]:
    """Return how far each measure and each control is behind the best measure.

    Args:
        measures: with an interval, at least one.
        controls: compared like the measures, but never the best and not counted as a choice.

    Returns:
        A record for each but the best. Its intervals hold for all differences together.

    Source:
        Maximum over all pairs: Tukey; White, Econometrica 68 (2000); simulated from the influence of each minimum as in
        Chernozhukov, Chetverikov & Kato, Annals of Statistics 41 (2013).
    """
    best = max(measures, key=lambda one: one.influence.value)
    chance = _chance(measures, simulations, seed)
    found = {one.name: _difference(best, one, statistic, chance, len(measures)) for one in measures if one is not best}
    for control in controls:  # its own difference may be larger by chance than any between measures, or the only one
        chance = _chance([*measures, control], simulations, seed)
        found[control.name] = _difference(best, control, statistic, chance, len(measures))
    return found


def _difference(best: Competitor, other: Competitor, statistic: str, chance: _Chance, compared: int) -> Difference:
    ahead = best.influence.value - other.influence.value
    one, two = best.influence, other.influence
    spare = _spare(one) ** 2 + _spare(two) ** 2
    error = max(float(np.sqrt(np.square(one.phi - two.phi).sum() + spare)), chance.floor)
    # A simulated value, not one interpolated between two, so that with the usual 2,000 of them the interval excludes 0
    # exactly if p < 0.05.
    reach = error * float(np.quantile(chance.largest, CONFIDENCE, method="higher"))
    ratio = abs(ahead) / error if error > 0 else 0.0
    as_large = len(chance.largest) - int(np.searchsorted(chance.largest, ratio))
    p_value = (1 + as_large) / (1 + len(chance.largest))
    return Difference(
        best=best.name,
        statistic=statistic,
        difference=number(ahead),
        low=number(ahead - reach),
        high=number(ahead + reach),
        p_value=number(p_value),
        compared=compared,
        significant=ahead > 0 and p_value < LEVEL,
        mixed=best.mixed or other.mixed,
    )


def _spare(influence: Influence) -> float:
    """Return the standard error that a value has beyond its influences: see `Influence.square`."""
    return float(np.sqrt(influence.square - np.square(influence.phi).sum()))


def _chance(measures: Sequence[Competitor], simulations: int, seed: int) -> _Chance:
    """Simulate differences of measures that are all equally good, with the covariance of the measures at hand."""
    phi = np.stack([one.influence.phi for one in measures])  # [M, n]
    spare = np.array([_spare(one.influence) for one in measures])  # [M]
    pairs = [(k, np.arange(k + 1, len(measures))) for k in range(len(measures) - 1)]
    errors = [  # of each k, [others]
        np.sqrt(np.square(phi[k] - phi[others]).sum(axis=1) + spare[k] ** 2 + spare[others] ** 2) for k, others in pairs
    ]
    floor = float(np.sqrt(np.mean(np.square(np.concatenate(errors))))) if errors else 0.0
    rng = np.random.default_rng([seed, phi.shape[1], len(measures)])
    moved = rng.standard_normal((simulations, phi.shape[1])) @ phi.T  # [B, M]
    moved += spare * rng.standard_normal((simulations, len(measures)))
    largest = np.zeros(simulations)  # [B]
    for (k, others), error in zip(pairs, errors, strict=True):
        if floor > 0:
            ratios = np.abs(moved[:, [k]] - moved[:, others]) / np.maximum(error, floor)  # [B, others]
            largest = np.maximum(largest, ratios.max(axis=1))
    # as in Student's t, because the standard errors are estimates; one divisor for all differences of a simulation
    freedom = min(one.influence.n for one in measures) - 1
    return _Chance(floor, np.sort(largest / np.sqrt(rng.chisquare(freedom, simulations) / freedom)))
