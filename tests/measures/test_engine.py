"""The engine against one gradient a sample: every rule and option, and models of every kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import CLOSED_FORM, STOCHASTIC

from infomcr_cli.errors import InputError
from infomcr_cli.measures import GramEngine, LayerCall, SingularGramError, gram_matrix, log_volume, register_rule
from infomcr_cli.measures.base import chosen_measures
from infomcr_cli.measures.draws import Draw, summarise
from infomcr_cli.measures.gram.layer_rules import unregister_rule
from infomcr_cli.measures.loss_surface import LossSurface
from tests.measures.reference import jacobian, relative, shaken, weights

L = keras.layers
N = 5
IMAGE = (7, 6, 4)
pytestmark = pytest.mark.usefixtures("double_precision")


def samples(shape: tuple[int, ...], seed: int = 0) -> tuple[Any, Any]:
    """Return N normal inputs [N, *shape] and their labels [N]."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(N, *shape)), generator.integers(0, 3, N).astype(np.int32)


def sequential(shape: tuple[int, ...], *layers: Any) -> keras.Model:
    return keras.Sequential([keras.Input(shape, dtype="float64"), *layers])


def agrees(model: keras.Model, images: Any, labels: Any, tolerance: float = 1e-10, **options: Any) -> Any:
    shaken(model)
    record = GramEngine(model, **options)(images, labels)
    j = jacobian(model, images, labels)
    assert relative(record.gram, j @ j.T) < tolerance
    assert relative(record.products, j @ weights(model)) < tolerance
    return record


CONVOLUTIONS = [
    {"kernel_size": 3, "padding": "same"},
    {"kernel_size": 3, "padding": "valid", "use_bias": False, "activation": "tanh"},
    {"kernel_size": (2, 3), "padding": "same", "strides": 2},
    {"kernel_size": (3, 2), "padding": "valid", "strides": (1, 2)},
    {"kernel_size": 3, "padding": "same", "dilation_rate": 2},
    {"kernel_size": 1, "strides": 2, "use_bias": False},
    {"kernel_size": 1},
    {"kernel_size": (1, 3), "padding": "same"},
    {"kernel_size": 3, "groups": 2, "padding": "same"},
    {"kernel_size": 3, "groups": 2, "strides": 2},
]


@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_convolution(options: dict[str, Any]) -> None:
    model = sequential(IMAGE, L.Conv2D(6, **options), L.GlobalAveragePooling2D(), L.Dense(3))
    assert set(agrees(model, *samples(IMAGE)).gradient_method.values()) == {"rule"}


@pytest.mark.parametrize(
    "options",
    [{}, {"padding": "same", "strides": 2}, {"dilation_rate": 2, "use_bias": False}, {"depth_multiplier": 2}],
    ids=str,
)
def test_depthwise_convolution(options: dict[str, Any]) -> None:
    model = sequential(IMAGE, L.DepthwiseConv2D(3, **options), L.GlobalAveragePooling2D(), L.Dense(3))
    assert set(agrees(model, *samples(IMAGE)).gradient_method.values()) == {"rule"}


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("layer", [L.BatchNormalization, L.LayerNormalization])
def test_normalisation(layer: Any, centre: bool, scale: bool) -> None:
    model = sequential(IMAGE, layer(scale=scale, center=centre), L.Conv2D(3, 2), L.Flatten(), L.Dense(3))
    assert set(agrees(model, *samples(IMAGE)).gradient_method.values()) == {"rule"}


def test_dense_over_positions_and_axis_of_batch_norm() -> None:
    model = sequential(
        (4, 5), L.Dense(6, "gelu"), L.BatchNormalization(axis=1), L.Flatten(), L.Dense(3, use_bias=False)
    )
    assert set(agrees(model, *samples((4, 5))).gradient_method.values()) == {"rule"}


def test_softmax_regression_has_a_closed_form() -> None:
    x, y = samples((4,))
    model = shaken(sequential((4,), L.Dense(3)))
    error = tf.nn.softmax(model(x)).numpy() - np.eye(3)[y]
    assert relative(gram_matrix(model, x, y), (x @ x.T + 1) * (error @ error.T)) < 1e-10


class Scale(L.Layer):
    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(shape[-1],))

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor


