"""What a model adds to its loss itself counts in every step as in the plain one, and no regularizer sees it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import ITERATED, SINGLE

from infomcr_cli.errors import InputError
from infomcr_cli.training import LocalMinimum, local_minimum_penalty, train_step
from infomcr_cli.training.model_losses import check_means
from infomcr_cli.training.regularizers.fisher_trace import FisherTrace
from infomcr_cli.training.regularizers.gradient_norm import GradientNorm
from infomcr_cli.training.regularizers.sam import SAM
from tests.training import reference as ref

LAYERS = keras.layers
RATE = 0.5


class Squares(keras.layers.Layer):
    """Adds the mean square of what passes through it, as a vector of two halves."""

    def call(self, x):
        self.add_loss(0.5 * keras.ops.mean(keras.ops.square(x)) * keras.ops.ones(2, x.dtype))
        return x


class OfItsOwn(keras.Model):
    """A subclassed model with a loss on one of its weights, and a penalty on its output."""

    def __init__(self) -> None:
        super().__init__(activity_regularizer=keras.regularizers.L2(0.2))
        self.flat, self.dense = LAYERS.Flatten(), LAYERS.Dense(ref.CLASSES)
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        self.add_loss(3.0 * keras.ops.square(self.scale))
        return self.scale * self.dense(self.flat(x))


def functional() -> keras.Model:
    """Penalties on kernels and activations, in a nested model and in a layer that is called twice."""
    squares, image = Squares(), keras.Input((6, 6, 2))
    penalty = keras.regularizers.L2(0.3)
    inner = keras.Sequential([LAYERS.Dense(6, activation="tanh", activity_regularizer=penalty), Squares()])
    x = squares(LAYERS.Flatten()(image))
    x = LAYERS.Dense(5, activation="tanh", kernel_regularizer=keras.regularizers.L2(1e-2))(x)
    x = inner(squares(LAYERS.BatchNormalization()(x)))
    return keras.Model(image, LAYERS.Dense(ref.CLASSES)(x))


def subclassed() -> keras.Model:
    model = OfItsOwn()
    model(np.zeros((2, 6, 6, 2)))
    return model


NETWORKS: dict[str, Callable[[], keras.Model]] = {"functional": functional, "subclassed": subclassed}
REGULARIZERS: dict[str, Any] = {
    "plain": None,
    "on": LocalMinimum(3, 1e-2, 4.0),
    "on, sharing a pass": LocalMinimum(3, 1e-2, 4.0, share_pass=True),
    "sam": SAM(1, 0.2),
    "sam of sub-batches": SAM(3, 0.2),
    "gradient norm": GradientNorm(3, 0.1, 0.3),
    "fisher trace": FisherTrace(3, 0.05),
    "fisher trace, sharing a pass": FisherTrace(3, 0.05, share_pass=True),
}


def built(kind: str, policy: str = "float64") -> keras.Model:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(5)
        return NETWORKS[kind]()
    finally:
        keras.config.set_dtype_policy(before)


def own_losses(model: keras.Model, images: Any) -> tuple[float, ref.Arrays]:
    """Return the sum of a model's own losses after a plain call, and its gradient; all is put back."""
    kept = ref.arrays(model.variables)
    with tf.GradientTape() as tape:
        model(images, training=True)
        total = tf.add_n([tf.reduce_sum(tf.cast(loss, images.dtype)) for loss in model.losses])
    gradient = tape.gradient(total, [v.value for v in model.trainable_variables], unconnected_gradients="zero")
    for variable, value in zip(model.variables, kept, strict=True):
        variable.assign(value)
    return float(total), [np.array(g) for g in gradient]


def expected(model: keras.Model, name: str, images: Any, labels: Any) -> tuple[float, ref.Arrays]:
    """Return the own losses and the gradient of a step, from one plain tape for each sub-batch."""
    regularizer = REGULARIZERS[name]
    shares = regularizer is not None and getattr(regularizer, "share_pass", True)
    parts = regularizer.num_sub_batches if shares else 1
    found = [own_losses(model, x) for x in np.split(images, parts)]
    _, _, plain = ref.perturbed(model, images, labels, parts, lambda g: g)
    own, added = float(np.mean([value for value, _ in found])), ref.mean([g for _, g in found])
    correction = _correction(model, regularizer, images, labels)
    return own, [p + a + c for p, a, c in zip(plain, added, correction, strict=True)]


def _correction(model: keras.Model, regularizer: Any, images: Any, labels: Any) -> ref.Arrays:
    """On cross-entropy alone; the exact second derivative is taken from its own tests."""

    def up(length: float) -> Callable[[ref.Arrays], ref.Arrays]:
        return lambda g: [length * a / ref.norm(g) for a in g]

    match regularizer:
        case None:
            return [np.zeros(v.shape) for v in model.trainable_variables]
        case LocalMinimum(parts, alpha, beta):
            _, change, _ = ref.perturbed(model, images, labels, parts, lambda g: [-alpha * a for a in g])
            return [beta * d for d in change]
        case SAM(parts, rho):
            return [-d for d in ref.perturbed(model, images, labels, parts, up(rho))[1]]
        case GradientNorm(parts, radius, alpha):
            return [-alpha * d for d in ref.perturbed(model, images, labels, parts, up(radius))[1]]
    return ref.arrays(regularizer(model, images, labels).gradient)


