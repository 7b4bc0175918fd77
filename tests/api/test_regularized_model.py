"""`RegularizedModel`: fit takes the steps of `train_step`, whatever else Keras does in fit."""

from __future__ import annotations

import subprocess
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import AUTODIFF, FLOAT32, SINGLE, STOCHASTIC

from infomcr_cli import SAM, FisherTrace, GradientNorm, LocalMinimum, RegularizedModel, train_step
from infomcr_cli.errors import InputError
from infomcr_cli.models import named_weights
from tests.training.golden import PART, Golden, relative_error

L = keras.layers
REGULARIZERS = [
    None,
    LocalMinimum(4),
    LocalMinimum(4, share_pass=True),
    SAM(2),
    GradientNorm(2),
    FisherTrace(4),
    FisherTrace(4, share_pass=True),
]


def network(**options: Any) -> keras.Model:
    """A small network with a penalty on weights and one on activations."""
    keras.utils.set_random_seed(1)
    image, decay = keras.Input((6, 6, 2)), keras.regularizers.L2(1e-2)
    x = L.Dense(8, "relu", kernel_regularizer=decay, activity_regularizer=decay)(L.Flatten()(image))
    return keras.Model(image, L.Dense(3, **options)(x))


def convolutional() -> keras.Model:
    """A network with batch norm, and the penalties too."""
    keras.utils.set_random_seed(1)
    image = keras.Input((6, 6, 2))
    x = L.BatchNormalization()(L.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L2(1e-2))(image))
    x = L.Dense(8, "relu", activity_regularizer=keras.regularizers.L2(1e-3))(L.Flatten()(x))
    return keras.Model(image, L.Dense(3)(x))


def data(count: int = 32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.standard_normal((count, 6, 6, 2)).astype(np.float32), rng.integers(0, 3, count)


def momentum() -> keras.Optimizer:
    return keras.optimizers.SGD(0.1, momentum=0.9)


def fitted(regularizer: Any, make: Any = network, optimizer: Any = momentum, **options: Any) -> Any:
    """A model after two epochs of two batches of 16, in order, and its history."""
    model, (x, y) = RegularizedModel(make(), regularizer), data()
    model.compile(optimizer(), **options)
    return model, model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history


@cache
def stepped(regularizer: Any, make: Any = network, optimizer: Any = momentum) -> Any:
    """A network after the same steps by `train_step`, and their scalars."""
    model, chosen, (x, y) = make(), optimizer(), data()

    @tf.function
    def step(images: Any, labels: Any) -> Any:
        return train_step(model, chosen, images, labels, regularizer=regularizer)

    parts = [slice(0, 16), slice(16, 32)] * 2
    scalars = [{k: float(v) for k, v in step(x[part], y[part]).items()} for part in parts]
    chosen.finalize_variable_values(model.trainable_weights)  # as fit does with averaged weights
    return model, scalars


def assert_same(got: keras.Model, expected: keras.Model, tolerance: float = 1e-6) -> None:
    for one, other in zip(got.weights, expected.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance, err_msg=other.path)


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=str)
def test_fit_takes_the_steps_of_train_step(regularizer: Any) -> None:
    model, history = fitted(regularizer, convolutional, metrics=["accuracy"])
    expected, scalars = stepped(regularizer, convolutional)
    assert_same(model.network, expected)
    second = scalars[2:]
    assert history["cross_entropy"][1] == pytest.approx(np.mean([s["loss"] for s in second]), rel=AUTODIFF)
    assert history["loss"][1] == pytest.approx(np.mean([s["loss"] + s["l2"] for s in second]), rel=AUTODIFF)
    assert history["penalty"][1] == pytest.approx(np.mean([s["penalty"] for s in second]), rel=FLOAT32, abs=1e-9)
    assert history["accuracy"][1] == pytest.approx(np.mean([s["accuracy"] for s in second]))


