"""Measures of one draw against dense matrices of weights and against loops over pairs of gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tolerances import CLOSED_FORM, ITERATED, ROUNDING

from infomcr_cli.measures import gamma as formulas
from infomcr_cli.measures.draws import Draw, summarise
from infomcr_cli.measures.gram.engine import GramEngine
from infomcr_cli.measures.gram.record import GramRecord
from infomcr_cli.measures.library.gradient_agreement import (
    gradient_coherence,
    gradient_disparity,
    stiffness,
    stiffness_between,
    stiffness_within,
)
from infomcr_cli.measures.library.laplace import effective_dimension, laplace_evidence, laplace_log_det
from infomcr_cli.measures.library.spectrum import renyi_entropy, stable_rank
from infomcr_cli.measures.value import MeasureValue
from tests.measures.reference import convolutional, jacobian, samples, weights

PRIOR = 0.02


def draw_of(rows: Any, labels: Any = None, size: float = 1.0) -> Draw:
    """A draw whose gradients are `rows` [N, W] times `size`, which may be too small for G in floating point."""
    unit, logs = formulas.unit_diagonal(rows @ rows.T)
    count = len(rows)
    labels = np.arange(count) % 3 if labels is None else np.asarray(labels)
    record = GramRecord(unit, logs + np.log(size), np.full(count, 0.1), np.zeros(count), {}, {})
    return Draw(record, labels.astype(np.int32), 2.0, PRIOR)


def random_rows(count: int = 7, size: int = 12) -> Any:
    return np.random.default_rng(0).standard_normal((count, size)) + 0.5


@pytest.fixture(scope="module")
def network_draw() -> tuple[Draw, Any, float]:
    """A draw of a network through the engine; its dense J, one sample at a time; and ‖w‖²."""
    model, (images, labels) = convolutional(), samples((6, 6, 2), count=9)
    squared = float(np.sum(weights(model) ** 2))
    draw = Draw(GramEngine(model)(images, labels), labels, squared, PRIOR)
    return draw, jacobian(model, images, labels), squared


def test_laplace_log_det_is_that_of_the_posterior_precision_over_all_weights(network_draw):
    draw, rows, _ = network_draw
    delta = PRIOR * len(rows)
    _, log_det = np.linalg.slogdet(np.eye(rows.shape[1]) + rows.T @ rows / delta)
    assert laplace_log_det(draw) == pytest.approx(0.5 * log_det, rel=ITERATED)


def test_laplace_evidence_is_the_integral_of_the_quadratic_posterior(network_draw):
    """ln ∫ exp(−Σℓ − ½ vᵀJᵀJv) N(w + v; 0, 1/δ) with the prior's quadratic term kept at w, as in the approximation."""
    draw, rows, squared = network_draw
    count, size = rows.shape
    delta = PRIOR * count
    log_prior = 0.5 * size * np.log(delta / (2 * np.pi)) - 0.5 * delta * squared
    precision = rows.T @ rows + delta * np.eye(size)
    log_volume = 0.5 * size * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(precision)[1]
    truth = -draw.record.losses.sum() + log_prior + log_volume
    assert laplace_evidence(draw) == pytest.approx(truth, rel=ITERATED)


def test_effective_dimension_is_that_of_the_fisher_matrix_of_all_weights(network_draw):
    draw, rows, _ = network_draw
    values = np.linalg.eigvalsh(rows.T @ rows / len(rows))
    assert effective_dimension(draw) == pytest.approx(np.sum(values / (values + PRIOR)), rel=ITERATED)


def test_renyi_entropy_and_stable_rank_follow_from_singular_values(network_draw):
    draw, rows, _ = network_draw
    values = np.linalg.svd(rows, compute_uv=False) ** 2
    assert renyi_entropy(draw) == pytest.approx(-np.log(np.sum((values / values.sum()) ** 2)), rel=ITERATED)
    assert stable_rank(draw) == pytest.approx(values.sum() / values[0], rel=ITERATED)


def test_spectrum_of_orthogonal_gradients_is_flat():
    draw = draw_of(np.eye(5, 8))
    assert renyi_entropy(draw) == pytest.approx(np.log(5), rel=ROUNDING)
    assert stable_rank(draw) == pytest.approx(5.0, rel=ROUNDING)


