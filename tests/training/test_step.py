"""One step: what it adds up, what it updates, and when it is exactly the plain one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import CLOSED_FORM, FLOAT32, ROUNDING

from infomcr_cli.errors import InputError
from infomcr_cli.training import LocalMinimum, local_minimum_penalty, train_step
from infomcr_cli.training.regularizers.fisher_trace import FisherTrace
from infomcr_cli.training.regularizers.gradient_norm import GradientNorm
from infomcr_cli.training.regularizers.sam import SAM
from tests.training import reference as ref

INACTIVE = [LocalMinimum(5, beta=0.0), SAM(5, rho=0.0), GradientNorm(5, alpha=0.0), FisherTrace(5, beta=0.0)]


def stepped(regularizer: Any, **style: Any) -> tuple[keras.Model, dict[str, float]]:
    model, (images, labels) = ref.network("wrn", **style), ref.batch()
    with ref.float64():
        optimizer = keras.optimizers.SGD(0.5)
        scalars = train_step(model, optimizer, images, labels, regularizer=regularizer)
    return model, {name: float(value) for name, value in scalars.items()}


@pytest.mark.parametrize("regularizer", INACTIVE)
def test_inactive_regularizer_takes_exactly_the_plain_step(regularizer: Any) -> None:
    """Five sub-batches do not divide twelve images: a call of the regularizer would raise."""
    plain, plain_scalars = stepped(None, dropout=0.2)
    model, scalars = stepped(regularizer, dropout=0.2)
    assert scalars == plain_scalars
    for one, other in zip(model.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


@pytest.mark.parametrize(
    "regularizer",
    [None, LocalMinimum(3, 1e-2, 4.0), LocalMinimum(3, 1e-2, 4.0, share_pass=True), SAM(1, 0.3), SAM(3, 0.3)],
)
def test_step_descends_the_sum_of_all_gradients(regularizer: Any) -> None:
    model, (images, labels) = ref.network("wrn"), ref.batch()
    before = ref.arrays(model.trainable_variables)
    parts = 3 if regularizer == SAM(3, 0.3) or getattr(regularizer, "share_pass", False) else 1
    _, _, main = ref.perturbed(model, images, labels, parts, lambda g: g)
    decay = [
        2 * np.float64(np.float32(v.regularizer.l2)) * b if v.regularizer else 0 * b
        for v, b in zip(model.trainable_variables, before, strict=True)
    ]
    added = [np.asarray(c) for c in regularizer(model, images, labels).gradient] if regularizer else [0.0] * len(main)
    after, scalars = stepped(regularizer)
    for name, b, g, d, c, a in zip(
        [v.path for v in model.trainable_variables], before, main, decay, added, after.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(np.asarray(a), b - 0.5 * (g + d + c), rtol=1e-9, atol=CLOSED_FORM, err_msg=name)
    squares = [
        np.float64(np.float32(v.regularizer.l2)) * np.sum(b * b)  # Keras rounds it to float32
        for v, b in zip(model.trainable_variables, before, strict=True)
        if v.regularizer
    ]
    assert scalars["l2"] == pytest.approx(sum(squares), rel=CLOSED_FORM)


@pytest.mark.parametrize("regularizer", [LocalMinimum(3), FisherTrace(3), SAM(1), GradientNorm(1)])
def test_moving_statistics_are_updated_once_as_in_a_plain_step(regularizer: Any) -> None:
    plain, _ = stepped(None)
    model, _ = stepped(regularizer)
    for one, other in zip(model.non_trainable_variables, plain.non_trainable_variables, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=ROUNDING, err_msg=one.path)


def test_scalars_are_taken_before_the_step() -> None:
    model, (images, labels) = ref.network("wrn"), ref.batch()
    loss, _ = ref.gradient_at(model, ref.arrays(model.trainable_variables), images, labels)
    kept = ref.arrays(model.non_trainable_variables)
    hits = np.argmax(model(images, training=True), -1) == labels
    for variable, value in zip(model.non_trainable_variables, kept, strict=True):
        variable.assign(value)
    _, scalars = stepped(LocalMinimum(3))
    assert scalars["loss"] == pytest.approx(loss, rel=CLOSED_FORM)
    assert scalars["accuracy"] == pytest.approx(hits.mean())
    assert scalars["penalty"] > 0


@pytest.mark.parametrize("regularizer", [None, LocalMinimum(3), LocalMinimum(3, share_pass=True), FisherTrace(3)])
def test_labels_of_shape_b_1_equal_labels_of_shape_b(regularizer: Any) -> None:
    """As data sets of Keras have them; taken for class weights they would give other numbers in silence."""
    model, (images, labels) = ref.network("wrn"), ref.batch()
    with ref.float64():
        scalars = train_step(model, keras.optimizers.SGD(0.5), images, labels[:, None], regularizer=regularizer)
    expected, as_vector = stepped(regularizer)
    assert {name: float(value) for name, value in scalars.items()} == as_vector
    for one, other in zip(model.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


@pytest.mark.parametrize("regularizer", [None, LocalMinimum(3), LocalMinimum(3, share_pass=True), FisherTrace(3)])
@pytest.mark.parametrize("wrong", [4, -1, 2**32 + 1, -(2**32) + 1, 1.5, np.nan, np.inf])
def test_label_out_of_range_is_refused_before_casting(regularizer: Any, wrong: Any) -> None:
    """As int32 2**32 + 1 would be class 1, and so would 1.5."""
    model, (images, labels) = ref.network("wrn"), ref.batch()
    before = ref.arrays(model.variables)
    labels = labels.astype(np.float64 if isinstance(wrong, float) else np.int64)
    labels[5] = wrong
    with ref.float64(), pytest.raises(InputError, match=r"labels must be (0\.\.3|whole numbers)"):
        train_step(model, keras.optimizers.SGD(0.5), images, labels, regularizer=regularizer)
    with ref.float64(), pytest.raises(InputError, match=r"labels must be (0\.\.3|whole numbers)"):
        local_minimum_penalty(model, images, labels, num_sub_batches=3, alpha=1e-4)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)


def test_labels_may_be_a_list() -> None:
    images, labels = ref.batch()
    losses = []
    for given in (labels, labels.tolist()):
        with ref.float64():
            losses.append(float(train_step(ref.network("wrn"), keras.optimizers.SGD(0.5), images, given)["loss"]))
    assert losses[0] == losses[1]


def test_penalty_of_a_network_without_weights_yet_is_that_of_the_built_network() -> None:
    layers = [keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(3)]
    images, labels = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32), np.arange(4) % 3
    model = keras.Sequential(layers)
    first = local_minimum_penalty(model, images, labels, num_sub_batches=2, alpha=1e-2)
    again = local_minimum_penalty(model, images, labels, num_sub_batches=2, alpha=1e-2)
    assert len(first[1]) == len(model.trainable_variables) == 4
    np.testing.assert_array_equal(first[0], again[0])


@pytest.mark.parametrize("cast", ["uint8", "int64", "uint64", "float32", tf.int64, tf.uint8])
def test_dtype_of_labels_changes_no_bit_of_a_step(cast: Any) -> None:
    model, (images, labels) = ref.network("wrn"), ref.batch()
    typed = labels.astype(cast) if isinstance(cast, str) else tf.cast(labels, cast)
    with ref.float64():
        scalars = train_step(model, keras.optimizers.SGD(0.5), images, typed, regularizer=LocalMinimum(3))
    expected, as_int32 = stepped(LocalMinimum(3))
    assert {name: float(value) for name, value in scalars.items()} == as_int32
    for one, other in zip(model.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)


def test_int64_labels_are_not_wrapped_to_int32() -> None:
    model, (images, labels) = ref.network("wrn"), ref.batch()
    wide = tf.constant(labels.astype(np.int64) + 2**32 * (labels == 1))
    with ref.float64(), pytest.raises(tf.errors.InvalidArgumentError, match="4294967297"):
        train_step(model, keras.optimizers.SGD(0.5), images, wide)


@pytest.mark.parametrize("shape", [(12, 3), (12, 1, 1)])
def test_labels_of_other_shapes_are_refused(shape: Any) -> None:
    model, (images, _) = ref.network("wrn"), ref.batch()
    with ref.float64(), pytest.raises(InputError, match=r"class indices \[b\] or class probabilities \[b, 4\]"):
        train_step(model, keras.optimizers.SGD(0.5), images, np.zeros(shape, np.int32))


@pytest.mark.parametrize("regularizer", [None, LocalMinimum(4, 1e-3), LocalMinimum(4, 1e-3, share_pass=True), SAM(2)])
def test_step_in_mixed_bfloat16_equals_float32_up_to_rounding(regularizer: Any) -> None:
    """Weights, statistics and scalars stay float32; two dozen roundings, each by up to 2⁻⁸, lie between."""
    images, labels = ref.single(ref.batch(16))
    scalars, after, before = {}, {}, []
    for policy in ("float32", "mixed_bfloat16"):
        model = ref.network_in(policy)
        before = ref.arrays(model.trainable_variables)
        found = train_step(model, keras.optimizers.SGD(0.1), images, labels, regularizer=regularizer)
        scalars[policy] = {name: float(value) for name, value in found.items()}
        after[policy] = ref.arrays(model.trainable_variables)
        assert {v.dtype for v in model.weights if v.dtype.startswith(("float", "bfloat"))} == {"float32"}
        assert found["loss"].dtype == found["penalty"].dtype == "float32"
    steps = {k: [a - b for a, b in zip(after[k], before, strict=True)] for k in after}
    difference = [a - b for a, b in zip(*steps.values(), strict=True)]
    assert ref.norm(difference) < 24 / 256 * ref.norm(steps["float32"])
    assert scalars["mixed_bfloat16"]["loss"] == pytest.approx(scalars["float32"]["loss"], rel=0.02)
    if regularizer is not None:  # its passes are float32's
        assert scalars["mixed_bfloat16"]["penalty"] == pytest.approx(scalars["float32"]["penalty"], rel=FLOAT32)
