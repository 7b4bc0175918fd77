"""Optimizers from a configuration: one step of each equals Keras's own `compile` and `fit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import AUTODIFF, CLOSED_FORM, SINGLE, STOCHASTIC

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.search_path import group_choices
from infomcr_cli.errors import InputError
from infomcr_cli.training.gradients import reported_loss, smoothed_labels, training_loss
from infomcr_cli.training.optimizers import CLASSES, make_optimizer
from infomcr_cli.training.setup import make_regularizer
from infomcr_cli.training.state import TrainingState
from infomcr_cli.training.step import train_step

STEPS, BATCH, FEATURES, CLASS_COUNT = 5, 12, 6, 3
IMAGES = np.random.default_rng(0).normal(size=(STEPS * BATCH, FEATURES)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, CLASS_COUNT, STEPS * BATCH).astype(np.int32)
OPTIMIZERS = list(CLASSES)


def network(l2: float = 0.0) -> keras.Model:
    """Two dense layers with a batch norm between them; the second is called as the head of the architectures is."""
    keras.utils.set_random_seed(3)
    penalty = keras.regularizers.L2(l2) if l2 else None
    image = keras.Input((FEATURES,))
    x = keras.layers.Dense(8, name="first", kernel_regularizer=penalty)(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9, name="norm")(x))
    return keras.Model(image, keras.layers.Dense(CLASS_COUNT, name="head.dense", kernel_regularizer=penalty)(x))


def state_of(*overrides: str, regularizer: Any = None, l2: float = 0.0) -> TrainingState:
    """The training state of a configuration on the small network, at a constant rate."""
    config = compose_run(overrides).optimizer
    model = network(l2)
    optimizer = make_optimizer(config, config.learning_rate, model.trainable_variables)
    return TrainingState(
        model,
        optimizer,
        regularizer,
        label_smoothing=config.label_smoothing,
        overwrite_every=config.ema_overwrite_frequency,
    )


def batches() -> list[tuple[Any, Any]]:
    return [
        (tf.constant(images), tf.constant(labels))
        for images, labels in zip(np.split(IMAGES, STEPS), np.split(LABELS, STEPS), strict=True)
    ]


def fitted(optimizer: keras.Optimizer, loss: Any = None, labels: Any = LABELS, l2: float = 0.0) -> dict[str, Any]:
    """Return the weights after Keras's own `fit` on the same batches."""
    model = network(l2)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss)
    model.fit(IMAGES, labels, batch_size=BATCH, shuffle=False, verbose=0)
    return {variable.path: variable.numpy() for variable in model.weights}


def assert_close(model: keras.Model, expected: dict[str, Any]) -> None:
    for variable in model.weights:
        np.testing.assert_allclose(
            variable.numpy(), expected[variable.path], rtol=AUTODIFF, atol=AUTODIFF, err_msg=variable.path
        )


# Keras's classes with all their settings written out: nothing here is taken from the configuration.
KERAS: dict[str, Callable[..., keras.Optimizer]] = {
    "sgd": lambda **k: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, **k),
    "adam": lambda **k: keras.optimizers.Adam(0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **k),
    "adamw": lambda **k: keras.optimizers.AdamW(0.001, **{"weight_decay": 0.004, **k}),
    "lion": lambda **k: keras.optimizers.Lion(1e-4, beta_1=0.9, beta_2=0.99, **{"weight_decay": 0.04, **k}),
    "muon": lambda **k: keras.optimizers.Muon(
        0.001, adam_weight_decay=k.get("weight_decay", 0.004), exclude_layers=["head.dense"], **k
    ),
}


def test_every_choice_is_tested() -> None:
    assert set(KERAS) == set(group_choices(None)["optimizer"]) == set(OPTIMIZERS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_equal_those_of_keras_fit(name: str) -> None:
    state = state_of(f"optimizer={name}", "optimizer.l2=1e-3", l2=1e-3)
    for batch in batches():
        state.plain_step(*batch)
    assert_close(state.model, fitted(KERAS[name](), l2=1e-3))


SETTINGS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "weight_decay": (["optimizer.weight_decay=0.3"], {"weight_decay": 0.3}),
    "clipnorm": (["optimizer.clipnorm=0.02"], {"clipnorm": 0.02}),
    "global_clipnorm": (["optimizer.global_clipnorm=0.02"], {"global_clipnorm": 0.02}),
    "clipvalue": (["optimizer.clipvalue=0.01"], {"clipvalue": 0.01}),
}


