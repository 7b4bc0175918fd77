"""Each regularizer against its definition written out, against finite differences, and in the limits it must have."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import AUTODIFF, CLOSED_FORM, FLOAT32, SINGLE, STOCHASTIC

from infomcr_cli.config.compose import compose_run
from infomcr_cli.errors import InputError
from infomcr_cli.training import LocalMinimum, local_minimum_penalty, train_step
from infomcr_cli.training.regularizers.fisher_trace import FisherTrace
from infomcr_cli.training.regularizers.gradient_norm import GradientNorm
from infomcr_cli.training.regularizers.perturbation import gradient_step, normalized_ascent
from infomcr_cli.training.regularizers.sam import SAM
from infomcr_cli.training.setup import make_regularizer
from tests.training import reference as ref


def up(length: float) -> Any:
    return lambda g: [length * a / ref.norm(g) for a in g]


def assert_close(got: Any, expected: Any, tolerance: float = AUTODIFF) -> None:
    scale = max(ref.norm(list(expected)), 1e-300)
    assert len(got) == len(expected)
    assert ref.norm([np.asarray(a) - b for a, b in zip(got, expected, strict=True)]) < tolerance * scale


@pytest.mark.parametrize(("kind", "parts"), [("wrn", 3), ("resnet", 2), ("nin", 1), ("mlp", 4), ("wrn", 6)])
def test_local_minimum_equals_its_definition(kind: str, parts: int) -> None:
    model, (images, labels) = ref.network(kind), ref.batch()
    drop, difference, _ = ref.perturbed(model, images, labels, parts, lambda g: [-1e-3 * a for a in g])
    value, gradient = local_minimum_penalty(model, images, labels, num_sub_batches=parts, alpha=1e-3)
    assert float(value) == pytest.approx(drop, rel=AUTODIFF)
    assert_close(gradient, difference)
    weighted = LocalMinimum(parts, 1e-3, 7.0)(model, images, labels)
    assert_close(weighted.gradient, [7 * d for d in difference])
    assert weighted.main is None


@pytest.mark.parametrize(("activation", "jump"), [("relu", 0.5), ("gelu", 0.0)])
def test_local_minimum_jumps_where_a_rectifier_is_at_its_kink(activation, jump):
    """A step down from just above the kink switches the unit off; g - g' is then g, whatever α is."""

    def by_weight(weight: float) -> float:
        with ref.float64():
            unit = keras.layers.Dense(1, activation, use_bias=False)
            head = keras.layers.Dense(2, use_bias=False, trainable=False)
            image = keras.Input((1,))
            model = keras.Model(image, head(unit(image)))
        unit.kernel.assign([[weight]])
        head.kernel.assign([[1.0, 0.0]])
        _, surrogate = local_minimum_penalty(
            model, np.ones((1, 1)), np.ones(1, np.int32), num_sub_batches=1, alpha=1e-4
        )
        return np.asarray(surrogate[0]).item()

    assert by_weight(1e-9) - by_weight(-1e-9) == pytest.approx(jump, abs=FLOAT32)


@pytest.mark.parametrize(("kind", "parts"), [("wrn", 1), ("mlp", 3), ("mlp", 4)])
def test_sam_takes_the_gradient_at_w_plus_epsilon(kind: str, parts: int) -> None:
    model, (images, labels) = ref.network(kind), ref.batch()
    drop, difference, here = ref.perturbed(model, images, labels, parts, up(0.2))
    found = SAM(parts, 0.2)(model, images, labels)
    assert float(found.value) == pytest.approx(-drop, rel=AUTODIFF)
    assert_close(
        [m + c for m, c in zip(found.main.gradient, found.gradient, strict=True)],
        [h - d for h, d in zip(here, difference, strict=False)],
    )


@pytest.mark.parametrize("kind", ["wrn", "mlp"])
def test_gradient_norm_is_a_weighted_sum_of_two_gradients(kind: str) -> None:
    model, (images, labels) = ref.network(kind), ref.batch()
    drop, difference, here = ref.perturbed(model, images, labels, 2, up(0.1))
    found = GradientNorm(2, radius=0.1, alpha=0.3)(model, images, labels)
    assert float(found.value) == pytest.approx(-drop / 0.1, rel=AUTODIFF)
    there = [h - d for h, d in zip(here, difference, strict=True)]
    expected = [0.7 * h + 0.3 * t for h, t in zip(here, there, strict=True)]
    assert_close([m + c for m, c in zip(found.main.gradient, found.gradient, strict=True)], expected)


