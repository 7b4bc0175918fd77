"""Stochastic Lanczos quadrature against known spectra: diagonal, dense Hessian, dense Gram matrix."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from cli import infomcr
from tolerances import AUTODIFF, CLOSED_FORM, FLOAT32, ITERATED, ROUNDING, SINGLE, STOCHASTIC

from infomcr_cli.errors import InputError
from infomcr_cli.landscapes import spectra
from infomcr_cli.landscapes.density import NARROWEST, lanczos_quadrature, moment, probe, smoothed, width_of
from infomcr_cli.landscapes.density_operators import GramProduct, operator
from infomcr_cli.measures import gram_matrix
from infomcr_cli.measures.loss_surface import LossSurface
from tests.landscapes.test_directions import dense_hessian, tiny_surface


def symmetric(size: int, seed: int = 0) -> np.ndarray:
    matrix = np.random.default_rng(seed).normal(size=(size, size))
    return matrix + matrix.T


def test_as_many_steps_as_the_operator_is_large_give_all_eigenvalues() -> None:
    matrix, start = symmetric(9), probe(9, seed=1, index=0)
    found = lanczos_quadrature(lambda v: matrix @ v, start, steps=9)
    values, vectors = np.linalg.eigh(matrix)
    np.testing.assert_allclose(found.nodes, values, rtol=CLOSED_FORM)
    np.testing.assert_allclose(found.weights, (vectors.T @ start) ** 2, rtol=ITERATED)


def test_moments_up_to_twice_the_steps_are_those_of_the_operator() -> None:
    diagonal, steps = np.linspace(-1.0, 3.0, 300), 6
    start = probe(300, seed=0, index=2)
    found = lanczos_quadrature(lambda v: diagonal * v, start, steps)
    for power in range(2 * steps):
        assert found.weights @ found.nodes**power == pytest.approx(start @ (diagonal**power * start), rel=1e-9)
    assert found.weights @ found.nodes ** (2 * steps) != pytest.approx(
        start @ (diagonal ** (2 * steps) * start), rel=1e-9
    )


def test_a_quadratic_has_the_density_of_its_known_eigenvalues() -> None:
    """Few distinct eigenvalues: the quadrature is exact, and with signs as probes so is the density of a diagonal."""
    diagonal = np.repeat([-0.5, 0.0, 2.0], [10, 70, 20])
    found = [lanczos_quadrature(lambda v: diagonal * v, probe(100, 0, i), steps=30) for i in range(2)]
    for one in found:
        np.testing.assert_allclose(one.nodes, [-0.5, 0.0, 2.0], atol=ROUNDING)
        np.testing.assert_allclose(one.weights, [0.1, 0.7, 0.2], rtol=CLOSED_FORM)
    density = smoothed(found, width=0.1)
    exact = np.mean(np.exp(-0.5 * ((density.grid[:, None] - diagonal) / 0.1) ** 2), axis=1) / (0.1 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(density.value, exact, rtol=1e-9, atol=ROUNDING)
    np.testing.assert_allclose(density.std_error, 0, atol=CLOSED_FORM)
    assert np.trapezoid(density.value, density.grid) == pytest.approx(1, rel=STOCHASTIC)


def test_the_error_of_a_density_is_as_large_as_its_standard_error_says() -> None:
    matrix, size = symmetric(200, seed=3), 200
    found = [lanczos_quadrature(lambda v: matrix @ v, probe(size, 0, i), steps=60) for i in range(12)]
    density, values = smoothed(found, width=3.0), np.linalg.eigvalsh(matrix)
    exact = np.mean(np.exp(-0.5 * ((density.grid[:, None] - values) / 3.0) ** 2), axis=1) / (3.0 * np.sqrt(2 * np.pi))
    inside = exact > 1e-3 * exact.max()
    away = (density.value - exact)[inside] / density.std_error[inside]
    assert 0.3 < np.sqrt(np.mean(away**2)) < 2.5
    for power, truth in ((1, values.sum()), (2, (values**2).sum())):
        value, error = moment(found, power, size)
        assert abs(value - truth) < 4 * error


def test_the_trace_is_the_mean_of_plain_quadratic_forms_and_has_no_bias() -> None:
    """A few large eigenvalues, as of a Hessian: of few probes the estimate is rough, of many it is right."""
    values, few = np.concatenate([[2.5, 1.4, 1.2], np.geomspace(0.5, 1e-4, 57)]), 5
    basis = np.linalg.qr(np.random.default_rng(1).normal(size=(60, 60)))[0]
    matrix, estimates = (basis * values) @ basis.T, []
    for seed in range(200):
        starts = [probe(60, seed, index) for index in range(few)]
        plain = [60 * start @ matrix @ start for start in starts]  # Hutchinson's estimate
        value, error = moment([lanczos_quadrature(lambda v: matrix @ v, start, 8) for start in starts], 1, 60)
        assert value == pytest.approx(np.mean(plain), rel=CLOSED_FORM)
        assert error == pytest.approx(np.std(plain, ddof=1) / np.sqrt(few), rel=ITERATED)
        estimates.append(value)
    variance_of_one = 2 * (np.sum(matrix**2) - np.sum(np.diag(matrix) ** 2))  # of signs as probes
    assert np.std(estimates) == pytest.approx(np.sqrt(variance_of_one / few), rel=0.15)
    assert abs(np.mean(estimates) - values.sum()) < 3 * np.sqrt(variance_of_one / few / 200)


def test_a_density_has_the_integral_one_however_narrow_its_gaussians_are() -> None:
    diagonal = np.array([0.0, 0.1234567, 3.0, 10.0])
    found = [lanczos_quadrature(lambda v: diagonal * v, probe(4, 0, 0), steps=4)]
    for wanted in (1.0, 0.01, 1e-9):
        width = width_of(found, wanted)
        assert width == pytest.approx(max(wanted, 10 * NARROWEST))
        density = smoothed(found, width)
        assert np.trapezoid(density.value, density.grid) == pytest.approx(1, rel=SINGLE)


def test_a_bulk_at_zero_counts_as_negative_on_neither_side() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([[-2.0, -1.0, 5.0], rng.normal(0, 1e-3, 397)])
    found = [lanczos_quadrature(lambda v: values * v, probe(400, 0, index), steps=6) for index in range(2)]
    for shift in (-1e-4, 1e-4):
        moved = [one._replace(nodes=one.nodes + shift) for one in found]
        assert spectra.negative_share(moved, width_of(found)) == pytest.approx(2 / 400, rel=SINGLE)


def test_products_that_are_not_finite_have_no_spectrum() -> None:
    with pytest.raises(InputError, match="finite"):
        lanczos_quadrature(lambda v: np.nan * v, probe(5, 0, 0), steps=3)


def test_eigenvalues_that_have_converged_do_not_come_back_as_copies() -> None:
    diagonal = np.concatenate([np.linspace(0, 1, 400), [1000.0]])
    found = lanczos_quadrature(lambda v: diagonal * v, probe(401, 0, 0), steps=100)
    assert (found.nodes > 2).sum() == 1
    assert found.nodes[-1] == pytest.approx(1000.0)
    assert found.weights.sum() == pytest.approx(1, rel=CLOSED_FORM)


def test_one_probe_has_no_standard_error_and_zero_is_an_operator_too() -> None:
    found = [lanczos_quadrature(lambda v: 0 * v, probe(7, 0, 0), steps=5)]
    density = smoothed(found, width_of(found))
    assert found[0].nodes.tolist() == [0.0]
    assert np.isnan(density.std_error).all()
    assert np.isfinite(density.value).all()


@pytest.mark.usefixtures("double_precision")
def test_the_hessian_of_a_tiny_network_has_the_spectrum_of_the_dense_matrix() -> None:
    surface = tiny_surface()
    product, size = operator(surface, "hessian")
    found = lanczos_quadrature(product, probe(size, 0, 0), steps=size)
    matrix = dense_hessian(surface)
    values = np.linalg.eigvalsh(matrix)
    assert found.nodes[-1] == pytest.approx(values[-1], rel=AUTODIFF)
    assert found.nodes[0] == pytest.approx(values[0], rel=AUTODIFF, abs=1e-9)
    start = probe(size, 0, 0)
    for power in (1, 2, 3):
        expected = start @ np.linalg.matrix_power(matrix, power) @ start
        assert found.weights @ found.nodes**power == pytest.approx(expected, rel=AUTODIFF)


def images_and_labels(count: int = 14) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.normal(size=(count, 6, 6, 2)), rng.integers(0, 4, count)


def convolutional() -> keras.Model:
    layers = keras.layers
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), layers.Conv2D(4, 3, activation="tanh"), layers.BatchNormalization()]
    )
    model.add(layers.Flatten())
    model.add(layers.Dense(4))
    return model


@pytest.mark.usefixtures("double_precision")
def test_the_spectrum_of_g_is_that_of_the_dense_gram_matrix() -> None:
    model, (images, labels) = convolutional(), images_and_labels()
    product = GramProduct(LossSurface(model, images, labels))
    gram = gram_matrix(model, images, labels) / len(labels)
    vector = np.random.default_rng(1).normal(size=len(labels))
    np.testing.assert_allclose(product(vector), gram @ vector, rtol=AUTODIFF, atol=ROUNDING)
    found = lanczos_quadrature(product, probe(len(labels), 0, 0), steps=len(labels))
    np.testing.assert_allclose(found.nodes, np.linalg.eigvalsh(gram), rtol=AUTODIFF, atol=CLOSED_FORM)


def test_confident_samples_keep_their_part_of_g_in_float32() -> None:
    """A loss of 1e-9 nats: softmax minus one-hot would be zero in float32."""
    model, (images, labels) = convolutional(), images_and_labels(6)
    kernel = model.layers[-1].kernel
    kernel.assign(kernel * 40.0)
    labels = np.argmax(np.asarray(model(images, training=False)), axis=1)
    product = GramProduct(LossSurface(model, images, labels))
    gram = gram_matrix(model, images, labels) / len(labels)
    assert gram.diagonal().min() < 1e-8 * gram.diagonal().max()
    columns = np.stack([product(unit) for unit in np.eye(len(labels))], axis=1)
    scale = np.sqrt(np.outer(gram.diagonal(), gram.diagonal()))
    np.testing.assert_allclose(columns / scale, gram / scale, atol=10 * FLOAT32)


def spectrum(folder: Path, *arguments: str) -> Any:
    answer = infomcr(("spectrum", *arguments, "--json"), folder)
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


FEW = ("--samples", "40", "--probes", "3", "--steps", "5")


def test_a_document_holds_nodes_weights_and_the_width(three_runs: Path) -> None:
    found = spectrum(three_runs, "runs/a", "runs/b", *FEW, "--out", "hessian")
    assert [run["name"] for run in found["runs"]] == ["a", "b"]
    for run in found["runs"]:
        assert len(run["probes"]) == 3
        for one in run["probes"]:
            assert len(one["nodes"]) == 5
            assert sum(one["weights"]) == pytest.approx(1, rel=1e-9)
        mean = np.mean([np.dot(one["weights"], one["nodes"]) for one in run["probes"]])
        assert run["trace"]["value"] == pytest.approx(run["size"] * mean)
        assert len(run["density"]["grid"]) == len(run["density"]["std_error"])
    low, high = min(run["smallest"] for run in found["runs"]), max(run["largest"] for run in found["runs"])
    assert found["width"] == pytest.approx(0.01 * (high - low))
    with np.load(three_runs / "hessian" / "values.npz") as kept:
        assert kept["nodes"].shape == (2, 3, 5)
    assert (three_runs / "hessian" / "density.svg").exists()


def test_a_stopped_spectrum_continues_with_the_same_bits(three_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("runs/a", "--operator", "fisher", *FEW)
    whole = spectrum(three_runs, *arguments, "--out", "fisher")
    calls, real = [], spectra.lanczos_quadrature

    def stops_at_the_third(*inputs: Any) -> Any:
        calls.append(inputs)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*inputs)

    with monkeypatch.context() as patched:
        patched.setattr(spectra, "lanczos_quadrature", stops_at_the_third)
        assert infomcr(("spectrum", *arguments, "--out", "stopped-fisher"), three_runs).code == 130
    again = spectrum(three_runs, *arguments, "--out", "stopped-fisher")
    assert again["runs"] == whole["runs"]
    assert whole["runs"][0]["size"] == 40
    assert whole["runs"][0]["smallest"] > -1e-6 * whole["runs"][0]["largest"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--operator", "fischer"), "Did you mean 'fisher'"),
        (("--probes", "0"), "1 to 10000"),
        (("--steps", "1"), "2 to 10000"),
        (("--width", "-1"), "positive"),
        (("--samples", "0"), "or all"),
    ],
)
def test_mistakes_exit_2(three_runs: Path, arguments: tuple[str, ...], words: str) -> None:
    answer = infomcr(("spectrum", "runs/a", *arguments), three_runs)
    assert answer.code == 2
    assert words in answer.err


def test_vectors_that_do_not_fit_into_memory_are_refused_before_the_work(
    three_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectra.psutil, "virtual_memory", lambda: SimpleNamespace(available=30_000))
    monkeypatch.setattr(spectra, "lanczos_quadrature", None)
    answer = infomcr(("spectrum", "runs/linear", "--samples", "40"), three_runs)
    assert answer.code == 2
    assert "Try --steps" in answer.err
