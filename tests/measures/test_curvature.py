"""Hutch++, Lanczos and the Hessian-vector product against full matrices."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from tolerances import AUTODIFF, CLOSED_FORM, ROUNDING, STOCHASTIC

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import Dataset, Split
from infomcr_cli.measures.context import MeasureContext
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.measures.krylov import krylov_space, trace_outside
from infomcr_cli.measures.library.hessian import largest_eigenvalues, trace
from infomcr_cli.measures.loss_surface import LossSurface
from infomcr_cli.measures.value import student_interval
from tests.measures.reference import convolutional, mean_loss, perceptron, samples, with_hessian


def spectrum_matrix(values, seed=0):
    orthogonal, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))
    return orthogonal @ np.diag(values) @ orthogonal.T


@pytest.mark.parametrize("build", [perceptron, convolutional])
def test_hessian_product_agrees_with_the_full_hessian(build):
    model, images, labels, hessian = with_hessian(build)
    surface, vector = LossSurface(model, images, labels), np.random.default_rng(3).standard_normal(model.count_params())
    vector = vector[: surface.size]
    np.testing.assert_allclose(
        surface.hessian_product(vector), hessian @ vector, rtol=0, atol=1e-5 * np.abs(hessian).max()
    )


def test_loss_and_gradient_agree_with_keras_and_finite_differences():
    model = convolutional()
    images, labels = samples((6, 6, 2), count=70)
    surface = LossSurface(model, images, labels)
    loss, gradient = surface.loss_and_gradient(surface.weights)
    assert loss == pytest.approx(float(mean_loss(model, images, labels)), rel=CLOSED_FORM)
    assert surface.loss(surface.weights) == pytest.approx(loss, rel=CLOSED_FORM)
    step = np.random.default_rng(0).standard_normal(surface.size) * 1e-6
    rise = surface.loss(surface.weights + step) - surface.loss(surface.weights - step)
    assert rise / 2 == pytest.approx(gradient @ step, rel=AUTODIFF)


def test_embedding_has_a_gradient_and_a_hessian():
    """Its gradient comes as the rows that were looked up; the same numbers as by one-hot vectors and a kernel."""
    tokens, labels = np.random.default_rng(1).integers(0, 6, (24, 4)), samples((4,))[1]
    image = keras.Input((4,), dtype="int32")
    table = keras.layers.Embedding(6, 3, dtype="float64")
    head = keras.layers.Dense(4, dtype="float64")
    embedding = keras.Model(image, head(keras.layers.Flatten(dtype="float64")(table(image))))
    one_hot = keras.Input((4, 6), dtype="float64")
    kernel = keras.layers.Dense(3, use_bias=False, dtype="float64")
    dense = keras.Model(one_hot, head(keras.layers.Flatten(dtype="float64")(kernel(one_hot))))
    dense.set_weights(embedding.get_weights())
    ours, theirs = LossSurface(embedding, tokens, labels), LossSurface(dense, np.eye(6)[tokens], labels)
    vector = np.random.default_rng(2).standard_normal(ours.size)
    np.testing.assert_allclose(
        ours.loss_and_gradient(ours.weights)[1], theirs.loss_and_gradient(theirs.weights)[1], atol=ROUNDING
    )
    np.testing.assert_allclose(ours.hessian_product(vector), theirs.hessian_product(vector), atol=ROUNDING)


def test_sub_batch_losses_average_to_the_whole():
    model = perceptron()
    surface = LossSurface(model, *samples((4,), count=24))
    whole = surface.loss_and_gradient(surface.weights)[1]
    parts = [surface.loss_and_gradient(surface.weights, i)[1] for i in surface.sub_batches(8)]
    np.testing.assert_allclose(np.mean(parts, axis=0), whole, atol=ROUNDING)


def test_single_sample_has_a_gradient_and_a_hessian():
    model = perceptron()
    images, labels = samples((4,), count=5)
    surface, alone = LossSurface(model, images, labels), LossSurface(model, images[:1], labels[:1])
    found = [surface.loss_and_gradient(surface.weights, indices) for indices in surface.sub_batches(1)]
    whole = surface.loss_and_gradient(surface.weights)
    assert np.mean([loss for loss, _ in found]) == pytest.approx(whole[0], rel=CLOSED_FORM)
    np.testing.assert_allclose(np.mean([row for _, row in found], axis=0), whole[1], atol=ROUNDING)
    vector, step = np.random.default_rng(0).standard_normal(surface.size), 1e-5
    rise = [alone.loss_and_gradient(alone.weights + s * step * vector)[1] for s in (1, -1)]
    np.testing.assert_allclose(alone.hessian_product(vector), (rise[0] - rise[1]) / (2 * step), atol=1e-7)


def test_loss_surface_leaves_the_network_unchanged():
    model = convolutional()
    surface = LossSurface(model, *samples((6, 6, 2)))
    before = [np.array(v) for v in model.variables]
    (
        surface.loss(surface.weights + 1.0),
        surface.hessian_product(surface.weights),
        surface.loss_and_gradient(surface.weights),
    )
    for variable, old in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), old)


def test_hutchpp_trace_of_a_low_rank_matrix_is_exact():
    matrix = spectrum_matrix([5.0, -3.0, 1.0, *[0.0] * 37])
    value, error = trace(lambda v: matrix @ v, 40, probes=5, seed=0)
    assert value == pytest.approx(3.0, abs=CLOSED_FORM)
    assert error == pytest.approx(0.0, abs=CLOSED_FORM)


def test_hutchpp_trace_has_a_calibrated_standard_error():
    matrix = spectrum_matrix(1.0 / np.arange(1, 101) ** 0.5)
    found = np.array([trace(lambda v: matrix @ v, 100, probes=8, seed=seed) for seed in range(200)])
    z = (found[:, 0] - np.trace(matrix)) / found[:, 1]
    assert np.mean(np.abs(z) < 3) > 0.94  # of Student's t with 7 degrees of freedom: 0.98
    assert abs(found[:, 0].mean() - np.trace(matrix)) < 3 * found[:, 0].std() / np.sqrt(200)
    assert 0.8 < found[:, 0].std() / np.sqrt(np.mean(found[:, 1] ** 2)) < 1.2


def test_interval_of_a_trace_of_ten_probes_has_coverage():
    matrix = spectrum_matrix(1.0 / np.arange(1, 101) ** 0.5)

    def covers(seed):
        value, error = trace(lambda v: matrix @ v, 100, probes=10, seed=seed)
        low, high = student_interval(value, error, 10)
        return low <= np.trace(matrix) <= high

    assert np.mean([covers(seed) for seed in range(500)]) == pytest.approx(0.95, abs=0.03)


def test_hutchplusplus_beats_plain_hutchinson_on_a_steep_spectrum():
    matrix = spectrum_matrix(1.0 / np.arange(1, 101) ** 2.0)
    ours = [trace(lambda v: matrix @ v, 100, probes=8, seed=seed)[0] for seed in range(50)]
    rng = np.random.default_rng(0)
    plain = [np.mean([v @ matrix @ v for v in rng.choice([-1.0, 1.0], (24, 100))]) for _ in range(50)]
    assert np.std(ours) < np.std(plain) / 3


def test_the_hessian_trace_of_a_network_is_within_three_standard_errors():
    model, images, labels, hessian = with_hessian(convolutional)
    surface = LossSurface(model, images, labels)
    value, error = trace(surface.hessian_product, surface.size, probes=20, seed=0)
    truth = np.trace(hessian)
    assert 0 < error < 0.1 * truth
    assert abs(value - truth) < 3 * error


def test_lanczos_finds_a_known_spectrum_and_bounds_its_error():
    matrix = spectrum_matrix(np.r_[-50.0, np.linspace(0, 1, 95), 5.0, 7.0, 11.0, 20.0])
    space = krylov_space(lambda v: matrix @ v, 100, steps=40, seed=0)
    values, residuals = largest_eigenvalues(space, count=4, tolerance=1e-3)
    truth = np.array([20.0, 11.0, 7.0, 5.0])
    assert np.all(np.abs(values - truth) <= residuals + 1e-12)
    np.testing.assert_allclose(values, truth, rtol=STOCHASTIC)


def test_lanczos_finds_the_largest_eigenvalues_of_a_network():
    model, images, labels, hessian = with_hessian(convolutional)
    surface = LossSurface(model, images, labels)
    space = krylov_space(surface.hessian_product, surface.size, steps=60, seed=0)
    values, _ = largest_eigenvalues(space, count=3, tolerance=1e-6)
    truth = np.linalg.eigvalsh(hessian)[::-1][:3]
    np.testing.assert_allclose(values, truth, rtol=AUTODIFF)


def test_lanczos_takes_as_many_products_as_it_has_dimensions_and_leaves_out_what_has_not_converged():
    matrix, used = spectrum_matrix(np.linspace(0, 1, 300)), []
    space = krylov_space(lambda v: used.append(v) or matrix @ v, 300, steps=30, seed=0)
    assert len(used) == 30
    np.testing.assert_allclose(space.basis @ space.basis.T, np.eye(30), atol=ROUNDING)
    assert not len(largest_eigenvalues(space, count=2, tolerance=1e-6)[0])


def test_eigenvalue_that_stands_alone_converges_faster_than_its_residual():
    matrix = spectrum_matrix(np.r_[2.0, np.linspace(0, 1, 199)])
    space = krylov_space(lambda v: matrix @ v, 200, steps=4, seed=0)
    values, residuals = largest_eigenvalues(space, count=1, tolerance=1e-2)
    assert residuals[0] > 0.01 * values[0]
    assert values[0] == pytest.approx(2.0, rel=1e-2)


def test_largest_eigenvalue_of_a_zero_matrix_is_zero():
    values, residuals = largest_eigenvalues(krylov_space(np.zeros_like, 30, steps=20, seed=0), count=2, tolerance=1e-2)
    assert values.tolist() == residuals.tolist() == [0.0, 0.0]


def test_space_of_all_dimensions_has_the_whole_trace_whatever_the_multiplicities():
    matrix = spectrum_matrix([3.0] * 5 + [0.0] * 4 + [-2.0])
    assert trace(lambda v: matrix @ v, 10, probes=10, seed=0) == (pytest.approx(13.0, abs=ROUNDING), 0.0)


def test_one_probe_for_each_part_is_worth_many_if_the_parts_are_alike():
    """The same number of products, a smaller spread, and a standard error that says so."""
    rng = np.random.default_rng(5)
    roots = rng.standard_normal((60, 60)) + 0.3 * rng.standard_normal((20, 60, 60))
    pieces = roots.transpose(0, 2, 1) @ roots / 60
    parts, whole = [lambda v, p=p: p @ v for p in pieces], pieces.sum(axis=0)
    space = krylov_space(lambda v: whole @ v, 60, steps=3, seed=0)
    found = np.array([trace_outside(space, parts, probes=2, seed=seed) for seed in range(200)])
    plain = np.array([trace_outside(space, [lambda v: whole @ v], probes=2, seed=seed)[0] for seed in range(200)])
    truth = np.trace(whole) - space.trace
    assert abs(found[:, 0].mean() - truth) < 4 * found[:, 0].std() / np.sqrt(200)
    assert 0.8 < found[:, 0].std() / np.sqrt(np.mean(found[:, 1] ** 2)) < 1.2
    assert found[:, 0].std() < 0.4 * plain.std()


def test_hessians_of_parts_sum_to_the_hessian():
    surface = LossSurface(perceptron(), *samples((4,), count=10))
    vector = np.random.default_rng(0).standard_normal(surface.size)
    for count in (1, 4, 16):
        products = [part(vector) for part in surface.hessian_parts(count)]
        assert len(products) == min(count, 10)
        np.testing.assert_allclose(np.sum(products, axis=0), surface.hessian_product(vector), atol=ROUNDING)


def test_trace_and_eigenvalues_of_a_network_share_their_products(monkeypatch):
    model, images, labels, hessian = with_hessian(perceptron)
    split = Split(images.astype(np.float32), labels)
    dataset = Dataset("random", split, split, ("a", "b", "c"), (0.0,), (1.0,), True, "random")
    names = "measure.names=[hessian_trace,hessian_eigenvalue,takeuchi]"
    config = compose_run([names, "measure.samples=70", "measure.gamma.draw_size=35", "measure.curvature.products=12"])
    counted, product = [], LossSurface._hessian_product
    monkeypatch.setattr(
        LossSurface, "_hessian_product", lambda *args, **kw: counted.append(args) or product(*args, **kw)
    )
    found = evaluate_measures(MeasureContext(model, dataset, config.measure))
    assert len(counted) == 12 + 16 * config.measure.curvature.probes  # the probes take a part of the images each
    trace_found = found["hessian_trace"]
    assert abs(trace_found.value - np.trace(hessian)) < 4 * trace_found.std_error
    assert found["hessian_eigenvalue"].value == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=0.02)


def test_network_without_trainable_weights_has_no_hessian_and_says_so():
    model, (images, labels) = perceptron(), samples((4,), count=20)
    model.trainable = False
    split = Split(images.astype(np.float32), labels)
    dataset = Dataset("random", split, split, ("a", "b", "c"), (0.0,), (1.0,), True, "random")
    config = compose_run(["measure.names=[hessian_trace,hessian_eigenvalue]", "measure.samples=20"]).measure
    for found in evaluate_measures(MeasureContext(model, dataset, config)).values():
        assert "trainable weights" in found.extras["reason"]
        assert "error" not in found.extras


def test_the_first_eigenvalue_is_the_largest_even_if_only_smaller_ones_have_converged() -> None:
    errors = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        values = np.concatenate([rng.uniform(0.5, 1.5, 10), rng.uniform(0, 0.1, 190)])
        matrix = spectrum_matrix(values, seed)
        space = krylov_space(lambda v, matrix=matrix: matrix @ v, 200, steps=10, seed=seed)
        largest, _ = largest_eigenvalues(space, count=5, tolerance=1e-2)
        errors += [1 - float(largest[0]) / values.max()] if len(largest) else []
    assert 50 < len(errors) < 200
    # A Ritz value between two eigenvalues that lie close together can pass for converged, but is near the larger one.
    assert max(errors) < 0.05
    assert np.mean(np.array(errors) < 0.01) > 0.95