@pytest.mark.parametrize(("kind", "norm"), [("wrn", "batch"), ("wrn", "group"), ("nin", "layer"), ("mlp", "none")])
def test_fisher_trace_gradient_equals_finite_differences_of_its_value(kind: str, norm: str) -> None:
    model, (images, labels) = ref.network(kind, activation="tanh", norm=norm), ref.batch()
    weights = ref.arrays(model.trainable_variables)
    found = FisherTrace(3, beta=1.0)(model, images, labels)
    assert float(found.value) == pytest.approx(ref.mean_square(model, weights, images, labels, 3), rel=AUTODIFF)
    for direction in ref.directions(model, 1):
        slope = ref.slope(lambda w: ref.mean_square(model, w, images, labels, 3), weights, direction)
        assert ref.dot(found.gradient, direction) == pytest.approx(slope, rel=FLOAT32, abs=1e-7 * float(found.value))


@pytest.mark.parametrize("kind", ["wrn", "nin"])
def test_local_minimum_approximates_fisher_trace_at_first_order(kind: str) -> None:
    """surrogate / α → ½∇mean‖g_m‖² and R / α → mean‖g_m‖², with an error that falls as α."""
    model, (images, labels) = ref.network(kind, activation="tanh"), ref.batch()
    exact = FisherTrace(3, beta=0.5)(model, images, labels)
    errors, values = [], []
    for alpha in (1e-3, 1e-4, 1e-5):
        value, surrogate = local_minimum_penalty(model, images, labels, num_sub_batches=3, alpha=alpha)
        errors.append(ref.norm([np.asarray(s) / alpha - e for s, e in zip(surrogate, exact.gradient, strict=True)]))
        values.append(abs(float(value) / alpha - float(exact.value)))
    for series in (errors, values):
        assert series[0] / series[1] == pytest.approx(10, rel=0.1)
        assert series[1] / series[2] == pytest.approx(10, rel=0.1)


def test_perturbation_has_its_exact_length_in_float64() -> None:
    for move in (gradient_step(0.1), normalized_ascent(0.1)):
        (step,) = move([tf.constant(1.0, tf.float64)])
        assert abs(float(step)) == 0.1


def test_gradient_norm_tends_to_the_exact_penalty_at_first_order() -> None:
    """As r → 0 the value tends to ‖g‖ and the gradient to λ∇‖g‖, at first order."""
    model, (images, labels) = ref.network("mlp", activation="tanh"), ref.batch()
    square = FisherTrace(1, beta=1.0)(model, images, labels)
    norm = float(square.value) ** 0.5
    exact = [np.asarray(g) / (2 * norm) for g in square.gradient]  # ∇‖g‖
    errors = []
    for radius in (1e-2, 1e-3):
        found = GradientNorm(1, radius, alpha=1.0)(model, images, labels)
        errors.append(ref.norm([np.asarray(c) / radius - e for c, e in zip(found.gradient, exact, strict=True)]))
        assert float(found.value) == pytest.approx(norm, rel=10 * radius)
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)


def test_sam_is_gradient_norm_with_alpha_one_and_vanishes_with_rho() -> None:
    model, (images, labels) = ref.network("wrn"), ref.batch()
    sam, norm = SAM(2, 0.05)(model, images, labels), GradientNorm(2, 0.05, 1.0)(model, images, labels)
    assert_close(sam.gradient, ref.arrays(norm.gradient), 1e-10)
    sizes = [ref.norm(ref.arrays(SAM(2, rho)(model, images, labels).gradient)) for rho in (1e-4, 1e-5)]
    assert sizes[0] / sizes[1] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("regularizer", [LocalMinimum(3, 1e-3, 5.0, True), FisherTrace(3, 0.1, True), SAM(3, 0.1)])
def test_shared_main_pass_is_the_mean_over_sub_batches(regularizer: Any) -> None:
    """Loss, accuracy, gradient and new statistics are the means of the sub-batches' own."""
    model, (images, labels) = ref.network("wrn"), ref.batch()
    weights = ref.arrays(model.trainable_variables)
    losses, gradients, states = [], [], []
    for x, y in zip(np.split(images, 3), np.split(labels, 3), strict=True):
        loss, gradient = ref.gradient_at(model, weights, x, y)
        kept = ref.arrays(model.non_trainable_variables)
        model(x, training=True)
        states.append(ref.arrays(model.non_trainable_variables))
        for variable, value in zip(model.non_trainable_variables, kept, strict=True):
            variable.assign(value)
        losses.append(loss)
        gradients.append(gradient)
    main = regularizer(model, images, labels).main
    assert float(main.loss) == pytest.approx(np.mean(losses), rel=CLOSED_FORM)
    assert_close(main.gradient, ref.mean(gradients), 1e-10)
    assert_close(main.state, ref.mean(states), 1e-10)


