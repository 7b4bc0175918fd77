"""The network, the regularizer and three steps against golden arrays that another implementation made.

Tolerances are those of the golden arrays' own description.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tolerances import AUTODIFF, STOCHASTIC

from infomcr_cli.models import named_weights
from infomcr_cli.training import LocalMinimum, local_minimum_penalty, train_step
from tests.training.golden import PART, WHOLE, Golden, relative_error


@pytest.fixture(scope="module", params=["part", "whole"])
def reference(request: pytest.FixtureRequest) -> Golden:
    if request.param == "whole" and not WHOLE.is_file():
        pytest.skip(f"no reference file at {WHOLE}")
    return Golden(PART if request.param == "part" else WHOLE)


@pytest.mark.parametrize("training", [False, True])
def test_logits_equal_golden_arrays(reference: Any, training: bool) -> None:
    logits = reference.network()(reference.images, training=training)
    expected = reference.arrays["logits_train" if training else "logits_eval"]
    np.testing.assert_allclose(logits, expected, rtol=0, atol=AUTODIFF)


@pytest.mark.parametrize("compiled", [tf.function, lambda function: function], ids=["graph", "eager"])
def test_penalty_and_its_gradient_equal_golden_arrays(reference: Any, compiled: Any) -> None:
    model, meta = reference.network(), reference.meta
    before = {name: np.array(variable) for name, variable in named_weights(model).items()}

    @compiled
    def penalty(images: Any, labels: Any) -> Any:
        return local_minimum_penalty(model, images, labels, num_sub_batches=meta["sub_batches"], alpha=meta["alpha"])

    value, gradient = penalty(reference.images, reference.labels)
    assert float(value) == pytest.approx(float(reference.arrays["reg_value"]), rel=STOCHASTIC)
    paths = [name for name, variable in named_weights(model).items() if variable.trainable]
    assert len(paths) == len(gradient)
    found, golden = dict(zip(paths, gradient, strict=True)), reference.named("reg_grad")
    assert {"stem/conv/kernel", "head/dense/kernel"} <= golden.keys() <= found.keys()
    errors = {name: relative_error(found[name], expected) for name, expected in golden.items()}
    assert max(errors.values()) < 1e-3, errors
    for name, variable in named_weights(model).items():
        np.testing.assert_array_equal(variable, before[name], err_msg=name)


@pytest.mark.parametrize("kind", ["plain", "reg"])
def test_three_steps_equal_golden_trajectory(reference: Any, kind: str) -> None:
    model, optimizer, meta = reference.network(), reference.optimizer(), reference.meta
    study = LocalMinimum(meta["sub_batches"], meta["alpha"], meta["beta"])

    @tf.function
    def step(images: Any, labels: Any) -> Any:
        return train_step(model, optimizer, images, labels, regularizer=study if kind == "reg" else None)

    scalars = [step(reference.images, reference.labels) for _ in range(3)]
    history = [[float(s[name]) for name in ("loss", "l2", "penalty")] for s in scalars]
    np.testing.assert_allclose(history, reference.arrays[f"{kind}_history"], rtol=STOCHASTIC, atol=0)
    weights = named_weights(model)
    golden = reference.named(f"{kind}_w3")
    assert {"stem/conv/kernel", "head/bn/moving_variance", "head/dense/kernel"} <= golden.keys()
    for name, expected in golden.items():
        bound = 1e-2 if name.endswith("moving_variance") else 5e-3
        assert relative_error(weights[name], expected) < bound, name
