"""Tests of two runs against SciPy and counting; as many false alarms as promised."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from tolerances import CLOSED_FORM

from infomcr_cli.judging.two_runs import (
    corrected,
    known_errors,
    paired_errors,
    paired_means,
    unpaired_errors,
    unpaired_means,
)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_t_tests_equal_those_of_scipy(n: int) -> None:
    first, second = np.random.default_rng(n).normal(size=(2, n)) * [[1.0], [3.0]]
    paired, welch = paired_means(first, second), unpaired_means(first, second[: max(2, n - 1)])
    assert paired.p_value == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=CLOSED_FORM)
    expected = stats.ttest_ind(first, second[: max(2, n - 1)], equal_var=False)
    assert welch.p_value == pytest.approx(expected.pvalue, abs=CLOSED_FORM)
    assert welch.std_error == pytest.approx((first.mean() - second[: max(2, n - 1)].mean()) / expected.statistic)


def test_tests_without_spread_or_numbers() -> None:
    assert paired_means([1.0], [2.0]) is unpaired_means([1.0], [2.0, 3.0]) is None
    assert paired_means([1.0, 1.0], [1.0, 1.0]).p_value == 1.0
    assert paired_means([1.0, 1.0], [2.0, 2.0]) is unpaired_means([1.0, 1.0], [2.0, 2.0]) is None
    assert unpaired_means([1.0, 1.0], [1.0, 1.0]).p_value == 1.0
    assert unpaired_means([1e200, 2e200], [3e200, 4e200]) is paired_means([1e200, 2e200], [3e200, 1e200]) is None
    assert known_errors((1e308, 1.0), (-1e308, 1.0)) is None
    assert known_errors((1.0, 0.0), (1.0, 0.0)).p_value == 1.0
    assert known_errors((1.0, 0.0), (2.0, 0.0)) is None
    assert known_errors((3.0, 3.0), (0.0, 4.0)).std_error == 5.0


def test_mcnemar_counts_the_images_on_which_two_networks_differ() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 500)) < [[0.9], [0.8]]
    found = paired_errors(first, second)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    assert found.difference == pytest.approx(second.mean() - first.mean())
    differences = (~first).astype(float) - (~second)
    assert found.std_error == pytest.approx(differences.std() / math.sqrt(500))
    assert found.p_value == pytest.approx(stats.binomtest(only_first, only_first + only_second).pvalue)
    assert found.is_distinguishable
    assert paired_errors(first, first).p_value == 1.0
    assert paired_errors(first, first).std_error == 0.0


def test_unpaired_errors_give_the_exact_test_of_fisher() -> None:
    found = unpaired_errors((0.022, 360), (0.019, 360))
    assert found.p_value == pytest.approx(stats.fisher_exact([[8, 352], [7, 353]]).pvalue)
    assert found.std_error == pytest.approx(math.sqrt((0.022 * 0.978 + 0.019 * 0.981) / 360))
    assert not found.is_distinguishable


def test_holm_correction_keeps_undefined_tests_and_never_lowers_a_p_value() -> None:
    tests = [known_errors((x, 1.0), (0.0, 0.0)) for x in (3.0, 2.0, 2.1)]
    found = corrected([tests[0], None, *tests[1:]])
    assert found[1] is None
    values = [one.p_value for one in found if one is not None]
    plain = [one.p_value for one in tests]
    assert values[0] == pytest.approx(3 * plain[0])
    assert values[2] == pytest.approx(2 * plain[2])
    assert values[1] == max(values[2], plain[1])


def test_equal_runs_are_called_different_in_at_most_five_of_a_hundred_cases() -> None:
    rng, alarms, images = np.random.default_rng(1), np.zeros(3), 360
    for _ in range(600):
        gammas = rng.normal(-378, 25, (2, 10))
        hard = rng.beta(0.1, 3, images)  # both networks err on the same hard images
        correct = rng.random((2, images)) > hard
        alarms += [
            paired_means(*gammas).is_distinguishable,
            unpaired_means(*gammas).is_distinguishable,
            paired_errors(*correct).is_distinguishable,
        ]
    assert (alarms / 600 <= 0.075).all()
    assert (alarms[:2] / 600 >= 0.03).all()


def test_seeds_that_agree_to_a_whole_image_have_the_variance_of_rounding() -> None:
    found = unpaired_means([5 / 360] * 2, [6 / 360] * 2, step=1 / 360)
    assert found.std_error == pytest.approx(math.sqrt(1 / 12) / 360)
    assert found.p_value == pytest.approx(2 * stats.t.sf(math.sqrt(12), 2))
    assert not found.is_distinguishable
    first, second = np.random.default_rng(2).normal(size=(2, 4))
    assert unpaired_means(first, second, step=1e-3) == unpaired_means(first, second)


@pytest.mark.parametrize("spread", [0.5, 0.7, 1.0])
def test_two_seeds_of_whole_images_give_few_false_alarms(spread: float) -> None:
    rng, alarms, images = np.random.default_rng(3), 0, 360
    for _ in range(200):
        wrong = np.round(10 + rng.random() + spread * rng.standard_normal((4, 2))) / images
        tests = corrected([unpaired_means(wrong[0], one, step=1 / images) for one in wrong[1:]])
        alarms += any(one is not None and one.is_distinguishable for one in tests)
    assert alarms / 200 <= 0.075


def test_equal_numbers_do_not_differ_by_rounding() -> None:
    number = 7.859554395548653
    for found in (unpaired_means([number] * 23, [number] * 2), paired_means([number] * 7, [number] * 7)):
        assert found is not None
        assert (found.difference, found.p_value) == (0.0, 1.0)
    assert unpaired_means([number] * 5, [number + 1e-6] * 5) is None