@pytest.mark.parametrize(
    ("regularizer", "options"),
    [
        (LocalMinimum(4), {"run_eagerly": True}),
        (SAM(2), {"run_eagerly": True}),
        (LocalMinimum(4), {"steps_per_execution": 2}),
        (LocalMinimum(4), {"jit_compile": True}),
        (FisherTrace(4, share_pass=True), {"jit_compile": True}),
    ],
    ids=str,
)
def test_ways_to_execute_change_nothing(regularizer: Any, options: dict[str, Any]) -> None:
    model, _ = fitted(regularizer, **options)
    assert_same(model.network, stepped(regularizer)[0], 1e-4)


def test_without_a_regularizer_fit_equals_plain_keras() -> None:
    model, history = fitted(None, metrics=["accuracy"])
    plain, (x, y) = network(), data()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plain.compile(momentum(), loss, metrics=["accuracy"])
    expected = plain.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    assert_same(model.network, plain)
    for name in ("loss", "accuracy"):
        assert history[name] == pytest.approx(expected[name], rel=AUTODIFF)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(plain.evaluate(x, y, verbose=0), rel=AUTODIFF)
    np.testing.assert_allclose(model.predict(x, verbose=0), plain.predict(x, verbose=0), rtol=FLOAT32, atol=AUTODIFF)


def test_an_inactive_regularizer_takes_any_batch() -> None:
    x, y = data(21)
    model = RegularizedModel(network(), LocalMinimum(4, beta=0.0))
    model.compile("sgd")
    assert model.fit(x, y, batch_size=16, verbose=0).history["penalty"] == [0.0]


@pytest.mark.parametrize("kind", ["plain", "reg"])
def test_fit_gives_the_golden_trajectory(kind: str) -> None:
    golden = Golden(PART)
    study = LocalMinimum(golden.meta["sub_batches"], golden.meta["alpha"], golden.meta["beta"])
    model = RegularizedModel(golden.network(), study if kind == "reg" else None)
    model.compile(golden.optimizer())
    size = len(golden.labels)
    found = model.fit(golden.images, golden.labels, batch_size=size, epochs=3, shuffle=False, verbose=0).history
    history = np.array([found["cross_entropy"], np.subtract(found["loss"], found["cross_entropy"]), found["penalty"]])
    np.testing.assert_allclose(history.T, golden.arrays[f"{kind}_history"], rtol=STOCHASTIC, atol=SINGLE)
    weights = named_weights(model.network)
    for name, expected in golden.named(f"{kind}_w3").items():
        bound = 1e-2 if name.endswith("moving_variance") else 5e-3
        assert relative_error(weights[name], expected) < bound, name


def test_tf_data_callbacks_and_validation_work_as_in_keras(tmp_path: Path) -> None:
    x, y = data()
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(16, drop_remainder=True)
    model = RegularizedModel(network(), LocalMinimum(4))
    model.compile(momentum(), metrics=["accuracy"])
    best, log = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras"), keras.callbacks.CSVLogger(tmp_path / "log")
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    found = model.fit(batches, epochs=2, validation_data=(x, y), callbacks=[best, log, backup], verbose=0)
    assert set(found.history) == {"loss", "cross_entropy", "penalty", "accuracy", "val_loss", "val_accuracy"}
    assert_same(model.network, stepped(LocalMinimum(4))[0])
    assert_same(keras.models.load_model(tmp_path / "best.keras"), model.network, 0)
    assert "penalty" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("options", [{"clipnorm": 0.1}, {"global_clipnorm": 0.1}, {"clipvalue": 0.01}], ids=str)
def test_optimizers_clip_the_whole_gradient(options: dict[str, Any]) -> None:
    optimizer = partial(keras.optimizers.SGD, 0.1, **options)
    model, _ = fitted(LocalMinimum(4), optimizer=optimizer)
    assert_same(model.network, stepped(LocalMinimum(4), optimizer=optimizer)[0])
    assert not np.allclose(model.network.get_weights()[0], stepped(LocalMinimum(4))[0].get_weights()[0], atol=FLOAT32)