REGULARIZERS = [LocalMinimum(3), LocalMinimum(3, share_pass=True), SAM(3), GradientNorm(3), FisherTrace(3)]


@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_regularizer_changes_no_variable_of_the_model(regularizer: Any) -> None:
    model, (images, labels) = ref.network("mlp", norm="batch", dropout=0.3), ref.batch()
    before = ref.arrays(model.variables)
    regularizer(model, images, labels)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)


@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_graph_and_eager_results_agree(regularizer: Any) -> None:
    model, (images, labels) = ref.network("mlp", norm="batch"), ref.batch()
    eager, graph = regularizer(model, images, labels), tf.function(regularizer)(model, images, labels)
    assert float(graph.value) == pytest.approx(float(eager.value), rel=1e-7)
    assert_close(graph.gradient, ref.arrays(eager.gradient), 1e-7)


def test_one_hot_class_weights_equal_labels() -> None:
    model, (images, labels) = ref.network("wrn"), ref.batch()
    by_label, by_weight = (FisherTrace(2)(model, images, y) for y in (labels, np.eye(ref.CLASSES)[labels]))
    assert_close(by_weight.gradient, ref.arrays(by_label.gradient), 1e-10)


def test_order_within_a_sub_batch_changes_nothing() -> None:
    model, (images, labels) = ref.network("wrn"), ref.batch()
    order = np.concatenate([np.random.default_rng(0).permutation(4) + 4 * part for part in range(3)])
    before = local_minimum_penalty(model, images, labels, num_sub_batches=3, alpha=1e-2)
    after = local_minimum_penalty(model, images[order], labels[order], num_sub_batches=3, alpha=1e-2)
    assert_close(after[1], ref.arrays(before[1]), 1e-9)


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
@pytest.mark.parametrize("share_pass", [False, True])
def test_both_passes_of_a_sub_batch_drop_the_same_units(share_pass: bool, parts: int) -> None:
    """Without a step both passes of a sub-batch must agree to the bit: the same units were dropped."""
    model, (images, labels) = ref.network("mlp", dropout=0.5), ref.batch()
    found = LocalMinimum(parts, alpha=1e-300, share_pass=share_pass)(model, images, labels)
    assert float(found.value) == 0
    assert ref.norm(ref.arrays(found.gradient)) == 0


def test_alternating_sub_batches_draw_different_random_numbers() -> None:
    """R of a sub-batch met twice is the mean of two draws, of which the first is that of the sub-batch alone."""
    model, (images, labels) = ref.network("mlp", dropout=0.5), ref.batch(4)
    parts = {m: (np.concatenate([images] * m), np.concatenate([labels] * m)) for m in (1, 2, 3, 4)}
    sums = [m * float(local_minimum_penalty(model, *parts[m], num_sub_batches=m, alpha=1e-3)[0]) for m in parts]
    alone = np.diff([0.0, *sums])
    assert len({round(value / sums[0], 3) for value in alone}) == len(parts)
    pairs = [m * float(LocalMinimum(m, 1e-3, share_pass=True)(model, *parts[m]).value) for m in parts]
    np.testing.assert_allclose(sums, pairs, rtol=1e-9)


class Place(keras.layers.Layer):
    """An embedding of the position: its gradient is sparse."""

    def build(self, shape):
        self.table = keras.layers.Embedding(shape[1], shape[2])
        self.table.build(None)

    def call(self, x):
        return x + self.table(tf.range(x.shape[1]))


@pytest.mark.parametrize("regularizer", [LocalMinimum(4), LocalMinimum(4, share_pass=True), SAM(4), FisherTrace(4)])
def test_sparse_gradient_of_an_embedding_is_regularized(regularizer: Any) -> None:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Reshape((36, 2)), Place(), keras.layers.Flatten(), keras.layers.Dense(4)]
    model = keras.Sequential([keras.Input((6, 6, 2)), *layers])
    images, labels = ref.single(ref.batch())
    eager, graph = regularizer(model, images, labels), tf.function(regularizer)(model, images, labels)
    assert_close(graph.gradient, ref.arrays(eager.gradient), 1e-5)
    scalars = train_step(model, keras.optimizers.SGD(0.1), images, labels, regularizer=regularizer)
    assert np.isfinite(float(scalars["penalty"]))


class Noise(keras.layers.Layer):
    """Draws from TensorFlow's own generator, not from a seed of Keras."""

    def call(self, x):
        return x + tf.random.normal(tf.shape(x))