@pytest.mark.parametrize(("name", "setting"), [*(("sgd", setting) for setting in SETTINGS), ("muon", "weight_decay")])
def test_every_common_setting_does_what_keras_does(name: str, setting: str) -> None:
    overrides, keywords = SETTINGS[setting]
    state, plain = state_of(f"optimizer={name}", *overrides), state_of(f"optimizer={name}")
    for batch in batches():
        state.plain_step(*batch)
        plain.plain_step(*batch)
    expected = fitted(KERAS[name](**keywords))
    assert_close(state.model, expected)
    if name == "sgd":  # what is set changes something
        assert np.abs(plain.weights()["first/kernel"] - state.weights()["first/kernel"]).max() > 1e-4


def test_amsgrad_of_adam_equals_keras() -> None:
    state = state_of("optimizer=adam", "optimizer.amsgrad=true", "optimizer.beta_2=0.5")
    for batch in batches():
        state.plain_step(*batch)
    assert_close(state.model, fitted(keras.optimizers.Adam(0.001, beta_2=0.5, amsgrad=True)))
    assert sum(name.endswith("velocity_hat") for name in state.optimizer_state()) == 6


def test_decoupled_decay_shrinks_kernels_alone_and_in_proportion_to_the_rate() -> None:
    """With a gradient of zeros only the decay moves a weight: w (1 - rate * decay)."""
    config = compose_run(["optimizer.weight_decay=0.5", "optimizer.learning_rate=0.2"]).optimizer
    model = network()
    for variable in model.trainable_variables:
        variable.assign(np.full(variable.shape, 2.0))
    optimizer = make_optimizer(config, config.learning_rate, model.trainable_variables)
    optimizer.apply([tf.zeros(v.shape) for v in model.trainable_variables], model.trainable_variables)
    for variable in model.trainable_variables:
        expected = 2.0 * (1 - 0.2 * 0.5) if variable.name == "kernel" else 2.0
        np.testing.assert_allclose(variable.numpy(), expected, rtol=SINGLE, err_msg=variable.path)


@pytest.mark.parametrize("reg", ["off", "on", "sam", "fisher_trace"])
def test_gradient_is_clipped_with_the_regularizer_in_it(reg: str) -> None:
    """At rate 1 without momentum a step is the clipped gradient: no longer than the limit, along the whole gradient."""
    overrides = [f"reg={reg}", *(["reg.num_sub_batches=3"] if reg != "off" else [])]
    regularizer = make_regularizer(compose_run(["data.batch_size=12", *overrides]).reg)
    steps = []
    for limit in (1e9, 0.05):
        plain = ["optimizer.learning_rate=1.0", "optimizer.momentum=0.0", f"optimizer.global_clipnorm={limit}"]
        state = state_of(*plain, regularizer=regularizer)
        before = [variable.numpy() for variable in state.model.trainable_variables]
        state.regularized_step(*batches()[0])
        after = [variable.numpy() for variable in state.model.trainable_variables]
        steps.append(np.concatenate([(a - b).ravel() for a, b in zip(after, before, strict=True)]))
    whole, clipped = steps
    assert np.linalg.norm(whole) > 0.05
    np.testing.assert_allclose(clipped, 0.05 * whole / np.linalg.norm(whole), atol=SINGLE)


