"""Intervals and differences: against derivatives, loops and simulation; none where the data cannot carry them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tolerances import AUTODIFF, CLOSED_FORM, ROUNDING

from infomcr_cli.judging.differences import Competitor, differences_from_best
from infomcr_cli.judging.granulated import estimate_psi, group_taus
from infomcr_cli.judging.influence import Influence
from infomcr_cli.judging.minima import AxisPairs, Minima, axis_pairs
from infomcr_cli.judging.rank_correlation import dense_ranks, influence_on_tau_and_rho, spearman_rho, tau_b
from infomcr_cli.judging.result import FEWEST_RANKED
from infomcr_cli.report import judge


def weighted_tau(measure: np.ndarray, gap: np.ndarray, weights: np.ndarray) -> float:
    """τ-b of minima that count as often as their weights say, pair by pair."""
    balance = mu_varies = g_varies = 0.0
    for i, j in itertools.permutations(range(len(gap)), 2):
        a, b, weight = np.sign(measure[i] - measure[j]), np.sign(gap[i] - gap[j]), weights[i] * weights[j]
        balance, mu_varies, g_varies = balance + weight * a * b, mu_varies + weight * a**2, g_varies + weight * b**2
    return float(balance / np.sqrt(mu_varies * g_varies))


def weighted_rho(measure: np.ndarray, gap: np.ndarray, weights: np.ndarray) -> float:
    r, q = (np.sign(x[:, None] - x) @ weights / 2 for x in (measure, gap))
    return float((weights * r * q).sum() / np.sqrt((weights * r * r).sum() * (weights * q * q).sum()))


@pytest.mark.parametrize("ties", [False, True])
def test_influence_on_tau_and_rho_is_the_derivative_by_the_weight_of_a_minimum(ties: bool) -> None:
    rng = np.random.default_rng(1)
    measure, gap = rng.normal(size=(2, 12))
    if ties:
        measure, gap = np.round(measure), np.round(gap)
    found = influence_on_tau_and_rho(dense_ranks(measure), dense_ranks(gap))
    assert found[0].value == pytest.approx(tau_b(measure, gap), abs=ROUNDING)
    assert found[1].value == pytest.approx(spearman_rho(measure, gap), abs=ROUNDING)
    for one, of in zip(found, (weighted_tau, weighted_rho), strict=True):
        for i in range(12):
            step = 1e-4 * np.eye(12)[i]
            slope = (of(measure, gap, 1 + step) - of(measure, gap, 1 - step)) / 2e-4
            assert one.phi[i] == pytest.approx(slope, abs=AUTODIFF)
        assert one.phi.sum() == pytest.approx(0, abs=CLOSED_FORM)


def test_influence_in_large_tables_is_that_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    gap = rng.normal(size=3000)
    measure = dense_ranks(gap + rng.normal(size=3000))
    whole = influence_on_tau_and_rho(measure, dense_ranks(gap))
    monkeypatch.setattr("infomcr_cli.judging.rank_correlation._WHOLE", 1000)
    for one, other in zip(whole, influence_on_tau_and_rho(measure, dense_ranks(gap)), strict=True):
        assert other.value == pytest.approx(one.value, abs=ROUNDING)
        assert other.interval() == pytest.approx(one.interval(), abs=2e-3)


def test_influence_on_psi_is_the_sum_over_the_pairs_of_a_minimum() -> None:
    rng = np.random.default_rng(3)
    levels = np.array(list(itertools.product(range(3), range(4))))
    measure, gap = rng.normal(size=(2, 12))
    pairs = axis_pairs(Minima(gap, levels, ("a", "b"), (), np.zeros((12, 0)), 12))
    psi, influence = estimate_psi(dense_ranks(measure), dense_ranks(gap), pairs)
    phi, single = np.zeros(12), 0.0
    for axis in range(2):
        groups = [np.flatnonzero(levels[:, 1 - axis] == level) for level in range(4 - axis)]
        mean = np.mean([tau_b(measure[g], gap[g]) for g in groups])
        for members in groups:
            count = len(members) * (len(members) - 1) / 2
            for i, j in itertools.combinations(members, 2):
                term = (np.sign(measure[i] - measure[j]) * np.sign(gap[i] - gap[j]) - mean) / count / len(groups) / 2
                phi[[i, j]] += term
                single += term**2

    assert influence.phi == pytest.approx(phi, abs=ROUNDING)
    assert influence.share == pytest.approx(1 - 2 / 3 * single / (phi**2).sum())
    assert psi.value == pytest.approx(influence.value)
    assert (psi.low, psi.high) == (None, None)  # 12 minima


def test_interval_of_psi_of_one_group_is_that_of_tau() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"lr": range(20), "gap": rng.integers(0, 6, 20), "mu": rng.integers(0, 5, 20)})
    found = judge(frame, gap="gap", axes=["lr"]).measures[0]
    tau, psi = found.kendall_tau, found.granulated_psi
    assert (psi.value, psi.low, psi.high) == pytest.approx((tau.value, tau.low, tau.high), abs=ROUNDING)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, FEWEST_RANKED - 1, FEWEST_RANKED])
def test_below_16_minima_nothing_has_an_interval_an_order_or_a_significance(n: int) -> None:
    frame = pd.DataFrame({"lr": range(n), "gap": np.arange(n) / 10})
    frame["bad"], frame["good"] = -frame["gap"], frame["gap"]
    document = judge(frame, gap="gap", axes=["lr"], n_test=10_000).to_dict()
    ranked = n >= FEWEST_RANKED
    assert document["ranked"] is ranked
    assert list(document["measures"]) == (["good", "bad"] if ranked else ["bad", "good"])
    assert any("are too few" in note for note in document["notes"]) is (3 <= n < FEWEST_RANKED)
    for one in (*document["measures"].values(), *document["references"].values()):
        for statistic in ("kendall_tau", "spearman_rho", "granulated_psi"):
            assert (one[statistic]["low"] is not None) is ranked
        assert one["sign_error"]["low"] is None
    assert (document["measures"]["bad"]["against_best"] is not None) is ranked
    assert (document["references"]["random"]["against_best"] is not None) is ranked


def test_measure_with_too_few_values_comes_last_and_is_compared_with_nothing() -> None:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"lr": range(20), "gap": rng.normal(size=20)})
    frame["rare"], frame["weak"] = frame["gap"], rng.normal(size=20)
    frame.loc[10:, "rare"] = np.nan
    ranking = judge(frame, gap="gap", axes=["lr"])
    assert [one.name for one in ranking.measures] == ["weak", "rare"]
    assert ranking.measures[1].kendall_tau.value == 1.0
    assert ranking.measures[1].against_best is None


def test_two_settings_with_many_seeds_are_not_ranked() -> None:
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"reg": ["on", "off"] * 20, "seed": np.arange(40) // 2, "gap": rng.normal(size=40)})
    frame["mu"] = frame["gap"]
    ranking = judge(frame, gap="gap", axes=["reg"])
    assert (ranking.ranked, ranking.measures[0].kendall_tau.low) == (False, None)
    assert any("2 minima are too few" in note for note in ranking.notes)


def test_measures_of_one_quality_are_rarely_called_worse_than_the_best() -> None:
    rng, worse, tables = np.random.default_rng(7), 0, 100
    for seed in range(tables):
        gap = dense_ranks(rng.normal(size=48))
        noisy = [dense_ranks(gap + 40 * rng.normal(size=48)) for _ in range(24)]
        competitors = [Competitor(str(m), influence_on_tau_and_rho(one, gap)[0]) for m, one in enumerate(noisy)]
        found = differences_from_best(competitors, (), "kendall_tau", simulations=400, seed=seed)
        assert len(found) == 23
        worse += any(one.significant for one in found.values())
    assert worse <= 10  # of 5 expected


def test_clearly_worse_measure_is_found_among_many() -> None:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"lr": range(48), "gap": rng.normal(size=48)})
    for index in range(10):
        frame[f"good_{index}"] = frame["gap"] + 0.3 * rng.normal(size=48)
    frame["noise"] = rng.normal(size=48)
    found = judge(frame, gap="gap", axes=["lr"])
    last = found.measures[-1]
    assert (last.name, last.against_best.significant, last.against_best.compared) == ("noise", True, 11)
    assert last.against_best.low > 0
    assert last.against_best.p_value < 0.01
    oracle, chance = found.controls
    assert not oracle.against_best.significant
    assert chance.against_best.significant


def test_difference_of_twins_is_zero_and_of_opposites_is_significant() -> None:
    gap = np.arange(16)
    perfect, opposite = (influence_on_tau_and_rho(one, gap)[0] for one in (gap, gap[::-1]))
    twins = [Competitor("a", perfect), Competitor("b", replace(perfect))]
    (twin,) = differences_from_best(twins, (), "kendall_tau", simulations=500, seed=0).values()
    assert (twin.difference, twin.significant, twin.p_value) == (0.0, False, 1.0)
    two = [Competitor("a", perfect), Competitor("b", opposite)]
    (other,) = differences_from_best(two, (), "kendall_tau", simulations=500, seed=0).values()
    assert (other.difference, other.significant) == (2.0, True)
    assert differences_from_best(two[:1], (), "kendall_tau", simulations=10, seed=0) == {}


def test_perfect_value_has_an_interval_of_some_width() -> None:
    low, high = Influence(1.0, np.zeros(16), 16, 1 / 60).interval()
    assert (0.6 < low < 0.9, high) == (True, 1.0)
    assert Influence(-1.0, np.zeros(16), 16, 1 / 60).interval() == (-1.0, -low)


def test_perfect_psi_takes_the_interval_of_one_pair_out_of_order() -> None:
    levels = np.array(list(itertools.product(range(4), range(2), range(2))))
    gap = np.arange(16)
    pairs = axis_pairs(Minima(gap, levels, ("a", "b", "c"), (), np.zeros((16, 0)), 16))
    perfect, _ = estimate_psi(gap, gap, pairs)
    swapped = gap.copy()
    swapped[:2] = [1, 0]  # minima that differ in the last axis alone, the heaviest pair
    nearly, influence = estimate_psi(swapped, gap, pairs)
    assert nearly.value == pytest.approx(1 - 2 / 8 / 3)
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert nearly.low - 0.1 < perfect.low < nearly.low  # the interval of the neighbour or a little wider
    assert influence.share == pytest.approx(2 / 3, abs=0.1)


def effects_on_a_grid(shape: tuple[int, ...], signs: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, list[AxisPairs]]:
    """A gap that grows along each axis, a measure that follows it or is reversed, and the pairs of the grid."""
    levels = np.array(list(itertools.product(*map(range, shape))))
    weights = 10.0 ** np.arange(len(shape))  # no ties
    names = tuple(map(str, range(len(shape))))
    pairs = axis_pairs(Minima(levels @ weights, levels, names, (), np.zeros((len(levels), 0)), len(levels)))
    return dense_ranks(levels @ (weights * signs)), dense_ranks(levels @ weights), list(pairs)


@pytest.mark.parametrize(("shape", "signs"), [((4, 4), (1, -1)), ((3, 3, 2), (1, 1, -1)), ((6, 8), (-1, 1))])
def test_interval_of_psi_holds_the_value_with_one_pair_out_of_order(shape: tuple, signs: tuple) -> None:
    measure, gap, pairs = effects_on_a_grid(shape, signs)
    psi, _ = estimate_psi(measure, gap, pairs)
    assert psi.value == pytest.approx(np.mean(signs), abs=ROUNDING)
    for one in pairs:
        for first, second in zip(one.first, one.second, strict=True):
            swapped = measure.copy()
            swapped[[first, second]] = swapped[[second, first]]
            if abs(swapped[first] - swapped[second]) == 1:  # no other pair changes its order
                assert psi.low < estimate_psi(swapped, gap, pairs)[0].value < psi.high


def test_interval_of_tau_with_a_dominant_axis_has_a_width() -> None:
    measure, gap, _ = effects_on_a_grid((4, 4), (1, -1))
    tau, _ = influence_on_tau_and_rho(measure, gap)
    assert tau.value == pytest.approx(tau_b(measure, gap), abs=ROUNDING)
    low, high = tau.interval()
    assert low < tau.value - tau.step < tau.value + tau.step < high


def test_difference_is_significant_exactly_if_its_p_value_is_below_5_percent() -> None:
    rng, kinds = np.random.default_rng(9), set()
    for seed in range(60):
        gap = dense_ranks(rng.normal(size=20))
        two = [dense_ranks(gap + spread * rng.normal(size=20)) for spread in (5, 20)]
        influences = [influence_on_tau_and_rho(one, gap)[0] for one in two]
        competitors = [Competitor(str(m), one) for m, one in enumerate(influences)]
        (found,) = differences_from_best(competitors, (), "kendall_tau", simulations=400, seed=seed).values()
        assert found.significant is (found.p_value < 0.05) is (found.low > 0)
        kinds.add(found.significant)
    assert kinds == {True, False}


def test_psi_of_opposite_measures_differs_with_a_standard_error() -> None:
    measure, gap, pairs = effects_on_a_grid((3, 3, 2), (1, 1, -1))
    influences = [estimate_psi(one, gap, pairs)[1] for one in (measure, measure.max() - measure)]
    competitors = [Competitor(str(m), one) for m, one in enumerate(influences)]
    (found,) = differences_from_best(competitors, (), "granulated_psi", simulations=400, seed=0).values()
    assert found.difference == pytest.approx(2 / 3)
    assert found.low < found.difference - 0.1
    assert found.significant is (found.p_value < 0.05)


def test_equal_influences_without_an_error_are_not_significant() -> None:
    one, other = (Influence(value, np.ones(16), 16, 0.0) for value in (0.5, 0.2))
    (found,) = differences_from_best(
        [Competitor("a", one), Competitor("b", other)], (), "x", simulations=9, seed=0
    ).values()
    assert (found.p_value, found.significant) == (1.0, False)


def test_group_taus_leave_out_constant_gaps() -> None:
    levels = np.array(list(itertools.product(range(2), range(3))))
    gap, measure = np.array([0, 0, 0, 0, 1, 2]), np.array([0, 1, 2, 5, 4, 3])
    (_, lines) = axis_pairs(Minima(gap, levels, ("a", "b"), (), np.zeros((6, 0)), 6))
    assert group_taus(measure, gap, lines).tolist() == pytest.approx([np.nan, -1.0], nan_ok=True)


@pytest.mark.parametrize("copies", [1, 2, 24])
def test_control_near_the_only_measure_or_its_copies_has_no_tiny_p_value(copies: int) -> None:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"lr": range(24), "gap": rng.normal(size=24)})
    mu = rng.normal(size=24)
    for index in range(copies):
        frame[f"mu{index}"] = mu
    ranking = judge(frame, gap="gap", axes=["lr"])
    random = next(one for one in ranking.controls if one.name == "random").against_best
    assert abs(random.difference) < 0.3
    assert random.p_value > 0.05
    assert random.low < 0 < random.high
    assert not random.significant