class Doubled(L.Dense):
    def call(self, inputs: Any, training: Any = None) -> Any:
        return 2 * super().call(inputs)


class Positions(L.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.token, self.place = L.Embedding(9, 4), L.Embedding(6, 4)

    def call(self, inputs: Any) -> Any:
        return self.token(inputs) + self.place(tf.range(6))


class Direct(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.kernel = L.Dense(6, "tanh"), self.add_weight(shape=(6, 3), name="kernel")

    def call(self, inputs: Any) -> Any:
        return tf.matmul(self.hidden(inputs), self.kernel)


class TimeFirst(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.head = L.Dense(6, "tanh"), L.Dense(3)

    def call(self, inputs: Any) -> Any:
        return self.head(tf.reduce_mean(self.hidden(tf.transpose(inputs, [1, 0, 2])), axis=0))


class Compiled(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.head = L.Dense(5, "tanh"), L.Dense(3)

    @tf.function
    def call(self, inputs: Any) -> Any:
        for _ in tf.range(3):
            inputs = self.hidden(inputs)
        return self.head(inputs)


def shared() -> keras.Model:
    layer, image = L.Dense(5, "tanh"), keras.Input((5,), dtype="float64")
    return keras.Model(image, L.Dense(3)(layer(layer(image)) + layer(image)))


def nested() -> keras.Model:
    inner = sequential(IMAGE, L.Conv2D(4, 3, activation="relu"), L.BatchNormalization())
    image = keras.Input(IMAGE, dtype="float64")
    return keras.Model(image, L.Dense(3)(L.GlobalAveragePooling2D()(inner(image) + inner(image * 2.0))))


def attention() -> keras.Model:
    tokens = keras.Input((6,), dtype="int32")
    x = Positions()(tokens)
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 3)(x, x))
    return keras.Model(tokens, L.Dense(3)(x[:, 0]))


def recurrent() -> keras.Model:
    return sequential((4, 3), L.GRU(3), L.Dense(3))


def transposed() -> keras.Model:
    return sequential(IMAGE, L.Conv2DTranspose(3, 3, strides=2), L.SeparableConv2D(3, 2), L.Flatten(), L.Dense(3))


class GroupedConvolution(L.Conv2D):
    """A subclass has no rule."""


MODELS: dict[str, tuple[Callable[[], keras.Model], tuple[int, ...], set[str]]] = {
    "own layer": (lambda: sequential((5,), Scale(), L.Dense(3)), (5,), {"rule", "layer"}),
    "subclass of a layer with a rule": (lambda: sequential((5,), Doubled(4), L.Dense(3)), (5,), {"rule", "layer"}),
    "weights of the model itself": (Direct, (5,), {"rule", "model"}),
    "samples not along the first axis": (TimeFirst, (4, 3), {"rule", "model"}),
    "compiled call with a loop": (Compiled, (5,), {"model"}),
    "shared": (shared, (5,), {"rule"}),
    "nested": (nested, IMAGE, {"rule"}),
    "recurrent": (recurrent, (4, 3), {"rule", "layer"}),
    "grouped in one dimension": (
        lambda: sequential((7, 4), L.Conv1D(4, 3, groups=2), L.Flatten(), L.Dense(3)),
        (7, 4),
        {"rule", "layer"},
    ),
    "subclass of a grouped convolution": (
        lambda: sequential((6, 5, 4), GroupedConvolution(4, 3, groups=2), L.Flatten(), L.Dense(3)),
        (6, 5, 4),
        {"rule", "layer"},
    ),
    "transposed": (transposed, IMAGE, {"rule", "layer"}),
}


@pytest.mark.parametrize("name", MODELS)
def test_gram_matrix_of_every_kind_of_model(name: str) -> None:
    build, shape, served = MODELS[name]
    model, (images, labels) = build(), samples(shape)
    model(images)
    assert set(agrees(model, images, labels).gradient_method.values()) == served


class Unbuilt(L.Layer):
    """Its `build` leaves the inner layer without weights until the first call, as layers of Keras do too."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = L.Dense(4)

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(shape[-1],))

    def compute_output_shape(self, shape: Any) -> Any:
        return (*shape[:-1], 4)

    def call(self, inputs: Any) -> Any:
        return self.inner(inputs * self.factor)


@pytest.mark.parametrize("first", [Unbuilt, lambda: L.Dense(4, activation=L.PReLU("uniform"))])
def test_weights_created_at_the_first_call_are_differentiated(first: Callable[[], Any]) -> None:
    model, (images, labels) = sequential((5,), first(), L.Dense(3)), samples((5,))
    few = len(model.trainable_variables)
    record = GramEngine(model)(images, labels)
    assert len(record.gradient_method) == len(model.trainable_variables) > few
    j = jacobian(model, images, labels)
    assert relative(record.gram, j @ j.T) < 1e-10


def test_attention_on_tokens() -> None:
    agrees(attention(), np.random.default_rng(1).integers(0, 9, (N, 6)), samples((1,))[1])


def test_float32_model_computed_in_float64() -> None:
    def layers() -> list[Any]:
        return [L.Conv2D(4, 3, activation="relu"), L.Flatten(), L.Dense(3)]

    images, labels = samples(IMAGE)
    images, double = images.astype(np.float32), sequential(IMAGE, *layers())
    keras.config.set_dtype_policy("float32")
    model = shaken(sequential(IMAGE, *layers()))
    double.set_weights(model.get_weights())
    j = jacobian(double, images.astype(np.float64), labels)
    record = GramEngine(model, precision="float64")(images, labels)
    assert relative(record.gram, j @ j.T) < CLOSED_FORM
    assert {v.dtype for v in double.variables} == {"float64"}
    assert {v.dtype for v in model.variables} == {"float32"}


@pytest.mark.parametrize("norm", [L.LayerNormalization, lambda: L.GroupNormalization(2), L.BatchNormalization])
@pytest.mark.parametrize("image", ["float32", "float64"])
def test_first_norm_layer_computes_in_the_requested_precision(norm: Callable[[], Any], image: str) -> None:
    """Layers that cast for themselves are given images and an input of single precision."""
    images, labels = samples((4,))
    images = images.astype("float32")
    true = shaken(sequential((4,), norm(), L.Dense(3)))
    for variable in true.variables:
        variable.assign(np.asarray(variable).astype("float32"))
    j = jacobian(true, images.astype("float64"), labels)
    double = keras.Sequential([keras.Input((4,), dtype=image), norm(), L.Dense(3)])
    double.set_weights(true.get_weights())
    assert relative(gram_matrix(double, images, labels), j @ j.T) < 1e-10
    keras.config.set_dtype_policy("float32")
    single = keras.Sequential([keras.Input((4,)), norm(), L.Dense(3)])
    single.set_weights(double.get_weights())
    assert relative(GramEngine(single, precision="float64")(images, labels).gram, j @ j.T) < 1e-10
    surface, truth = LossSurface(single, images, labels, precision="float64"), LossSurface(true, images, labels)
    vector = np.random.default_rng(1).normal(size=surface.size)
    assert relative(surface.hessian_product(vector), truth.hessian_product(vector)) < 1e-10


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(["dense", "norm", "relu", "scale"]), min_size=1, max_size=4), st.integers(2, 6))
def test_random_models(kinds: list[str], width: int) -> None:
    layers = {"dense": lambda: L.Dense(width), "norm": L.LayerNormalization, "relu": L.LeakyReLU, "scale": Scale}
    agrees(sequential((3,), *(layers[k]() for k in kinds), L.Dense(3)), *samples((3,)), tolerance=1e-8)


def test_user_rule_is_used_and_wrong_rule_is_replaced_by_the_model_jacobian() -> None:
    register_rule(Scale)(lambda call: [call.inputs * call.cotangent])
    try:
        model, (x, y) = sequential((5,), Scale(), L.Dense(3)), samples((5,))
        assert set(agrees(model, x, y).gradient_method.values()) == {"rule"}
        register_rule(Scale)(wrong_rule)
        assert "model" in agrees(sequential((5,), Scale(), L.Dense(3)), x, y).gradient_method.values()
    finally:
        unregister_rule(Scale)


def wrong_rule(call: LayerCall) -> list[Any]:
    return [call.cotangent]


def test_duplicated_sample_lowers_the_rank_by_one_in_float32() -> None:
    keras.config.set_dtype_policy("float32")
    model, (x, y) = sequential(IMAGE, L.Conv2D(4, 3), L.Flatten(), L.Dense(3)), samples(IMAGE)
    x, y[3] = x.astype(np.float32), y[1]
    x[3] = x[1]
    record = GramEngine(model)(x, y)
    assert record.rank == N - 1
    with pytest.raises(SingularGramError):
        log_volume(record.gram)


def test_gram_matrix_is_equivariant_to_the_order_of_samples() -> None:
    model, (x, y) = sequential(IMAGE, L.Conv2D(4, 3), L.Flatten(), L.Dense(3)), samples(IMAGE)
    order = np.random.default_rng(1).permutation(N)
    a, b = gram_matrix(model, x, y), gram_matrix(model, x[order], y[order])
    assert relative(b, a[np.ix_(order, order)]) < 1e-10


def test_confident_sample_has_an_accurate_row_in_float32() -> None:
    keras.config.set_dtype_policy("float32")
    x, y = samples((4,))
    x = x.astype(np.float32)
    model = sequential((4,), L.Dense(3))
    kernel = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    target = np.log(np.expm1(27.0))  # z_y - z_k for a loss near 1e-12
    bias = np.zeros(3, np.float32)
    bias[y[0]] = target - (x[0] @ kernel)[y[0]]
    model.layers[0].set_weights([kernel, bias])
    record = GramEngine(model)(x, y)
    z = np.float64(model(x[:1]).numpy())[0]
    p = np.exp(z - np.logaddexp.reduce(z))
    p[y[0]] = -sum(p[k] for k in range(3) if k != y[0])
    truth = np.log(np.linalg.norm(p) * np.sqrt(1 + np.float64(x[0]) @ np.float64(x[0])))
    assert record.losses[0] < 1e-10
    assert record.log_lengths[0] == pytest.approx(truth, abs=STOCHASTIC)


def test_one_sample_and_a_batch_chunk() -> None:
    model, (x, y) = sequential((5,), L.Dense(4), L.BatchNormalization(), L.Dense(3)), samples((5,))
    assert gram_matrix(model, x[:1], y[:1]).shape == (1, 1)
    with pytest.raises(InputError, match="multiple"):
        gram_matrix(model, x, y, batch_norm="batch", chunk_size=2)
    with pytest.raises(InputError, match=r"must be a keras\.Model; got 'function'"):
        gram_matrix(lambda images: images, x, y)  # type: ignore[arg-type]


def test_exception_leaves_the_model_unchanged() -> None:
    model, (x, y) = sequential((5,), L.Dense(4), L.BatchNormalization(), L.Dense(3)), samples((5,))
    before, calls = model.get_weights(), [vars(layer).get("call") for layer in model.layers]
    with pytest.raises(InputError, match="finite"):
        gram_matrix(model, np.full_like(x, np.inf), y, batch_norm="batch", chunk_size=N)
    with pytest.raises(InputError, match="labels"):
        gram_matrix(model, x, y + 3)
    assert [vars(layer).get("call") for layer in model.layers] == calls
    for kept, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_dead_network_gives_deficient_draws_with_normalised_logits() -> None:
    keras.config.set_dtype_policy("float32")
    model = sequential((5,), L.Dense(4, "relu", kernel_initializer="zeros"), L.Dense(3))
    images, labels = samples((5,))
    chosen_measures()  # each registers what it takes of a draw
    draw = summarise(Draw(GramEngine(model, logit_scale=0.04)(images, labels), labels, 1.0, 1.0))
    assert (draw.numbers["gamma"], draw.rank, draw.numbers["fisher_trace"]) == (None, 0, 0.0)


def test_single_sample_has_every_number_except_gradient_noise() -> None:
    model = sequential((5,), L.Dense(3))
    images, labels = samples((5,))
    chosen_measures()
    draw = summarise(Draw(GramEngine(model)(images[:1], labels[:1]), labels[:1], 1.0, 1.0))
    assert draw.rank == 1
    assert draw.numbers["gradient_noise"] is None
    assert draw.numbers["gamma"] == pytest.approx(0.5 * np.log(draw.numbers["fisher_trace"]), rel=CLOSED_FORM)