@pytest.mark.parametrize("regularizer", [None, "on", "sam"])
def test_label_smoothing_moves_the_weights_and_leaves_the_reported_loss(regularizer: str | None) -> None:
    reg = (
        make_regularizer(compose_run([f"reg={regularizer}", "reg.num_sub_batches=3", "data.batch_size=12"]).reg)
        if (regularizer)
        else None
    )
    scalars = []
    for share in (0.0, 0.3):
        model = network()
        found = train_step(model, keras.optimizers.SGD(0.1), *batches()[0], regularizer=reg, label_smoothing=share)
        scalars.append({name: float(value) for name, value in found.items()} | {"w": model.weights[0].numpy()})
    plain, smoothed = scalars
    assert plain["loss"] == pytest.approx(smoothed["loss"], rel=SINGLE)
    assert plain["accuracy"] == smoothed["accuracy"]
    assert np.abs(plain["w"] - smoothed["w"]).max() > 1e-4
    if reg is not None:  # the regularizer flattens the loss that is minimized
        assert plain["penalty"] != pytest.approx(smoothed["penalty"], rel=STOCHASTIC)


def test_smoothed_training_equals_keras_with_its_own_smoothing() -> None:
    state = state_of("optimizer.label_smoothing=0.2")
    for batch in batches():
        state.plain_step(*batch)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    assert_close(state.model, fitted(KERAS["sgd"](), loss, np.eye(CLASS_COUNT, dtype=np.float32)[LABELS]))


