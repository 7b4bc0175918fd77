"""Takeuchi's ratio of traces against a dense Jacobian and a full Hessian."""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import AUTODIFF, STOCHASTIC

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import Dataset, Split
from infomcr_cli.errors import InputError
from infomcr_cli.measures.context import MeasureContext
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.measures.library.takeuchi import ratio
from infomcr_cli.measures.value import MeasureValue
from tests.measures.reference import jacobian, perceptron, with_hessian


def test_takeuchi_is_the_ratio_of_dense_traces():
    model, images, labels, hessian = with_hessian(perceptron)
    images = images.astype(np.float32)
    split = Split(images, labels)
    dataset = Dataset("random", split, split, ("a", "b", "c"), (0.0,), (1.0,), True, "random")
    settings = (
        "samples=70",
        "gamma.samples=70",
        "gamma.draw_size=35",
        "gamma.precision=float64",
        "curvature.probes=45",
    )
    config = compose_run(["measure.names=[takeuchi]", *(f"measure.{one}" for one in settings)]).measure
    found = evaluate_measures(MeasureContext(model, dataset, config))["takeuchi"]
    rows = jacobian(model, images.astype(np.float64), labels)
    truth = np.sum(rows**2) / len(rows) / np.trace(hessian)  # as many probes as weights: the trace is exact
    assert found.value == pytest.approx(truth, rel=AUTODIFF)
    low, high = found.extras["interval"]  # of Student's t with 2 draws: they are fewer than the probes
    assert (high - low) / 2 == pytest.approx(12.7062 * found.std_error, rel=STOCHASTIC)


def test_ratio_has_the_standard_error_of_two_independent_estimates():
    rng = np.random.default_rng(0)
    above, below = rng.normal(3.0, 0.03, 100_000), rng.normal(2.0, 0.05, 100_000)
    value, error = ratio(MeasureValue(3.0, 0.03), MeasureValue(2.0, 0.05))
    assert value == 1.5
    assert error == pytest.approx(np.std(above / below), rel=0.02)


def test_saddle_has_no_takeuchi():
    with pytest.raises(InputError, match="positive"):
        ratio(MeasureValue(1.0, 0.1), MeasureValue(-0.5, 0.1))


def test_draws_of_another_loss_than_the_hessian_are_refused():
    model, images, labels, _ = with_hessian(perceptron)
    split = Split(images.astype(np.float32), labels)
    dataset = Dataset("random", split, split, ("a", "b", "c"), (0.0,), (1.0,), True, "random")
    settings = ["measure.names=[takeuchi]", "measure.gamma.draw_size=35", "measure.gamma.logit_scale=0.04"]
    found = evaluate_measures(MeasureContext(model, dataset, compose_run(settings).measure))["takeuchi"]
    assert "raw logits" in found.extras["reason"]