@pytest.mark.parametrize("optimizer", [keras.optimizers.AdamW, partial(keras.optimizers.SGD, 0.1, use_ema=True)])
def test_other_optimizers_take_the_same_steps(optimizer: Any) -> None:
    model, _ = fitted(LocalMinimum(4), optimizer=optimizer)
    assert_same(model.network, stepped(LocalMinimum(4), optimizer=optimizer)[0], 1e-5)


@pytest.mark.parametrize("regularizer", [None, LocalMinimum(4), SAM(2)], ids=str)
def test_a_scaled_loss_takes_the_step_of_the_loss(regularizer: Any) -> None:
    model, _ = fitted(regularizer, optimizer=lambda: keras.optimizers.LossScaleOptimizer(momentum(), 1024.0))
    assert_same(model.network, stepped(regularizer)[0], 1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_with_a_finite_loss(policy: str) -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        inner = convolutional()
    finally:
        keras.config.set_dtype_policy(before)
    model, (x, y) = RegularizedModel(inner, LocalMinimum(4)), data()
    model.compile(momentum(), metrics=["accuracy"])
    assert hasattr(model.optimizer, "inner_optimizer") == (policy == "mixed_float16")
    start = [np.array(v) for v in convolutional().trainable_weights]
    history = model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0).history
    scalars = stepped(LocalMinimum(4), convolutional)[1]
    expected = [np.mean([s["loss"] for s in part]) for part in (scalars[:2], scalars[2:])]
    assert history["cross_entropy"] == pytest.approx(expected, rel=0.05)
    moved = [np.abs(np.array(a) - b).max() for a, b in zip(inner.trainable_weights, start, strict=True)]
    assert min(moved) > 0
    assert {v.dtype for v in inner.trainable_weights} == {"float32"}