@pytest.mark.parametrize("kind", ["indices", "column", "weights"])
def test_smoothed_loss_is_that_of_keras_for_every_form_of_labels(kind: str) -> None:
    rng = np.random.default_rng(0)
    logits = tf.constant(rng.normal(size=(7, CLASS_COUNT)))
    hard = rng.integers(0, CLASS_COUNT, 7)
    weights = rng.dirichlet([1.0] * CLASS_COUNT, 7) if kind == "weights" else np.eye(CLASS_COUNT)[hard]
    labels = {"indices": hard, "column": hard[:, None], "weights": weights}[kind]
    with smoothed_labels(0.1):
        loss = training_loss(tf.constant(labels), logits)
        plain = reported_loss(tf.constant(labels), logits, loss)
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1, dtype="float64")
    np.testing.assert_allclose(float(loss), float(expected(weights, logits)), rtol=1e-7)
    log_p = np.log(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(float(plain), -(weights * log_p).sum(-1).mean(), rtol=CLOSED_FORM)


def averaged_by_hand(history: list[dict[str, Any]], momentum: float) -> dict[str, Any]:
    """Return the average of the weights after each step, one weight and one step at a time."""
    average = dict(history[0])
    for weights in history[1:]:
        average = {name: momentum * a + (1 - momentum) * weights[name] for name, a in average.items()}
    return average


def test_checkpoint_and_evaluation_have_the_average_of_the_weights() -> None:
    state, plain = state_of("optimizer.use_ema=true", "optimizer.ema_momentum=0.7"), state_of()
    history = []
    before = state.weights()
    assert np.abs(before["first/kernel"]).max() > 0.1  # not the zeros that averages begin with
    for batch in batches():
        state.plain_step(*batch)
        plain.plain_step(*batch)
        history.append(plain.weights())
    trainable = {"first/kernel", "first/bias", "norm/gamma", "norm/beta", "head/dense/kernel", "head/dense/bias"}
    expected = averaged_by_hand(history, 0.7)
    for name, array in state.weights().items():
        wanted = expected[name] if name in trainable else history[-1][name]  # moving statistics are not averaged
        np.testing.assert_allclose(array, wanted, rtol=AUTODIFF, atol=1e-7, err_msg=name)
    raw = [variable.numpy() for variable in state.model.trainable_variables]
    with state.averaged():
        for variable, name in zip(state.model.trainable_variables, ["first/kernel", "first/bias"], strict=False):
            np.testing.assert_array_equal(variable.numpy(), state.weights()[name])
    for variable, kept in zip(state.model.trainable_variables, raw, strict=True):
        np.testing.assert_array_equal(variable.numpy(), kept, err_msg=variable.path)


def test_overwriting_the_weights_by_their_average_equals_keras() -> None:
    state = state_of("optimizer.use_ema=true", "optimizer.ema_momentum=0.7", "optimizer.ema_overwrite_frequency=2")
    optimizer = KERAS["sgd"](use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=2)
    model = network()
    optimizer.build(model.trainable_variables)
    for batch in batches():
        state.plain_step(*batch)
        train_step(model, optimizer, *batch)
    assert_close(state.model, {variable.path: variable.numpy() for variable in model.weights})


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["optimizer.clipnorm=1.0", "optimizer.clipvalue=0.5"], ["one kind of gradient clipping", "clipvalue=0.5"]),
        (["optimizer.ema_momentum=0.9"], ["optimizer.use_ema=true"]),
        (["optimizer.label_smoothing=1.0"], ["less than 1"]),
        (["optimizer.clipnorm=0"], ["greater than 0"]),
        (["optimizer=adamw", "optimizer.weight_decay=null"], ["must be a number"]),
        (["optimizer=lion", "optimizer.beta_1=0"], ["optimizer.beta_1 must be greater than 0"]),
        (["optimizer=muon", "precision=float64"], ["optimizer=muon", "float32"]),
        (["optimizer=adam", "optimizer.momentum=0.9"], ["It is a setting of optimizer=muon, optimizer=sgd."]),
        (["optimizer=adma"], ["Did you mean 'adam'?"]),
        (["label_smoothing=0.1"], ["Did you mean 'optimizer.label_smoothing'?"]),
        (["weight_decay=0.1"], ["Did you mean 'optimizer.weight_decay'?"]),
        (["clip_grad_norm=1.0"], ["Did you mean 'optimizer.global_clipnorm'?"]),
        (["early_stopping=3"], ["Did you mean 'schedule.patience'?"]),
        (["schedule.patience=3"], ["data.validation_size"]),
        (
            ["schedule.patience=3", "data.validation_size=20", "schedule.match_compute=true"],
            ["cannot be combined with early stopping"],
        ),
    ],
)
def test_a_setting_out_of_range_names_the_way_out(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        compose_run(overrides)
    for word in words:
        assert word in str(caught.value)


def test_an_optimizer_that_the_installed_keras_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(keras.optimizers, "Muon")
    with pytest.raises(InputError, match=r"optimizer=muon needs a Keras version that supports muon; got 'Keras 3\."):
        state_of("optimizer=muon")


ALL_AT_ONCE = ["optimizer.use_ema=true", "optimizer.ema_momentum=0.7", "optimizer.label_smoothing=0.1"]
RESUMED = {
    **{name: [f"optimizer={name}", "optimizer.global_clipnorm=0.5", *ALL_AT_ONCE] for name in OPTIMIZERS},
    "amsgrad, overwritten": [
        "optimizer=adam",
        "optimizer.amsgrad=true",
        "optimizer.ema_overwrite_frequency=2",
        *ALL_AT_ONCE,
    ],
}


@pytest.mark.parametrize("name", RESUMED)
def test_training_that_goes_on_from_a_checkpoint_has_the_same_bits(name: str) -> None:
    """In another process Keras may have numbered everything differently: other networks are made in between."""
    whole = state_of(*RESUMED[name])
    for number, batch in enumerate(batches()):
        if number == 3:
            kept = whole.weights(), whole.optimizer_state()
        whole.plain_step(*batch)
    resumed = state_of(*RESUMED[name])
    resumed.plain_step(*batches()[4])  # nothing of what went before may survive
    resumed.restore(*kept)
    for array, other in zip((resumed.weights(), resumed.optimizer_state()), kept, strict=True):
        assert_same(array, other)
    for batch in batches()[3:]:
        resumed.plain_step(*batch)
    assert_same(resumed.weights(), whole.weights())
    assert_same(resumed.optimizer_state(), whole.optimizer_state())


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_mixed_precision_keeps_weights_and_slots_in_float32(name: str) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = state_of(f"optimizer={name}", *ALL_AT_ONCE)
    finally:
        keras.config.set_dtype_policy("float32")
    single = state_of(f"optimizer={name}", *ALL_AT_ONCE)
    for state in (half, single):
        for batch in batches():
            state.plain_step(*batch)
    floating = [v for v in half.optimizer.variables if np.issubdtype(v.numpy().dtype, np.floating)]
    assert {v.dtype for v in floating} == {"float32"}
    for path, array in half.weights().items():
        np.testing.assert_allclose(array, single.weights()[path], atol=0.05, err_msg=path)
