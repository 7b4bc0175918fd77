"""Ties: equal numbers are equal whatever their last bits, against exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infomcr_cli.judging.conditional_information import conditional_information
from infomcr_cli.judging.minima import Minima, ranked_minima
from infomcr_cli.judging.ties import DIGITS, levels_of, merge_ties
from infomcr_cli.report import judge

SETTINGS, SEEDS = 8, 3


def exact_tau(measure: list[Fraction], gap: list[Fraction]) -> float | None:
    """τ-b by counting pairs of fractions."""
    agree = measure_varies = gap_varies = 0
    for i, j in combinations(range(len(gap)), 2):
        a = (measure[i] > measure[j]) - (measure[i] < measure[j])
        b = (gap[i] > gap[j]) - (gap[i] < gap[j])
        agree, measure_varies, gap_varies = agree + a * b, measure_varies + (a != 0), gap_varies + (b != 0)
    return agree / math.sqrt(measure_varies * gap_varies) if measure_varies and gap_varies else None


def means(steps: np.ndarray, step: Fraction) -> list[Fraction]:
    return [sum(int(k) * step for k in row) / Fraction(len(row)) for row in steps]


@pytest.mark.parametrize(
    ("gap_step", "measure_step", "low"),
    [
        ("0.05", "0.05", 0),
        ("0.05", "0.1", -4),  # means of 0 that come out as 1e-17
        ("0.0001", "1e-9", -4),
        ("0.05", "700000.7", 0),
    ],
)
def test_tau_of_averaged_seeds_equals_exact_rational_arithmetic(gap_step: str, measure_step: str, low: int) -> None:
    rng, gap_unit, measure_unit = np.random.default_rng(0), Fraction(gap_step), Fraction(measure_step)
    for _ in range(200):
        gaps, values = rng.integers(0, 10, (SETTINGS, SEEDS)), rng.integers(low, 10, (SETTINGS, SEEDS))
        frame = pd.DataFrame(
            {
                "lr": np.repeat(np.arange(SETTINGS), SEEDS),
                "seed": np.tile(np.arange(SEEDS), SETTINGS),
                "gap": [float(int(k) * gap_unit) for k in gaps.ravel()],
                "mu": [float(int(k) * measure_unit) for k in values.ravel()],
            }
        )
        found = judge(frame, gap="gap", axes=["lr"], resamples=2).measures[0].kendall_tau.value
        expected = exact_tau(means(values, measure_unit), means(gaps, gap_unit))
        assert found == (None if expected is None else pytest.approx(expected, abs=1e-13))


def test_equal_means_are_ties_in_every_statistic() -> None:
    frame = pd.DataFrame({"lr": [1, 1, 2, 2, 3, 3], "seed": [0, 1] * 3, "gap": [0.1, 0.7, 0.4, 0.4, 0.9, 0.9]})
    frame["mu"] = [2.0, 2.0, 1.0, 1.0, 3.0, 3.0]
    frame["nu"] = [0.1, 0.7, 0.4, 0.4, 0.9, 0.9]
    assert np.mean([0.1, 0.7]) < 0.4  # by one bit
    found = {one.name: one for one in judge(frame, gap="gap", axes=["lr"]).measures}
    assert found["mu"].kendall_tau.value == pytest.approx(2 / math.sqrt(6))
    assert found["mu"].granulated_psi.value == pytest.approx(2 / math.sqrt(6))
    assert found["nu"].kendall_tau.value == 1.0
    assert found["nu"].conditional_information.pairs_used == pytest.approx(2 / 3)


def test_differences_above_the_tolerance_are_not_ties() -> None:
    distinct = np.array([1e-30, 2e-30, 1.0, 1.0 + 1e-11, 1e30, 1.1e30])
    np.testing.assert_array_equal(merge_ties(distinct, distinct), distinct)
    gaps = np.array([0.1, 0.1 + 2e-9, 0.1 + 1e-11])  # 2e-9: the smallest of 50,000 and 10,000 images
    np.testing.assert_array_equal(merge_ties(gaps, np.ones(3)), gaps)


def test_merge_ties_keeps_huge_and_missing_values() -> None:
    values = np.array([1e308, np.nan, 0.8 - 0.7, 1.0 - 0.9, -1.7e308, np.inf])
    np.testing.assert_array_equal(
        merge_ties(values, np.ones(6)), [1e308, np.nan, 1.0 - 0.9, 1.0 - 0.9, -1.7e308, np.inf]
    )
    assert len(merge_ties(np.zeros(0), np.zeros(0))) == 0


def test_mean_of_huge_replicates_does_not_overflow() -> None:
    runs = Minima(np.full(4, 0.1), np.zeros((4, 1), int), ("a",), ("m",), np.full((4, 1), 1.7e308), rows=4)
    assert ranked_minima(runs, average=True).measures.tolist() == [[1.7e308]]


@given(st.permutations(range(18)))
@settings(max_examples=20, deadline=None)
def test_row_order_changes_nothing_with_ties(order: list[int]) -> None:
    rng = np.random.default_rng(1)
    grid = [(width, lr, seed) for width in (1, 2, 4) for lr in (0.1, 0.2) for seed in range(3)]
    frame = pd.DataFrame(grid, columns=["width", "lr", "seed"])
    frame["gap"] = rng.normal(0.1, 0.05, 18).round(2)
    frame["a"], frame["b"] = rng.normal(size=18).round(1), rng.normal(size=18)
    one, other = (
        judge(table, gap="gap", axes=["width", "lr"], n_test=500, resamples=20).to_dict()
        for table in (frame, frame.iloc[order])
    )
    assert one == other


def test_document_states_significant_digits() -> None:
    frame = pd.DataFrame({"lr": [1, 2, 3], "gap": [0.1, 0.2, 0.3], "mu": [1.0, 2.0, 4.0]})
    assert judge(frame, gap="gap", axes=["lr"]).to_dict()["significant_digits"] == DIGITS == 12


def test_constant_gap_gives_null_and_a_note() -> None:
    frame = pd.DataFrame({"lr": [1, 2, 3], "gap": [0.8 - 0.7, 1.0 - 0.9, 0.1], "mu": [1.0, 2.0, 4.0]})
    document = judge(frame, gap="gap", axes=["lr"]).to_dict()
    assert document["measures"]["mu"]["kendall_tau"]["value"] is None
    assert any("the gap is the same" in note for note in document["notes"])


@pytest.mark.parametrize("n", range(3, 40))
def test_perfect_measure_is_exactly_one_and_its_negative_exactly_minus_one(n: int) -> None:
    rng = np.random.default_rng(n)
    frame = pd.DataFrame({"lr": rng.integers(0, 3, n), "width": rng.integers(0, 4, n), "gap": rng.permutation(n) / 64})
    frame["perfect"], frame["opposite"] = np.exp(frame["gap"]), -frame["gap"]
    ranking = judge(frame, gap="gap", axes=["lr", "width"], n_test=10**6, resamples=50)
    for one, sense in zip(ranking.measures, (1, -1), strict=True):
        for found in (one.kendall_tau, one.spearman_rho, one.granulated_psi):
            assert found.value in (sense, None)
            assert (found.low is None) == (n < 16 or found.value is None)
            assert found.low is None or sense in (found.low, found.high)
        assert {one.conditional_information.value} <= {1.0, None}
        assert {one.sign_error.mean, one.sign_error.max} <= {(1 - sense) / 2, None}


def test_statistics_stay_in_range_and_are_rounded_to_14_decimals() -> None:
    rng = np.random.default_rng(0)
    for seed in range(30):
        frame = pd.DataFrame({"a": rng.integers(0, 3, 12), "b": rng.integers(0, 3, 12), "gap": rng.integers(0, 4, 12)})
        frame["mu"], frame["constant"] = rng.integers(0, 3, 12), 1.0
        for one in judge(frame, gap="gap", axes=["a", "b"], n_test=100, seed=seed, resamples=20).measures:
            numbers = [one.kendall_tau.value, one.spearman_rho.value, one.granulated_psi.value]
            assert all(value is None or -1 <= value <= 1 for value in numbers)
            k = one.conditional_information.value
            assert k is None or 0 <= k <= 1
            for value in [*numbers, *one.granulated_psi.axes.values()]:
                assert value is None or value == round(value, 14)


def test_conditional_information_of_an_independent_measure_is_zero() -> None:
    levels = np.array([[i, j] for i in range(2) for j in range(2)])
    minima = Minima(np.array([0.0, 1.0, 1.0, 0.0]), levels, ("i", "j"), ("m",), levels[:, :1] * 1.0, rows=4)
    (found,) = conditional_information(minima, levels[:, :1], seed=0)
    assert found.value == 0.0


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["0.3", "0.30000000000000004", "0.4"], [0, 0, 1]),
        (["1", "1.0", "1e0", "2"], [0, 0, 0, 1]),
        (["10", "9", "off", None, "nan"], [1, 0, 3, 4, 2]),
        (["001", "011", "11"], [1, 2, 0]),  # phases are words
        (["12345678901234567", "12345678901234568"], [0, 1]),  # whole numbers are compared to the last digit
        (["-0.0", "0"], [0, 0]),
        (["1_0", "10"], [1, 0]),
        ([], []),
    ],
)
def test_equal_numbers_of_an_axis_are_one_level(column: list[str | None], expected: Any) -> None:
    assert levels_of(column).tolist() == expected


def test_axis_values_that_differ_by_rounding_are_one_level() -> None:
    frame = pd.DataFrame({"lr": [0.1 * 3, 0.3, 0.3, 0.1 * 3, 0.7, 0.1 * 7], "width": [1, 2, 3, 4, 1, 2]})
    frame["gap"], frame["mu"] = [0.1, 0.3, 0.2, 0.4, 0.5, 0.6], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert 0.1 * 3 != 0.3
    assert 0.1 * 7 != 0.7
    groups = judge(frame, gap="gap", axes=["lr", "width"]).to_dict()["measures"]["mu"]["granulated_psi"]["groups"]
    assert groups == {"lr": 2, "width": 2}