@pytest.mark.parametrize("regularizer", [LocalMinimum(4), SAM(4)])
def test_iterations_draw_random_numbers_in_order(regularizer: Any) -> None:
    keras.utils.set_random_seed(1)
    layers = [Noise(), keras.layers.Conv2D(32, 3), keras.layers.Flatten(), keras.layers.Dense(4)]
    model, (images, labels) = keras.Sequential([keras.Input((6, 6, 2)), *layers]), ref.single(ref.batch())
    step, values = tf.function(regularizer), set()
    for _ in range(20):
        tf.random.set_seed(0)
        values.add(float(step(model, images, labels).value))
    assert len(values) == 1


def test_sub_batches_drop_different_units() -> None:
    model, (images, labels) = ref.network("mlp", dropout=0.5), ref.batch()
    twice = np.concatenate([images[:4]] * 2), np.concatenate([labels[:4]] * 2)
    one, two = SAM(1)(model, images[:4], labels[:4]).main, SAM(2)(model, *twice).main
    assert float(one.loss) != pytest.approx(float(two.loss), rel=STOCHASTIC)


def test_mixed_bfloat16_keeps_small_differences_in_float32() -> None:
    """In mixed bfloat16 the surrogate is that of float32, to float32's own noise."""
    images, labels = ref.single(ref.batch(16))
    found = {}
    for policy in ("float32", "mixed_bfloat16"):
        model = ref.network_in(policy)
        found[policy] = tf.function(LocalMinimum(4))(model, images, labels)
        assert model.compute_dtype == ("bfloat16" if policy != "float32" else "float32")
    assert_close(found["mixed_bfloat16"].gradient, ref.arrays(found["float32"].gradient), 1e-6)
    assert float(found["mixed_bfloat16"].value) == pytest.approx(float(found["float32"].value), rel=SINGLE)


@pytest.mark.parametrize("regularizer", [LocalMinimum(4), LocalMinimum(4, share_pass=True), SAM(4), FisherTrace(4)])
def test_a_float64_layer_in_a_float32_network_is_regularized(regularizer: Any) -> None:
    images, labels = ref.single(ref.batch(16))
    keras.utils.set_random_seed(1)
    image = keras.Input((6, 6, 2))
    x = keras.layers.Dense(5, activation="tanh")(keras.layers.Flatten()(image))
    model = keras.Model(image, keras.layers.Dense(4, dtype="float64")(x))
    assert model.compute_dtype == "float32"
    found = regularizer(model, images, labels)
    double = keras.models.clone_model(model, clone_function=lambda layer: in_float64(layer))
    double.set_weights(model.get_weights())
    expected = regularizer(double, images.astype(np.float64), labels)
    assert_close(found.gradient, ref.arrays(expected.gradient), STOCHASTIC)


def in_float64(layer: Any) -> Any:
    return type(layer).from_config({**layer.get_config(), "dtype": "float64"})


def test_batch_that_cannot_be_split_evenly_is_refused() -> None:
    model, (images, labels) = ref.network("mlp"), ref.batch(12)
    for regularizer in (LocalMinimum(5), SAM(5), GradientNorm(5), FisherTrace(5), LocalMinimum(0)):
        with pytest.raises(InputError, match="num_sub_batches must divide the batch"):
            regularizer(model, images, labels)


@pytest.mark.parametrize(
    ("overrides", "expected", "passes"),
    [
        (["reg=on"], LocalMinimum(8, 1e-4, 10.0), 3),
        (["reg=on", "reg.share_pass=true"], LocalMinimum(8, 1e-4, 10.0, True), 2),
        (["reg=on", "reg.beta=0"], LocalMinimum(8, 1e-4, 0.0), 1),
        (["reg=sam", "reg.rho=0.1"], SAM(1, 0.1), 2),
        (["reg=gradient_norm"], GradientNorm(1, 0.05, 0.8), 2),
        (["reg=fisher_trace"], FisherTrace(8, 5e-4), 4),
        (["reg=off"], None, 1),
    ],
)
def test_configuration_makes_its_regularizer(overrides: Any, expected: Any, passes: Any) -> None:
    config = compose_run(overrides).reg
    assert make_regularizer(config) == expected
    assert config.passes == passes


def test_replicas_divide_the_sub_batches() -> None:
    config = compose_run(["reg=on"]).reg
    assert make_regularizer(config, replicas=2) == LocalMinimum(4)
    with pytest.raises(InputError, match="multiple of the number of devices"):
        make_regularizer(config, replicas=3)