def test_coherence_is_the_share_of_the_mean_gradient():
    rows = random_rows()
    truth = np.sum(rows.mean(axis=0) ** 2) / np.mean(np.sum(rows**2, axis=1))
    assert gradient_coherence(draw_of(rows)) == pytest.approx(truth, rel=ROUNDING)
    assert gradient_coherence(draw_of(np.eye(5))) == pytest.approx(1 / 5)
    assert gradient_coherence(draw_of(np.ones((5, 2)))) == pytest.approx(1.0)


def cosines(rows: Any, wanted: Any) -> float:
    found = [
        rows[i] @ rows[j] / (np.linalg.norm(rows[i]) * np.linalg.norm(rows[j]))
        for i in range(len(rows))
        for j in range(len(rows))
        if i != j and wanted(i, j)
    ]
    return float(np.mean(found))


def test_stiffness_is_the_mean_cosine_over_pairs():
    rows, labels = random_rows(), [0, 1, 1, 0, 2, 1, 0]
    draw = draw_of(rows, labels)
    assert stiffness(draw) == pytest.approx(cosines(rows, lambda i, j: True), rel=ROUNDING)
    assert stiffness_within(draw) == pytest.approx(cosines(rows, lambda i, j: labels[i] == labels[j]), rel=ROUNDING)
    assert stiffness_between(draw) == pytest.approx(cosines(rows, lambda i, j: labels[i] != labels[j]), rel=ROUNDING)


@pytest.mark.parametrize("count", [2, 7, 8])
def test_disparity_is_the_distance_between_mean_gradients_of_halves(count):
    rows = random_rows(count)
    truth = np.linalg.norm(rows[: count // 2].mean(axis=0) - rows[count // 2 :].mean(axis=0))
    assert gradient_disparity(draw_of(rows)) == pytest.approx(truth, rel=CLOSED_FORM)


SCALE_FREE = (renyi_entropy, stable_rank, gradient_coherence, stiffness, stiffness_within, stiffness_between)


@pytest.mark.parametrize("measure", SCALE_FREE)
@pytest.mark.parametrize("size", [1e-200, 1e-8, 1e8])
def test_measures_of_agreement_and_shape_do_not_depend_on_the_size_of_gradients(measure, size):
    rows = random_rows()
    assert measure(draw_of(rows, size=size)) == pytest.approx(measure(draw_of(rows)), rel=ROUNDING)


def test_zero_gradients_have_no_direction_and_no_volume():
    draw = draw_of(np.zeros((4, 6)))
    assert [measure(draw) for measure in SCALE_FREE] == [None] * len(SCALE_FREE)
    assert laplace_log_det(draw) == effective_dimension(draw) == gradient_disparity(draw) == 0.0
    assert laplace_evidence(draw) == pytest.approx(-0.4 - 0.5 * PRIOR * 4 * 2.0)


def test_pairs_without_a_gradient_are_left_out():
    rows = random_rows()
    with_zero = np.concatenate([rows, np.zeros((1, rows.shape[1]))])
    assert stiffness(draw_of(with_zero)) == pytest.approx(stiffness(draw_of(rows)), rel=ROUNDING)


def test_draw_of_one_class_has_no_stiffness_between_classes():
    draw = draw_of(random_rows(), [1] * 7)
    assert stiffness_between(draw) is None
    assert stiffness_within(draw) == stiffness(draw)


def test_draw_of_seven_classes_has_no_stiffness_within_classes():
    assert stiffness_within(draw_of(random_rows(), range(7))) is None


def test_singular_gram_matrix_has_every_number_but_gamma():
    rows = np.concatenate([random_rows(3), random_rows(3)])
    numbers = summarise(draw_of(rows, [0, 1, 1, 0, 1, 1])).numbers
    assert {name for name, number in numbers.items() if number is None} == {"gamma"}
    assert all(np.isfinite(number) for number in numbers.values() if number is not None)


def test_single_sample_has_every_number_that_needs_no_pair():
    numbers = summarise(draw_of(random_rows(1))).numbers
    pairs = {"gradient_noise", "stiffness", "stiffness_within", "stiffness_between", "gradient_disparity"}
    assert {name for name, number in numbers.items() if number is None} == pairs


def test_value_that_no_draw_has_says_why():
    from infomcr_cli.measures.base import chosen_measures

    class Context:
        def once(self, compute):
            return [summarise(draw_of(random_rows(), [1] * 7))] * 2

    (measure,) = chosen_measures("stiffness_between")
    found = measure.compute(Context())
    assert isinstance(found, MeasureValue)
    assert (found.value, found.extras["reason"]) == (
        None,
        "no draw has samples of two classes with gradients that are not zero",
    )
