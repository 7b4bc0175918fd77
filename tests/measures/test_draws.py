"""Draws and what is estimated over them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp
from tolerances import CLOSED_FORM

from infomcr_cli.errors import InputError
from infomcr_cli.measures.draws import disjoint_draws, stratified_permutation
from infomcr_cli.measures.gram.parts import Part, parts_within
from infomcr_cli.measures.value import is_converged, mean_over_draws


def test_stored_order_gives_consecutive_disjoint_draws() -> None:
    draws = disjoint_draws(np.zeros(95), stored_order=True, samples=80, draw_size=30, draws=100)
    np.testing.assert_array_equal(np.concatenate(draws), np.arange(60))


def test_permutation_is_stratified() -> None:
    labels = np.repeat(np.arange(4), [400, 200, 100, 100])
    order = stratified_permutation(labels)
    assert sorted(order) == list(range(800))
    counts = np.array([np.bincount(labels[part], minlength=4) for part in order.reshape(10, 80)])
    assert np.abs(counts - [40, 20, 10, 10]).max() <= 2


def test_the_order_of_a_source_without_one_never_changes() -> None:
    recorded = [13, 23, 6, 2, 22, 12, 19, 9, 14, 7, 20, 18, 11, 15, 16, 17, 4, 0, 10, 3, 8, 21, 1, 5]
    assert stratified_permutation(np.arange(24) % 3).tolist() == recorded  # a part of gamma's convention


def test_draw_larger_than_the_data_is_refused() -> None:
    with pytest.raises(InputError, match="draw_size"):
        disjoint_draws(np.zeros(9), stored_order=True, samples=80, draw_size=10, draws=1)


def test_mean_error_and_interval_of_a_normal_sample() -> None:
    draws = np.random.default_rng(0).normal(5, 2, 400)
    found = mean_over_draws(draws.tolist())
    assert found.value == pytest.approx(draws.mean(), rel=1e-12)
    assert found.std_error == pytest.approx(draws.std(ddof=1) / 20, rel=1e-12)
    assert found.extras["interval"][0] == pytest.approx(draws.mean() - 1.96 * 0.1 * draws.std() / 2, abs=0.02)
    assert found.extras["interval"][1] == pytest.approx(draws.mean() + 1.96 * 0.1 * draws.std() / 2, abs=0.02)


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_interval_agrees_with_students_t(count: int) -> None:
    draws = np.random.default_rng(count).normal(5, 2, count)
    found, truth = mean_over_draws(draws.tolist()), ttest_1samp(draws, 0.0).confidence_interval(0.95)
    assert tuple(found.extras["interval"]) == pytest.approx((truth.low, truth.high), rel=CLOSED_FORM)


@pytest.mark.parametrize("count", [3, 5, 10])
def test_interval_of_few_draws_has_95_percent_coverage(count: int) -> None:
    rng = np.random.default_rng(0)
    found = [mean_over_draws(rng.normal(1.0, 2.0, count).tolist()) for _ in range(4000)]
    covered = np.mean([one.extras["interval"][0] <= 1.0 <= one.extras["interval"][1] for one in found])
    assert covered == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 4000))
    two_errors = np.mean([abs(one.value - 1.0) <= 1.96 * one.std_error for one in found])
    assert two_errors < 0.93


def test_deficient_draws_are_counted_and_not_averaged() -> None:
    found = mean_over_draws([1.0, None, 3.0])
    assert (found.value, found.extras["draws"]) == (2.0, [1.0, None, 3.0])
    assert mean_over_draws([None]).value is None


def test_draws_stop_at_the_target_standard_error() -> None:
    assert not is_converged([1.0] * 9, 0.1)
    assert not is_converged([1.0] * 9 + [None], 0.1)
    assert is_converged([1.0] * 10, 0.1)
    assert not is_converged([1.0, 2.0] * 5, 0.1)
    assert not is_converged([1.0] * 10, None)


@pytest.mark.parametrize("target", [1.5, 3.0])
def test_an_interval_covers_the_truth_if_drawing_stops_early(target: float) -> None:
    rng, covered, errors, values = np.random.default_rng(0), [], [], []
    for _ in range(1000):
        draws = rng.normal(0, 10, 100).tolist()
        stop = next((n for n in range(2, 100) if is_converged(draws[:n], target)), 100)
        found = mean_over_draws(draws[:stop])
        low, high = found.extras["interval"]
        covered.append(low <= 0 <= high)
        values.append(found.value)
        errors.append(found.std_error)
    assert np.mean(covered) == pytest.approx(0.94, abs=0.025)
    assert 0.85 < np.mean(errors) / np.std(values) < 1.02


def test_parts_cover_all_columns_within_the_budget() -> None:
    groups = list(parts_within([5, 12, 3, 1], row_bytes=10, budget=60))
    width = {0: 5, 1: 12, 2: 3, 3: 1}
    assert Part(0) in groups[0]
    covered = [0, 0, 0, 0]
    for group in groups:
        sizes = [width[p.index] if p.stop is None else p.stop - p.start for p in group]
        assert sum(sizes) <= 6
        for part, size in zip(group, sizes, strict=True):
            covered[part.index] += size
    assert covered == [5, 12, 3, 1]
    assert list(parts_within([5, 12], row_bytes=10, budget=float("inf"))) == [[Part(0), Part(1)]]
