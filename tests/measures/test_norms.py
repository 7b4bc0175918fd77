"""Norms, products, margins, path norm and gradient noise against dense matrices, brute force and closed forms."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from tolerances import AUTODIFF, CLOSED_FORM, ROUNDING

from infomcr_cli.errors import InputError
from infomcr_cli.measures.batch_norm_folding import linear_maps, scale
from infomcr_cli.measures.gamma import gradient_noise_variance
from infomcr_cli.measures.library.layer_norms import log_frobenius_product, log_spectral_product, over_margin
from infomcr_cli.measures.library.path_norm import log_path_norm
from infomcr_cli.measures.library.simple import margins, tenth_percentile_margin
from infomcr_cli.measures.operator_norm import convolution_norm, spectral_norm
from tests.measures.reference import CLASSES, convolutional, perceptron, samples, shake_batch_norm


def operator_matrix(layer, kernel):
    """The convolution as a matrix, by its action on every unit vector."""
    shape = layer.input.shape[1:]
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    return np.asarray(layer.convolution_op(units, kernel)).reshape(len(units), -1).T


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_convolution_norm_equals_that_of_its_matrix(stride, padding):
    image = keras.Input((7, 6, 2), dtype="float64")
    layer = keras.layers.Conv2D(5, 3, stride, padding, dtype="float64")
    layer(image)
    kernel = np.asarray(layer.kernel)
    truth = np.linalg.norm(operator_matrix(layer, kernel), 2)
    assert convolution_norm(layer, kernel) == pytest.approx(truth, rel=AUTODIFF)
    reshaped = np.linalg.norm(kernel.reshape(-1, 5), 2)
    assert reshaped != pytest.approx(truth, rel=1e-2)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_causal_convolution_norm_equals_that_of_its_matrix(stride, dilation):
    layer = keras.layers.Conv1D(4, 3, stride, padding="causal", dilation_rate=dilation, use_bias=False, dtype="float64")
    layer(keras.Input((9, 2), dtype="float64"))
    rows = np.asarray(layer(np.eye(18).reshape(18, 9, 2)))
    truth = np.linalg.norm(rows.reshape(18, -1), 2)
    assert convolution_norm(layer, np.asarray(layer.kernel)) == pytest.approx(truth, rel=AUTODIFF)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 2), (3, 1, 1), (2, 2, 2)])
@pytest.mark.parametrize("gain", [0.0, 1.0])
def test_convolution_norm_of_one_number_or_of_zeros(shape, gain):
    layer = keras.layers.Conv2D(3, 1, padding="same", dtype="float64")
    layer(keras.Input(shape, dtype="float64"))
    kernel = gain * np.asarray(layer.kernel)
    truth = np.linalg.norm(kernel[0, 0], 2)
    assert convolution_norm(layer, kernel) == pytest.approx(truth, rel=1e-9, abs=0)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_zero_layer_makes_the_norm_products_zero():
    model = convolutional()
    layer = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    layer.kernel.assign(np.zeros_like(layer.kernel))
    assert log_frobenius_product(model) == log_spectral_product(model) == -np.inf


def test_folded_network_computes_the_same_outputs():
    keras.utils.set_random_seed(0)
    image = keras.Input((4,), dtype="float64")
    x = keras.layers.BatchNormalization(dtype="float64", epsilon=1e-2)(
        keras.layers.Dense(6, dtype="float64", use_bias=False)(image)
    )
    model = keras.Model(
        image, keras.layers.Dense(3, dtype="float64", use_bias=False)(keras.layers.ReLU(dtype="float64")(x))
    )
    shake_batch_norm(model, 0)
    model.layers[2].beta.assign(np.zeros(6)), model.layers[2].moving_mean.assign(np.zeros(6))
    first, second = linear_maps(model)
    images, _ = samples((4,))
    truth = np.maximum(images @ first.kernel, 0) @ second.kernel
    np.testing.assert_allclose(model(images), truth, atol=CLOSED_FORM)


def test_batch_norm_behind_a_sum_is_a_separate_map():
    model = convolutional()
    kinds = [type(one.layer).__name__ for one in linear_maps(model)]
    assert kinds == ["Conv2D", "Conv2D", "Conv2D", "BatchNormalization", "Dense"]
    alone = linear_maps(model)[3]
    assert (
        spectral_norm(alone)
        == np.abs(scale(alone.layer)).max()
        == pytest.approx(np.linalg.norm(np.diag(alone.kernel), 2))
    )


def test_norm_products_equal_those_of_dense_matrices():
    model = convolutional()
    spectral = frobenius = 0.0
    for one in linear_maps(model):
        matrix = (
            one.kernel
            if one.kernel.ndim == 2
            else np.diag(one.kernel)
            if one.kernel.ndim == 1
            else operator_matrix(one.layer, one.kernel)
        )
        spectral += 2 * np.log(np.linalg.svd(matrix, compute_uv=False)[0])
        frobenius += np.log(np.sum(one.kernel**2))
    assert log_spectral_product(model) == pytest.approx(spectral, rel=AUTODIFF)
    assert log_frobenius_product(model) == pytest.approx(frobenius, rel=CLOSED_FORM)


def test_norm_product_scales_with_a_layer():
    model = perceptron()
    before = log_spectral_product(model), log_frobenius_product(model)
    model.layers[1].kernel.assign(np.asarray(model.layers[1].kernel) * 3)
    after = log_spectral_product(model), log_frobenius_product(model)
    np.testing.assert_allclose(np.subtract(after, before), 2 * np.log(3), atol=CLOSED_FORM)


def test_norm_product_over_the_margin():
    assert over_margin(1.0, np.e) == pytest.approx(-1.0)
    assert over_margin(1.0, 0.0) is None


def test_norms_refuse_unknown_layers():
    image = keras.Input((8, 8, 2))
    model = keras.Model(image, keras.layers.Flatten()(keras.layers.DepthwiseConv2D(3)(image)))
    with pytest.raises(InputError, match="depthwise"):
        linear_maps(model)
    with pytest.raises(InputError, match="depthwise"):
        log_path_norm(model)


def test_path_norm_includes_frozen_layers():
    model = perceptron()
    before = log_path_norm(model)
    model.layers[1].trainable = False
    assert log_path_norm(model) == pytest.approx(before, rel=CLOSED_FORM)


def own_code() -> keras.Model:
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.filters, self.head = keras.layers.Conv2D(2, 3), keras.layers.Dense(CLASSES)

        def call(self, inputs):
            return self.head(keras.ops.mean(keras.ops.tanh(self.filters(inputs)), axis=(1, 2)))

    model = Own()
    model(np.zeros((2, 6, 6, 2), np.float32))
    return model


def bare_operation() -> keras.Model:
    image = keras.Input((6, 6, 2))
    return keras.Model(image, keras.layers.Dense(CLASSES)(keras.layers.Flatten()(keras.ops.tanh(image))))


def any_size() -> keras.Model:
    image = keras.Input((None, None, 2))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(image))
    return keras.Model(image, keras.layers.Dense(CLASSES)(x))


def two_images() -> keras.Model:
    images = [keras.Input((4,)), keras.Input((3,))]
    return keras.Model(images, keras.layers.Add()([keras.layers.Dense(CLASSES)(image) for image in images]))


@pytest.mark.parametrize("build", [own_code, bare_operation, any_size, two_images])
def test_path_norm_refuses_networks_outside_its_formula(build):
    with pytest.raises(InputError, match="path norm"):
        log_path_norm(build())


@pytest.mark.parametrize("build", [own_code, any_size])
def test_convolution_norm_needs_a_fixed_image_size(build):
    with pytest.raises(InputError, match="conv2d"):
        log_spectral_product(build())


def test_a_sum_without_a_layer_is_one():
    image = keras.Input((3,), dtype="float64")
    first, second, head = (keras.layers.Dense(n, dtype="float64") for n in (4, 4, CLASSES))
    bare = keras.Model(image, head(first(image) + second(image)))
    layered = keras.Model(image, head(keras.layers.Add(dtype="float64")([first(image), second(image)])))
    assert log_path_norm(bare) == pytest.approx(log_path_norm(layered), rel=CLOSED_FORM)


def test_path_norm_of_a_perceptron_is_the_sum_over_its_paths():
    model = perceptron(inputs=3, hidden=4)
    for layer in model.layers[1:]:
        layer.bias.assign(np.random.default_rng(0).standard_normal(layer.bias.shape))
    (w1, b1), (w2, b2) = ([np.asarray(v) for v in layer.trainable_variables] for layer in model.layers[1:])
    from_inputs = sum((w1[i, h] * w2[h, k]) ** 2 for i, h, k in itertools.product(range(3), range(4), range(CLASSES)))
    from_offsets = sum((b1[h] * w2[h, k]) ** 2 for h, k in itertools.product(range(4), range(CLASSES))) + np.sum(b2**2)
    assert log_path_norm(model) == pytest.approx(0.5 * np.log(from_inputs + from_offsets), rel=CLOSED_FORM)


@pytest.mark.parametrize(("scaled", "centred"), [(True, True), (False, True), (True, False), (False, False)])
def test_batch_norm_is_folded_into_the_path_norm(scaled, centred):
    keras.utils.set_random_seed(0)
    image = keras.Input((3,), dtype="float64")
    dense = keras.layers.Dense(4, dtype="float64")
    norm = keras.layers.BatchNormalization(dtype="float64", epsilon=1e-2, scale=scaled, center=centred)
    head = keras.layers.Dense(CLASSES, dtype="float64")
    model = keras.Model(image, head(keras.layers.ReLU(dtype="float64")(norm(dense(image)))))
    rng = np.random.default_rng(0)
    for variable in norm.variables:
        variable.assign(rng.uniform(0.3, 1.5, 4))
    s = scale(norm)
    offset = (np.asarray(norm.beta) if centred else 0.0) - np.asarray(norm.moving_mean) * s
    hidden = s**2 * np.sum(np.asarray(dense.kernel) ** 2, axis=0) + offset**2
    truth = hidden @ np.sum(np.asarray(head.kernel) ** 2, axis=1)
    assert log_path_norm(model) == pytest.approx(0.5 * np.log(truth), rel=CLOSED_FORM)


def test_path_norm_is_invariant_to_rescaling_rectified_layers():
    model = perceptron(bias=False)
    before = log_path_norm(model)
    first, second = model.trainable_variables
    first.assign(3.0 * first), second.assign(second / 3.0)
    assert log_path_norm(model) == pytest.approx(before, rel=CLOSED_FORM)


def rectified(unit) -> keras.Model:
    """Two dense layers with this unit in between: a layer, or an activation of the first one."""
    keras.utils.set_random_seed(1)
    image = keras.Input((4,), dtype="float64")
    activation = None if isinstance(unit, keras.layers.Layer) and unit.name.startswith("layer") else unit
    x = keras.layers.Dense(5, activation=activation, dtype="float64")(image)
    x = unit(x) if activation is None and unit is not None else x
    return keras.Model(image, keras.layers.Dense(CLASSES, dtype="float64")(x))


RECTIFIERS = {
    "ReLU": lambda: keras.layers.ReLU(name="layer", dtype="float64"),
    "ReLU with a slope": lambda: keras.layers.ReLU(negative_slope=0.1, name="layer", dtype="float64"),
    "ReLU that is capped at infinity": lambda: keras.layers.ReLU(max_value=np.inf, name="layer", dtype="float64"),
    "LeakyReLU": lambda: keras.layers.LeakyReLU(0.3, name="layer", dtype="float64"),
    "LeakyReLU of slope 1": lambda: keras.layers.LeakyReLU(1.0, name="layer", dtype="float64"),
    "Activation": lambda: keras.layers.Activation("relu", name="layer", dtype="float64"),
    "leaky Activation": lambda: keras.layers.Activation("leaky_relu", name="layer", dtype="float64"),
    "activation by name": lambda: "relu",
    "leaky activation by name": lambda: "leaky_relu",
    "a layer as an activation": lambda: keras.layers.ReLU(name="unit", dtype="float64"),
    "none": lambda: None,
}


@pytest.mark.parametrize("name", RECTIFIERS)
def test_path_norm_of_rectifiers_is_the_sum_over_paths(name):
    model = rectified(RECTIFIERS[name]())
    first, second = (np.asarray(layer.kernel) for layer in model.layers if isinstance(layer, keras.layers.Dense))
    paths = itertools.product(range(4), range(5), range(CLASSES))
    truth = sum((first[i, h] * second[h, k]) ** 2 for i, h, k in paths)
    assert log_path_norm(model) == pytest.approx(0.5 * np.log(truth), rel=CLOSED_FORM)


NO_SUM_OVER_PATHS = {
    "a cap": (lambda: keras.layers.ReLU(max_value=6, name="layer"), "max_value=6"),
    "a cap of zero": (lambda: keras.layers.ReLU(max_value=0, name="layer"), "max_value=0"),
    "a threshold": (lambda: keras.layers.ReLU(threshold=0.5, name="layer"), "threshold=0.5"),
    "an amplifying slope": (lambda: keras.layers.ReLU(negative_slope=2.0, name="layer"), "negative_slope=2.0"),
    "an amplifying LeakyReLU": (lambda: keras.layers.LeakyReLU(1.5, name="layer"), "negative_slope=1.5"),
    "relu6 as a layer": (lambda: keras.layers.Activation("relu6", name="layer"), "relu6"),
    "relu6 by name": (lambda: "relu6", "relu6"),
    "a capped layer as an activation": (lambda: keras.layers.ReLU(max_value=6, name="unit"), "max_value=6"),
    "a function of its own": (lambda: lambda x: keras.ops.minimum(keras.ops.relu(x), 6), "lambda"),
    "slopes that are weights": (lambda: keras.layers.PReLU(name="layer"), "layer"),
    "ELU": (lambda: "elu", "elu"),
    "GELU": (lambda: "gelu", "gelu"),
    "tanh": (lambda: keras.layers.Activation("tanh", name="layer"), "tanh"),
    "softplus": (lambda: "softplus", "softplus"),
    "hard sigmoid": (lambda: "hard_sigmoid", "hard_sigmoid"),
}


@pytest.mark.parametrize("name", NO_SUM_OVER_PATHS)
def test_path_norm_refuses_other_units_by_name(name):
    unit, named = NO_SUM_OVER_PATHS[name]
    with pytest.raises(InputError, match=f"path norm.*{named}"):
        log_path_norm(rectified(unit()))


def test_margins_agree_with_sorting():
    logits, labels = np.random.default_rng(0).standard_normal((50, 4)), np.random.default_rng(1).integers(0, 4, 50)
    truth = [row[y] - max(v for k, v in enumerate(row) if k != y) for row, y in zip(logits, labels, strict=True)]
    np.testing.assert_array_equal(margins(logits, labels), truth)
    eleven = np.stack([np.arange(11.0), np.zeros(11)], axis=1)
    assert tenth_percentile_margin(eleven, np.zeros(11, np.int32)) == pytest.approx(1.0)


def test_gradient_noise_is_the_trace_of_the_covariance_of_the_rows():
    rows = np.random.default_rng(0).standard_normal((8, 30)) + 2.0
    assert gradient_noise_variance(rows @ rows.T) == pytest.approx(np.trace(np.cov(rows.T)), rel=CLOSED_FORM)
    assert gradient_noise_variance(np.ones((5, 5))) == pytest.approx(0.0, abs=ROUNDING)


def test_one_sample_has_no_gradient_noise():
    with pytest.raises(ValueError, match="two samples"):
        gradient_noise_variance(np.ones((1, 1)))
