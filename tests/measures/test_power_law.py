"""Power-law tails against the law they are drawn from, the package powerlaw, and WeightWatcher's conventions."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from tolerances import CLOSED_FORM, SINGLE, STOCHASTIC

from infomcr_cli.measures.library.power_law import eigenvalues, fitted_tails, power_law_tail, weight_matrices
from tests.measures.reference import convolutional

L = keras.layers


def pareto(alpha: float, count: int, seed: int = 0) -> np.ndarray:
    return 2.0 * (1 - np.random.default_rng(seed).random(count)) ** (-1 / (alpha - 1))


@pytest.mark.parametrize("alpha", [1.7, 2.5, 4.0])
def test_exponent_of_a_power_law_is_found(alpha):
    tail = power_law_tail(pareto(alpha, 4000))
    assert tail.alpha == pytest.approx(alpha, abs=5 * (alpha - 1) / np.sqrt(tail.count))
    assert tail.distance < 0.03


def test_tail_begins_where_the_law_does():
    below = np.random.default_rng(1).uniform(0.1, 2.0, 3000)
    tail = power_law_tail(np.concatenate([below, pareto(3.0, 3000)]))
    assert 1.8 < tail.start < 2.6
    assert tail.alpha == pytest.approx(3.0, abs=0.2)


def by_definition(values):
    """One loop over every start, the distance from the empirical distribution function below each value."""
    x, best = sorted(values), None
    for i in range(len(x) - 1):
        if x[i] == x[-1] or (i and x[i] == x[i - 1]):
            continue
        tail = x[i:]
        alpha = 1 + len(tail) / sum(np.log(v / x[i]) for v in tail)
        distance = max(abs(1 - (v / x[i]) ** (1 - alpha) - k / len(tail)) for k, v in enumerate(tail))
        if best is None or distance < best[1]:
            best = alpha, distance, len(tail), x[i]
    return best


@pytest.mark.parametrize("seed", range(4))
def test_fit_is_that_of_its_definition(seed):
    rng = np.random.default_rng(seed)
    values = eigenvalues(rng.standard_t(3, (12, 40)))
    tail = power_law_tail(np.concatenate([values, values[:3]]))  # with ties
    found = tail.alpha, tail.distance, tail.count, tail.start
    assert found == pytest.approx(by_definition(np.concatenate([values, values[:3]])), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_fit_is_that_of_the_package_powerlaw(seed):
    powerlaw = pytest.importorskip("powerlaw")
    values = eigenvalues(np.random.default_rng(seed).standard_t(3, (60, 200)))
    fit = powerlaw.Fit(values, parameter_ranges={"alpha": [1, 100]}, verbose=0)  # by itself it stops at 3
    tail = power_law_tail(values)
    assert tail.start == pytest.approx(fit.xmin, rel=1e-9)
    assert tail.alpha == pytest.approx(fit.power_law.alpha, rel=SINGLE)
    assert tail.distance == pytest.approx(fit.power_law.D, rel=SINGLE)


def test_exponent_does_not_change_with_the_scale_of_the_weights():
    values = eigenvalues(np.random.default_rng(0).standard_t(3, (30, 50)))
    assert power_law_tail(1e6 * values).alpha == pytest.approx(power_law_tail(values).alpha, rel=1e-9)


def test_eigenvalues_are_those_of_the_correlation_matrix():
    w = np.random.default_rng(0).standard_normal((7, 4))
    np.testing.assert_allclose(eigenvalues(w), np.linalg.eigvalsh(w.T @ w), rtol=CLOSED_FORM)


def test_filters_give_a_matrix_for_each_place_of_the_window():
    w = np.random.default_rng(0).standard_normal((2, 3, 5, 4))
    places = [np.linalg.eigvalsh(w[i, j].T @ w[i, j]) for i in range(2) for j in range(3)]
    np.testing.assert_allclose(eigenvalues(w), np.sort(np.concatenate(places)), rtol=1e-9)


def test_every_kernel_is_taken_once_and_no_offset():
    shared = L.Dense(12)
    image = keras.Input((12,))
    model = keras.Model(image, L.Dense(3)(L.LayerNormalization()(shared(L.ReLU()(shared(image))))))
    assert [matrices.shape for _, matrices in weight_matrices(model)] == [(12, 12), (12, 3)]


def test_frozen_weights_are_left_out():
    model = convolutional()
    model.layers[1].trainable = False
    assert len(list(weight_matrices(model))) == 3


def test_layers_of_few_or_equal_eigenvalues_are_left_out():
    image = keras.Input((16,))
    model = keras.Model(image, L.Dense(3)(L.Dense(16, kernel_initializer="identity")(L.Dense(16)(image))))
    fits = fitted_tails(model)
    assert [fit["layer"] for fit in fits] == [model.layers[1].kernel.path]
    assert fits[0]["eigenvalues"] <= 16
    assert 1 < fits[0]["alpha"] < np.inf


def test_lost_rank_and_zero_weights_give_no_infinity():
    image = keras.Input((30,))
    model = keras.Model(image, L.Dense(30, kernel_initializer="zeros")(L.Dense(30)(image)))
    low = np.random.default_rng(0).standard_normal((30, 12)) @ np.random.default_rng(1).standard_normal((12, 30))
    model.layers[1].kernel.assign(low)
    (fit,) = fitted_tails(model)
    assert 12 <= fit["eigenvalues"] < 30
    assert np.isfinite(fit["alpha"])


def test_orthogonal_matrices_and_weights_that_are_not_finite_are_left_out():
    image = keras.Input((4, 3))
    model = keras.Model(image, L.Dense(3)(L.LSTM(16)(image)))
    recurrent = model.layers[1].cell.recurrent_kernel
    recurrent.assign(np.linalg.qr(np.random.default_rng(0).standard_normal((64, 16)))[0].T.astype(np.float32))
    assert fitted_tails(model) == []
    recurrent.assign(np.full((16, 64), np.nan))
    assert fitted_tails(model) == []


def test_weighted_alpha_and_alpha_are_those_of_weightwatcher():
    weightwatcher = pytest.importorskip("weightwatcher")
    torch = pytest.importorskip("torch")
    w = np.random.default_rng(0).standard_t(3, (60, 200)).astype(np.float32)
    layer = torch.nn.Linear(60, 200, bias=False)
    layer.weight.data = torch.tensor(w.T)
    (row,) = weightwatcher.WeightWatcher(model=torch.nn.Sequential(layer)).analyze().to_dict("records")
    tail = power_law_tail(eigenvalues(w))
    assert tail.alpha == pytest.approx(row["alpha"], rel=STOCHASTIC)
    assert tail.alpha * np.log10(eigenvalues(w)[-1]) == pytest.approx(row["alpha_weighted"], rel=STOCHASTIC)
