"""Measures of the folded network see the folded network only: whatever leaves it as it is leaves them as they are."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from tolerances import CLOSED_FORM, SINGLE

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import Dataset, Split
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import INITIAL, chosen_measures
from infomcr_cli.measures.batch_norm_folding import linear_maps, scale
from infomcr_cli.measures.context import MeasureContext
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.measures.gram.engine import GramEngine
from infomcr_cli.measures.library.layer_norms import log_frobenius_product, log_spectral_product
from infomcr_cli.measures.library.path_norm import log_path_norm
from infomcr_cli.measures.stateless import is_floating
from infomcr_cli.models.keras_internals import all_layers
from tests.measures.reference import CLASSES

L = keras.layers
FOLDED = [one.name for one in chosen_measures() if "folded" in one.formula and INITIAL not in one.needs]
SHAPE = (4, 5, 2)
pytestmark = pytest.mark.usefixtures("double_precision")


def behind(layers: list[Any], shape: tuple[int, ...] = SHAPE) -> keras.Model:
    """A network of these layers, a rectifier and a dense head; every weight random, batch norms as if trained."""
    x = image = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    x = L.Flatten()(L.ReLU()(x)) if len(x.shape) > 2 else L.ReLU()(x)
    model = keras.Model(image, L.Dense(CLASSES)(x))
    return shaken(model)


def shaken(model: keras.Model) -> keras.Model:
    rng = np.random.default_rng(0)
    for variable in filter(is_floating, model.weights):
        low = 0.3 if variable.path.endswith("variance") else -1.0
        variable.assign(rng.uniform(low, 1.5, variable.shape))
    return model


def last(linear: Any, norm: Any) -> keras.Model:
    """Batch norm gives the logits: nothing comes behind it."""
    image = keras.Input(SHAPE)
    return shaken(keras.Model(image, norm(linear(L.Flatten()(image)))))


def in_two_models(linear: Any, norm: Any) -> keras.Model:
    """The layer ends one model, the batch norm begins the next one."""
    first, second = keras.Sequential([keras.Input(SHAPE), linear]), keras.Sequential([norm, L.ReLU()])
    image = keras.Input(SHAPE)
    return shaken(keras.Model(image, L.Dense(CLASSES)(L.Flatten()(second(first(image))))))


def with_a_reader_elsewhere(linear: Any, norm: Any) -> keras.Model:
    """The layer's output is read by a second model too, which is none of this one's concern."""
    image = keras.Input(SHAPE)
    features = linear(image)
    keras.Model(image, L.GlobalAveragePooling2D()(features))
    return shaken(keras.Model(image, L.Dense(CLASSES)(L.Flatten()(L.ReLU()(norm(features))))))


def convolution(bias: bool, norm: Any) -> keras.Model:
    return behind([L.Conv2D(3, 3, use_bias=bias), norm])


NETWORKS = {  # how to build it with or without biases, around a given batch norm; settings of that norm
    "convolution": (lambda bias, norm: behind([L.Conv2D(3, 3, 2, "same", use_bias=bias), norm]), {"epsilon": 0.1}),
    "filters of one row": (lambda bias, norm: behind([L.Conv1D(3, 2, use_bias=bias), norm], (6, 2)), {}),
    "dense": (lambda bias, norm: behind([L.Flatten(), L.Dense(6, use_bias=bias), norm]), {}),
    "dense on a sequence": (lambda bias, norm: behind([L.Dense(6, use_bias=bias), norm], (4, 3)), {}),
    "no scale": (convolution, {"scale": False}),
    "no centre": (convolution, {"center": False}),
    "neither": (convolution, {"scale": False, "center": False}),
    "noise in between": (
        lambda bias, norm: behind([L.Conv2D(3, 3, use_bias=bias), L.Dropout(0.5), L.GaussianNoise(1.0), norm]),
        {},
    ),
    "a linear activation in between": (
        lambda bias, norm: behind([L.Conv2D(3, 3, use_bias=bias), L.Activation("linear"), norm]),
        {},
    ),
    "last": (lambda bias, norm: last(L.Dense(CLASSES, use_bias=bias), norm), {}),
    "in two models": (lambda bias, norm: in_two_models(L.Conv2D(3, 3, use_bias=bias), norm), {}),
    "a reader elsewhere": (lambda bias, norm: with_a_reader_elsewhere(L.Conv2D(3, 3, use_bias=bias), norm), {}),
    "depthwise": (lambda bias, norm: behind([L.DepthwiseConv2D(3, use_bias=bias), norm]), {}),
    "separable": (lambda bias, norm: behind([L.SeparableConv2D(3, 3, use_bias=bias), norm]), {}),
}
REFUSED = ("depthwise", "separable")


def built(name: str, bias: bool) -> keras.Model:
    build, settings = NETWORKS[name]
    return build(bias, L.BatchNormalization(**settings))


def parts(model: keras.Model) -> tuple[Any, Any, Any]:
    """The linear layer in front of the batch norm, the variable whose last axis is the channels, and the norm."""
    layers = [layer for layer in all_layers(model) if layer.weights and not isinstance(layer, keras.Model)]
    place = next(i for i, layer in enumerate(layers) if isinstance(layer, L.BatchNormalization))
    linear = layers[place - 1]
    named = {variable.name: variable for variable in linear.weights}
    return linear, named.get("pointwise_kernel", named.get("kernel")), layers[place]


def positive(norm: Any) -> np.ndarray:
    return np.random.default_rng(1).uniform(0.2, 5.0, norm.moving_mean.shape)


def shift_bias_and_mean(linear: Any, kernel: Any, norm: Any) -> None:
    shift = positive(norm)
    linear.bias.assign(linear.bias + shift)
    norm.moving_mean.assign(norm.moving_mean + shift)


def scale_inputs_of_the_norm(linear: Any, kernel: Any, norm: Any) -> None:
    factor = positive(norm)
    _multiply(linear, kernel, factor)
    norm.moving_mean.assign(norm.moving_mean * factor)
    norm.moving_variance.assign((norm.moving_variance + norm.epsilon) * factor**2 - norm.epsilon)


def scale_gamma_and_variance(linear: Any, kernel: Any, norm: Any) -> None:
    factor = positive(norm)
    norm.gamma.assign(norm.gamma * factor)
    norm.moving_variance.assign((norm.moving_variance + norm.epsilon) * factor**2 - norm.epsilon)


def turn_the_sign(linear: Any, kernel: Any, norm: Any) -> None:
    factor = -positive(norm)
    _multiply(linear, kernel, factor)
    norm.moving_mean.assign(norm.moving_mean * factor)
    norm.gamma.assign(norm.gamma / factor)


def shift_mean_and_beta(linear: Any, kernel: Any, norm: Any) -> None:
    shift = positive(norm)
    norm.beta.assign(norm.beta + scale(norm) * shift)
    norm.moving_mean.assign(norm.moving_mean + shift)


def _multiply(linear: Any, kernel: Any, factor: np.ndarray) -> None:
    per_output = factor.reshape(-1, 1) if kernel.shape[-1] == 1 else factor  # depthwise: channels, multiplier
    kernel.assign(kernel * per_output)
    if linear.use_bias:
        linear.bias.assign(linear.bias * factor)


CHANGES = [
    shift_bias_and_mean,
    scale_inputs_of_the_norm,
    scale_gamma_and_variance,
    turn_the_sign,
    shift_mean_and_beta,
]


def applies(change: Any, linear: Any, norm: Any) -> bool:
    needs = {"shift_bias_and_mean": linear.use_bias, "shift_mean_and_beta": norm.center}
    return needs.get(change.__name__, True) and (
        norm.scale or ("sign" not in change.__name__ and "gamma" not in change.__name__)
    )


def measured(model: keras.Model) -> dict[str, float | None]:
    """Every folded measure, on images that the network itself has labelled: its margins are positive."""
    shape = model.input_shape[1:]
    images = np.random.default_rng(0).uniform(0, 255, (40, *shape)).astype(np.float32)
    labels = np.argmax(np.asarray(model((images - 127.5) / 74, training=False)), axis=1).astype(np.int32)
    split = Split(images, labels)
    names = tuple(str(k) for k in range(CLASSES))
    dataset = Dataset("random", split, split, names, (127.5,) * shape[-1], (74.0,) * shape[-1], True, "random")
    config = compose_run([f"measure.names=[{','.join(FOLDED)}]", "measure.samples=40"]).measure
    return {name: value.value for name, value in evaluate_measures(MeasureContext(model, dataset, config)).items()}


def products(model: keras.Model) -> list[float]:
    """What the folded measures are made of, besides the margin."""
    return [value(model) for value in (log_frobenius_product, log_spectral_product, log_path_norm)]


def test_there_are_eight_folded_measures():
    assert len(FOLDED) == 8


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_folded_measures_are_invariant_to_equivalent_networks(name, bias):
    model = built(name, bias)
    images = np.random.default_rng(2).standard_normal((5, *model.input_shape[1:]))
    before, outputs = measured(model), np.asarray(model(images))
    assert set(before.values()) == {None} if name in REFUSED else None not in before.values()
    first = [] if name in REFUSED else products(model)
    for change in CHANGES:
        linear, kernel, norm = parts(model)
        if applies(change, linear, norm):
            change(linear, kernel, norm)
            np.testing.assert_allclose(np.asarray(model(images)), outputs, rtol=1e-9, atol=1e-9)
            if name not in REFUSED:
                assert products(model) == pytest.approx(first, rel=1e-7), change.__name__
    assert measured(model) == (before if name in REFUSED else pytest.approx(before, rel=1e-7))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in REFUSED])
def test_network_folded_by_hand_has_the_same_measures(name, bias):
    """The same network without its batch norm: its layer has the folded weights."""
    model = built(name, bias)
    linear, _, norm = parts(model)
    offset = (np.asarray(linear.bias) if bias else 0.0) - np.asarray(norm.moving_mean)
    offset = scale(norm) * offset + (np.asarray(norm.beta) if norm.center else 0.0)
    weights = {id(linear): [np.asarray(linear.kernel) * scale(norm), offset]}
    folded = NETWORKS[name][0](True, L.Activation("linear"))
    for old, new in zip(linear_layers(model), linear_layers(folded), strict=True):
        new.set_weights(weights.get(id(old), old.get_weights()))
    images = np.random.default_rng(2).standard_normal((5, *model.input_shape[1:]))
    np.testing.assert_allclose(np.asarray(folded(images)), np.asarray(model(images)), atol=1e-9)
    assert measured(model) == pytest.approx(measured(folded), rel=1e-7)


def linear_layers(model: keras.Model) -> list[Any]:
    return [layer for layer in all_layers(model) if isinstance(layer, (L.Dense, L.Conv1D, L.Conv2D))]


def block_of(model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """What comes before the rectifier as a matrix [outputs, inputs] and an offset [outputs], by unit vectors."""
    rectifier = next(layer for layer in model.layers if isinstance(layer, L.ReLU))
    block = keras.Model(model.input, rectifier.input)
    size = int(np.prod(model.input_shape[1:]))
    units = np.concatenate([np.zeros((1, size)), np.eye(size)]).reshape(-1, *model.input_shape[1:])
    rows = np.asarray(block(units)).reshape(size + 1, -1)
    return (rows[1:] - rows[0]).T, rows[0]


OTHER_AXES = {
    "rows behind a convolution, as many as channels": [L.Conv2D, (5, 1), {"axis": 1}, (5, 5, 2)],
    "rows behind a convolution": [L.Conv2D, (3, 1), {"axis": 1}, (4, 5, 2)],
    "columns behind a convolution": [L.Conv2D, (3, 1), {"axis": 2}, (4, 5, 2)],
    "steps behind a dense layer, as many as units": [L.Dense, (4,), {"axis": 1}, (4, 3)],
    "steps behind a dense layer": [L.Dense, (6,), {"axis": 1}, (4, 3)],
    "channels, counted from the front": [L.Conv2D, (3, 1), {"axis": 3}, (4, 5, 2)],
}


@pytest.mark.parametrize("name", OTHER_AXES)
def test_batch_norm_over_another_axis_is_a_separate_map(name):
    kind, arguments, axis, shape = OTHER_AXES[name]
    model = behind([kind(*arguments), L.BatchNormalization(**axis)], shape)
    linear, _, norm = parts(model)
    head = model.layers[-1]
    matrix, offset = block_of(model)
    over_channels = axis["axis"] == len(shape)
    bare = block_of(behind([kind(*arguments)], shape))[0]  # the same random weights come first
    s = scale(norm)
    own = [] if over_channels else [np.linalg.norm(np.diag(s), 2)]
    spectral = [np.linalg.norm(matrix if over_channels else bare, 2), *own, np.linalg.norm(head.kernel, 2)]
    frobenius = [np.linalg.norm(np.asarray(linear.kernel) * (s if over_channels else 1.0)), np.linalg.norm(head.kernel)]
    frobenius += [] if over_channels else [np.linalg.norm(s)]
    assert log_spectral_product(model) == pytest.approx(2 * np.sum(np.log(spectral)), rel=SINGLE)
    assert log_frobenius_product(model) == pytest.approx(2 * np.sum(np.log(frobenius)), rel=CLOSED_FORM)
    paths = (matrix**2).sum(axis=1) + offset**2
    logits = paths @ np.asarray(head.kernel) ** 2 + np.asarray(head.bias) ** 2
    assert log_path_norm(model) == pytest.approx(0.5 * np.log(logits.sum()), rel=CLOSED_FORM)


def test_batch_norms_in_a_row_are_one_affine_map():
    model = behind(
        [L.Flatten(), L.Dense(6), L.BatchNormalization(), L.Dropout(0.1), L.BatchNormalization(center=False)]
    )
    matrix, offset = block_of(model)
    head = model.layers[-1]
    assert [one.layer.name for one in linear_maps(model)] == [model.layers[2].name, head.name]
    np.testing.assert_allclose(linear_maps(model)[0].kernel, matrix.T, atol=CLOSED_FORM)
    logits = ((matrix**2).sum(axis=1) + offset**2) @ np.asarray(head.kernel) ** 2 + np.asarray(head.bias) ** 2
    assert log_path_norm(model) == pytest.approx(0.5 * np.log(logits.sum()), rel=CLOSED_FORM)


def test_a_batch_norm_that_is_not_the_only_reader_is_not_folded():
    image = keras.Input((6,))
    x = L.Dense(6)(image)
    y = L.BatchNormalization()(x)
    model = shaken(keras.Model(image, L.Dense(CLASSES)(L.ReLU()(L.Add()([x, y])))))
    assert [type(one.layer).__name__ for one in linear_maps(model)] == ["Dense", "BatchNormalization", "Dense"]


def test_layer_shared_by_two_batch_norms_is_not_folded():
    image = keras.Input((6,))
    dense = L.Dense(6)
    branches = [L.BatchNormalization()(dense(image)), L.BatchNormalization()(dense(L.ReLU()(image)))]
    model = shaken(keras.Model(image, L.Dense(CLASSES)(L.ReLU()(L.Add()(branches)))))
    kinds = sorted(type(one.layer).__name__ for one in linear_maps(model))
    assert kinds == ["BatchNormalization", "BatchNormalization", "Dense", "Dense"]


class OwnNoise(keras.layers.Layer):
    """A layer that holds a random state and a counter, and no weight."""

    def __init__(self):
        super().__init__()
        self.seeds = [keras.random.SeedGenerator(1)]
        self.counter = self.add_weight(shape=(), dtype="int32", trainable=False, initializer="zeros")

    def call(self, inputs, training=False):
        return inputs + keras.random.normal(inputs.shape[1:], seed=self.seeds[0]) if training else inputs


NOISE = {
    "dropout": lambda: L.Dropout(0.5),
    "spatial dropout": lambda: L.SpatialDropout2D(0.5),
    "Gaussian noise": lambda: L.GaussianNoise(1.0),
    "Gaussian dropout": lambda: L.GaussianDropout(0.5),
    "alpha dropout": lambda: L.AlphaDropout(0.5),
    "flips": lambda: L.RandomFlip(),
    "rotations": lambda: L.RandomRotation(0.2),
    "translations": lambda: L.RandomTranslation(0.2, 0.2),
    "zooms": lambda: L.RandomZoom(0.2),
    "contrast": lambda: L.RandomContrast(0.2),
    "erasing": lambda: L.RandomErasing(),
}


@pytest.mark.parametrize("name", NOISE)
def test_layers_with_only_random_state_are_skipped(name):
    noise = [NOISE[name]() for _ in range(2)]
    noisy = behind([noise[0], L.Conv2D(3, 3), noise[1], L.BatchNormalization()])
    plain = behind([L.Conv2D(3, 3), L.BatchNormalization()])
    assert measured(noisy) == measured(plain)
    assert None not in measured(plain).values()
    images, labels = np.random.default_rng(2).standard_normal((6, *SHAPE)), np.arange(6) % CLASSES
    record, truth = GramEngine(noisy)(images, labels), GramEngine(plain)(images, labels)
    np.testing.assert_allclose(record.gram, truth.gram, rtol=CLOSED_FORM)
    assert set(record.gradient_method.values()) == {"rule"}


def test_norms_skip_user_layers_without_weights():
    noisy = behind([OwnNoise(), L.Conv2D(3, 3), L.BatchNormalization()])
    plain = behind([L.Conv2D(3, 3), L.BatchNormalization()])
    assert log_frobenius_product(noisy) == log_frobenius_product(plain)
    assert log_spectral_product(noisy) == log_spectral_product(plain)


class Standardised(keras.layers.Conv2D):
    """A subclass that convolves with other filters than its kernel."""

    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel - keras.ops.mean(kernel))


@pytest.mark.parametrize("value", [log_frobenius_product, log_spectral_product, log_path_norm])
def test_layer_with_an_overridden_call_is_refused(value):
    model = behind([Standardised(3, 3, name="standardised")])
    with pytest.raises(InputError, match="standardised"):
        value(model)


@pytest.mark.parametrize("value", [log_frobenius_product, log_spectral_product])
def test_weights_of_the_model_itself_are_refused(value):
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.gain, self.head = self.add_weight(shape=(), name="gain"), L.Dense(CLASSES)

        def call(self, inputs):
            return self.gain * self.head(inputs)

    model = Own()
    model(np.zeros((2, 3)))
    with pytest.raises(InputError, match="own"):
        value(model)