@pytest.mark.parametrize(("kind", "compiled"), [("functional", True), ("subclassed", False)])
@pytest.mark.parametrize("name", REGULARIZERS)
def test_step_descends_losses_added_by_layers_like_a_plain_tape(kind: str, name: str, compiled: Any) -> None:
    model, (images, labels) = built(kind), ref.batch()
    own, gradient = expected(model, name, images, labels)
    before = ref.arrays(model.trainable_variables)
    with ref.float64():
        optimizer = keras.optimizers.SGD(RATE)
        optimizer.build(model.trainable_variables)

    def step(images: Any, labels: Any) -> dict[str, tf.Tensor]:
        return train_step(model, optimizer, images, labels, regularizer=REGULARIZERS[name])

    scalars = (tf.function(step, autograph=False) if compiled else step)(images, labels)
    assert own > 0.1
    assert float(scalars["l2"]) == pytest.approx(own, rel=SINGLE)
    for b, g, v in zip(before, gradient, model.trainable_variables, strict=True):
        np.testing.assert_allclose(np.asarray(v), b - RATE * g, rtol=SINGLE, atol=ITERATED, err_msg=v.path)


@pytest.mark.parametrize("name", ["on", "sam", "gradient norm", "fisher trace"])
def test_regularizer_uses_cross_entropy_alone(name: str) -> None:
    """Its value and its gradient are those of the same network without added losses."""
    images, labels = ref.batch()
    found = []
    for strength in (0.0, 0.3):
        with ref.float64():
            keras.utils.set_random_seed(5)
            penalty = keras.regularizers.L2(strength)
            hidden = LAYERS.Dense(5, activation="tanh", activity_regularizer=penalty, kernel_regularizer=penalty)
            model = keras.Sequential([keras.Input((6, 6, 2)), LAYERS.Flatten(), hidden, LAYERS.Dense(ref.CLASSES)])
        found.append(REGULARIZERS[name](model, images, labels))
    assert float(found[0].value) == float(found[1].value)
    for without, with_losses in zip(found[0].gradient, found[1].gradient, strict=True):
        np.testing.assert_array_equal(without, with_losses)


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", REGULARIZERS)
def test_losses_added_by_layers_count_in_mixed_bfloat16(kind: str, name: str) -> None:
    """Layers of half precision add losses of half precision to those of float32 weights."""
    images, labels = ref.single(ref.batch())
    own = {}
    for policy in ("float32", "mixed_bfloat16"):
        model = built(kind, policy)
        optimizer = keras.optimizers.SGD(0.1)
        scalars = train_step(model, optimizer, images, labels, regularizer=REGULARIZERS[name])
        assert {scalar.dtype for scalar in scalars.values()} == {tf.float32}
        own[policy] = float(scalars["l2"])
        assert all(np.isfinite(np.asarray(v)).all() for v in model.trainable_variables)
    assert own["mixed_bfloat16"] == pytest.approx(own["float32"], rel=0.02)


def test_losses_of_an_earlier_call_are_not_counted() -> None:
    """What an eager call left on a layer is no part of a later step."""
    model, (images, labels) = built("functional"), ref.batch()
    own, _ = own_losses(model, images)
    model(100 * images)
    with ref.float64():
        regularizer = LocalMinimum(1, 1e-2, share_pass=True)
        scalars = train_step(model, keras.optimizers.SGD(0.0), images, labels, regularizer=regularizer)
    assert float(scalars["l2"]) == pytest.approx(own, rel=SINGLE)


class Sums(keras.layers.Layer):
    def call(self, x):
        self.add_loss(1e-3 * keras.ops.sum(keras.ops.square(x)))
        return x


@pytest.mark.parametrize(("layer", "is_mean"), [(Squares, True), (Sums, False)])
def test_loss_that_grows_with_the_batch_is_refused_if_the_batch_is_split(layer: Any, is_mean: Any) -> None:
    """Averaged over sub-batches or devices it would count by a part only."""
    network = [keras.Input((6, 6, 2)), LAYERS.Flatten(), LAYERS.Dropout(0.2), layer(), LAYERS.BatchNormalization()]
    model = keras.Sequential([*network, LAYERS.Dense(4, activity_regularizer="l2")])
    images = np.random.default_rng(0).standard_normal((16, 6, 6, 2)).astype(np.float32)
    with contextlib.nullcontext() if is_mean else pytest.raises(InputError, match=r"must be a mean.*keras\.ops\.mean"):
        check_means(model, images)


def test_penalty_leaves_no_loss_in_the_model() -> None:
    model, (images, labels) = built("functional"), ref.batch()
    model(images, training=False)
    before = [float(tf.reduce_sum(loss)) for loss in model.losses]
    tf.function(lambda x, y: local_minimum_penalty(model, x, y, num_sub_batches=3, alpha=1e-3))(images, labels)
    own = [float(tf.reduce_sum(loss)) for loss in model.losses]
    assert own in (before, before[-1:])  # those of the call, or the penalties on weights alone