def test_a_saved_file_is_loaded_by_plain_keras(tmp_path: Path) -> None:
    model, _ = fitted(LocalMinimum(4))
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    np.save(tmp_path / "x.npy", data()[0])
    script = f"""
import sys, keras, numpy as np
model = keras.models.load_model({str(tmp_path / "m.keras")!r})
assert not [name for name in sys.modules if name.startswith("infomcr")]
np.save({str(tmp_path / "z.npy")!r}, model(np.load({str(tmp_path / "x.npy")!r})))
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "z.npy"), model.network(data()[0]), rtol=AUTODIFF, atol=SINGLE)
    again = RegularizedModel(network(), LocalMinimum(4))
    again.load_weights(tmp_path / "m.weights.h5")
    assert_same(again.network, model.network, 0)


def test_save_model_of_keras_keeps_the_regularizer(tmp_path: Path) -> None:
    """And the optimizer with its state: training continues as if it had not been interrupted."""
    model, _ = fitted(SAM(2, rho=0.1), metrics=["accuracy"])
    keras.saving.save_model(model, tmp_path / "whole.keras")
    again = keras.models.load_model(tmp_path / "whole.keras")
    assert isinstance(again, RegularizedModel)
    assert again.regularizer == SAM(2, rho=0.1)
    assert_same(again.network, model.network, 0)
    x, y = data()
    for one in (model, again):
        one.fit(x, y, batch_size=16, shuffle=False, verbose=0)
    assert_same(again.network, model.network)
    assert again.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0))


def test_the_regularizer_may_begin_between_epochs() -> None:
    class Begin(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.regularizer = LocalMinimum(4) if epoch == 1 else None

    model, (x, y) = RegularizedModel(network()), data()
    model.compile(momentum())
    history = model.fit(x, y, batch_size=16, epochs=2, shuffle=False, callbacks=[Begin()], verbose=0).history
    assert history["penalty"][0] == 0 < history["penalty"][1]


def test_networks_of_several_named_inputs_are_regularized() -> None:
    keras.utils.set_random_seed(0)
    inputs = {"a": keras.Input((4,), name="a"), "b": keras.Input((3,), name="b")}
    joined = L.Concatenate()([inputs["a"], inputs["b"]])
    model, rng = RegularizedModel(keras.Model(inputs, L.Dense(3)(joined)), LocalMinimum(2)), np.random.default_rng(0)
    single = RegularizedModel(keras.Sequential([keras.Input((7,)), L.Dense(3)]), LocalMinimum(2))
    single.network.set_weights(model.network.get_weights())
    x = {"a": rng.standard_normal((8, 4)), "b": rng.standard_normal((8, 3))}
    y = rng.integers(0, 3, 8)
    for one, given in ((model, x), (single, np.concatenate([x["a"], x["b"]], 1))):
        one.compile("sgd")
        one.fit(given, y, batch_size=4, shuffle=False, verbose=0)
    assert_same(model.network, single.network)


def test_a_sequential_network_without_input_is_built_by_its_data() -> None:
    model, (x, y) = RegularizedModel(keras.Sequential([L.Flatten(), L.Dense(3)]), LocalMinimum(4)), data()
    model.compile("adam", metrics=["accuracy"])
    assert np.isfinite(model.fit(x, y, batch_size=16, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("labels", [lambda y: y[:, None], lambda y: np.eye(3)[y], lambda y: y.astype(np.float32)])
def test_forms_of_labels_change_nothing(labels: Any) -> None:
    x, y = data()
    model, _ = fitted(LocalMinimum(4), metrics=["accuracy"])
    other = RegularizedModel(network(), LocalMinimum(4))
    other.compile(momentum(), metrics=["accuracy"])
    other.fit(x, labels(y), batch_size=16, epochs=2, shuffle=False, verbose=0)
    assert_same(other.network, model.network, 1e-5)
    assert other.evaluate(x, labels(y), verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0), rel=AUTODIFF)


def test_batches_that_sub_batches_do_not_divide_are_refused_before_training() -> None:
    model, (x, y) = RegularizedModel(network(), LocalMinimum(4)), data(38)
    model.compile("sgd")
    before = [np.array(v) for v in model.weights]
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(6, drop_remainder=True)
    for given, options in (((x, y), {"batch_size": 16}), ((x, y), {"batch_size": 6}), ((batches,), {})):
        with pytest.raises(InputError, match=r"num_sub_batches must divide every batch; .*a batch of 6 samples"):
            model.fit(*given, verbose=0, **options)
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    # What remains for training after the split, 32 of 38, is whole batches.
    model.fit(x, y, batch_size=16, validation_split=0.15, verbose=0)


def test_an_incomplete_batch_that_shows_late_says_what_to_do() -> None:
    model, (x, y) = RegularizedModel(network(), LocalMinimum(4)), data(22)
    model.compile("sgd")
    with pytest.raises(tf.errors.InvalidArgumentError, match="num_sub_batches=4 must divide every batch"):
        model.fit(tf.data.Dataset.from_tensor_slices((x, y)).batch(16), verbose=0)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"sample_weight": np.ones(32)}, "sample_weight"),
        ({"class_weight": {0: 2.0, 1: 1.0, 2: 1.0}}, "class_weight"),
    ],
)
def test_weights_of_samples_are_refused(options: dict[str, Any], word: str) -> None:
    model, (x, y) = RegularizedModel(network(), LocalMinimum(4)), data()
    model.compile("sgd")
    with pytest.raises(InputError, match=f"weights all samples equally; got '{word}'"):
        model.fit(x, y, verbose=0, **options)
    weighted = tf.data.Dataset.from_tensor_slices((x, y, np.ones(32, np.float32))).batch(16)
    with pytest.raises(InputError, match="weights all samples equally"):
        model.fit(weighted, verbose=0)
    with pytest.raises(InputError, match="weights all samples equally"):
        model.train_on_batch(x, y, sample_weight=np.ones(32))


@pytest.mark.parametrize(
    "loss",
    [
        "mse",
        "sparse_categorical_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"),
        keras.losses.MeanSquaredError(),
    ],
)
def test_another_loss_is_refused(loss: Any) -> None:
    with pytest.raises(InputError, match="must be the mean cross-entropy of logits"):
        RegularizedModel(network()).compile("sgd", loss)


@pytest.mark.parametrize("regularizer", [None, LocalMinimum(4)], ids=str)
def test_labels_are_smoothed_as_in_keras_and_in_train_step(regularizer: Any) -> None:
    x, y = data()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    model, history = fitted(regularizer, loss=loss)
    plain = network()
    if regularizer is None:
        plain.compile(momentum(), loss)
        expected = plain.fit(x, np.eye(3)[y], batch_size=16, epochs=2, shuffle=False, verbose=0).history
        assert history["loss"] == pytest.approx(expected["loss"], rel=AUTODIFF)
    else:
        optimizer = momentum()
        for part in [slice(0, 16), slice(16, 32)] * 2:
            train_step(plain, optimizer, x[part], y[part], regularizer=regularizer, label_smoothing=0.2)
    assert_same(model.network, plain, 1e-5)
    plain.compile("sgd", loss)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(plain.evaluate(x, np.eye(3)[y], verbose=0), rel=AUTODIFF)
    assert history["cross_entropy"][0] < history["loss"][0]


def test_labels_that_are_no_classes_are_no_loss_of_zero_in_evaluate() -> None:
    model, (x, y) = RegularizedModel(network()), data()
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1))
    with pytest.raises(tf.errors.InvalidArgumentError, match="outside the valid range"):
        model.evaluate(x, y + 1, verbose=0)


def test_cross_entropy_of_logits_may_be_named() -> None:
    for loss in (keras.losses.SparseCategoricalCrossentropy, keras.losses.CategoricalCrossentropy):
        RegularizedModel(network()).compile("sgd", loss(from_logits=True))


def test_a_network_that_ends_in_softmax_is_refused() -> None:
    model, (x, y) = RegularizedModel(network(activation="softmax"), LocalMinimum(4)), data()
    model.compile("sgd")
    with pytest.raises(InputError, match="logits, not probabilities"):
        model.fit(x, y, batch_size=16, verbose=0)


@pytest.mark.parametrize("wrong", [-1, 3, 1.5])
def test_labels_that_are_no_classes_are_refused_before_training(wrong: Any) -> None:
    model, (x, y) = RegularizedModel(network(), LocalMinimum(4)), data()
    model.compile("sgd")
    y = y.astype(np.float64)
    y[7] = wrong
    with pytest.raises(InputError, match="labels must be"):
        model.fit(x, y, batch_size=16, verbose=0)


@pytest.mark.parametrize("arguments", [("net", None), (L.Dense(3), None)])
def test_what_is_no_network_is_refused(arguments: Any) -> None:
    with pytest.raises(InputError, match=r"network must be a plain keras\.Model"):
        RegularizedModel(*arguments)
    with pytest.raises(InputError, match="regularizer must be an object"):
        RegularizedModel(network(), LocalMinimum)  # type: ignore[arg-type]


def test_frozen_layers_stay_as_they_are() -> None:
    inner = network()
    inner.layers[1].trainable = False
    before = [np.array(v) for v in inner.layers[1].weights]
    model, (x, y) = RegularizedModel(inner, LocalMinimum(4)), data()
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(x, y, batch_size=16, verbose=0)
    for variable, value in zip(inner.layers[1].weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.slow
def test_two_devices_share_a_fit() -> None:
    child = Path(__file__).parent / "mirrored_fit.py"
    found = subprocess.run([sys.executable, child], capture_output=True, text=True, check=True)
    assert max(map(float, found.stdout.split())) < 1e-6
