"""A network in training, carried across a checkpoint at any step: the same bits as if it had never stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import AUTODIFF

from infomcr_cli.config.schema.run import ScheduleConfig
from infomcr_cli.errors import InputError
from infomcr_cli.models import named_weights
from infomcr_cli.training.loop import LossNotFiniteError, Position, TrainingInputs, WeightsNotFiniteError, run_epochs
from infomcr_cli.training.regularizers.local_minimum import LocalMinimum
from infomcr_cli.training.schedule import Schedule, learning_rate
from infomcr_cli.training.state import TrainingState

STEPS, EPOCHS = 4, 2
START = Position()
SETTINGS = ScheduleConfig(
    name="piecewise",
    epochs=EPOCHS,
    boundaries=(0.5,),
    factor=0.2,
    phases=(0.25, 0.75),
    warmup_epochs=0.5,
    stop_at_train_loss=None,
    eval_every=1,
    checkpoint_every=1,
    keep_checkpoints=None,
)
SCHEDULE = Schedule(SETTINGS, STEPS, "010")
rng = np.random.default_rng(0)
IMAGES = rng.normal(size=(STEPS * EPOCHS, 8, 6)).astype(np.float32)
LABELS = rng.integers(0, 3, (STEPS * EPOCHS, 8)).astype(np.int32)
BATCHES = [(tf.constant(images), tf.constant(labels)) for images, labels in zip(IMAGES, LABELS, strict=True)]


def make_state() -> TrainingState:
    """A network with moving statistics and dropout, momentum, a regularizer in the middle and a falling rate."""
    keras.utils.set_random_seed(3)
    image = keras.Input((6,), name="image")
    x = keras.layers.Dense(5, name="first")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dropout(0.3, name="drop")(x)
    model = keras.Model(image, keras.layers.Dense(3, kernel_regularizer="l2", name="second")(x))
    optimizer = keras.optimizers.SGD(learning_rate(SCHEDULE, 0.1), momentum=0.9, nesterov=True)
    return TrainingState(model, optimizer, LocalMinimum(2, 1e-2, 10.0))


class Snapshots:
    """Keeps what a checkpoint would hold after every step, and the values of every epoch."""

    def __init__(self, state: TrainingState) -> None:
        self._state = state
        self.after: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self.values: dict[int, dict[str, float]] = {}

    def on_step(self, position: Position, means: Callable[[], dict[str, float]]) -> None:
        self.after[position.step] = self._state.weights(), self._state.optimizer_state()

    def on_epoch(self, position: Position, values: dict[str, float], timing: dict[str, float]) -> None:
        self.values[position.epoch] = values

    def on_milestone(self, position: Position, level: float) -> None: ...

    def on_checkpoint(self, position: Position, train_loss: float) -> None: ...

    def on_epoch_saved(self, position: Position) -> None: ...


def batches(start: Position) -> Iterable[Any]:
    return BATCHES[start.step :]


def train(state: TrainingState, start: Position = START) -> Snapshots:
    snapshots = Snapshots(state)
    run_epochs(state, SCHEDULE, TrainingInputs(batches, 8, {}), snapshots, start)
    return snapshots


@pytest.fixture(scope="module")
def uninterrupted() -> Snapshots:
    return train(make_state())


@pytest.fixture(scope="module")
def other() -> TrainingState:
    """A state that has trained before: nothing of that may survive a restore."""
    state = make_state()
    train(state)
    return state


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def test_same_seed_gives_the_same_bits(uninterrupted: Snapshots) -> None:
    again = train(make_state())
    for step in range(1, STEPS * EPOCHS + 1):
        assert_same(again.after[step][0], uninterrupted.after[step][0])
    assert again.values == uninterrupted.values


@pytest.mark.parametrize("step", range(1, STEPS * EPOCHS))
def test_resumed_at_any_step_equals_the_uninterrupted_run(
    uninterrupted: Snapshots, other: TrainingState, step: int
) -> None:
    other.restore(*uninterrupted.after[step])  # at the end of an epoch with its means: so old pruned runs were saved
    resumed = train(other, Position(step, step // STEPS))
    for later in range(step + 1, STEPS * EPOCHS + 1):
        assert_same(resumed.after[later][0], uninterrupted.after[later][0])
        assert_same(resumed.after[later][1], uninterrupted.after[later][1])
    for epoch, values in resumed.values.items():
        assert values == uninterrupted.values[epoch]


def test_means_are_taken_over_the_steps_of_the_epoch(uninterrupted: Snapshots) -> None:
    state = make_state()
    losses = []
    for number, batch in enumerate(BATCHES[:STEPS]):
        state.reset_means()
        step = state.regularized_step if SCHEDULE.is_regularized(number) else state.plain_step
        step(*batch)
        losses.append(state.means())
    for name in ("loss", "l2", "penalty", "accuracy"):
        expected = np.mean([loss[name] for loss in losses])
        assert uninterrupted.values[1][f"train/{name}"] == pytest.approx(expected, rel=AUTODIFF)


def test_optimizer_state_holds_slots_means_and_dropout_generators() -> None:
    names = make_state().optimizer_state()
    assert {"mean/loss/total", "mean/loss/count", "optimizer/0000/iteration"} <= names.keys()
    assert sum(name.startswith("random/") for name in names) == 1
    assert sum("momentum" in name for name in names) == 6


def test_checkpoint_of_another_network_is_refused_and_changes_nothing() -> None:
    state = make_state()
    before = state.weights()
    weights, optimizer_state = state.weights(), state.optimizer_state()
    weights["second/kernel"] = np.zeros((5, 4), np.float32)
    with pytest.raises(InputError, match="second/kernel"):
        state.restore(weights, optimizer_state)
    assert_same(state.weights(), before)


def test_nan_weights_stop_training_and_report_the_step() -> None:
    state = make_state()
    state.plain_step(*BATCHES[0])
    named_weights(state.model)["first/bias"].assign(np.full(5, np.nan))
    state.plain_step(*BATCHES[1])
    state.plain_step(*BATCHES[2])
    with pytest.raises(LossNotFiniteError, match="the loss of step 1 "):
        run_epochs(state, SCHEDULE, TrainingInputs(batches, 8, {}), Snapshots(state), Position(3, 0))


def test_weights_that_the_last_step_of_an_epoch_makes_nan_stop_training() -> None:
    """The loss of that step, which is the one before it, is finite."""

    class Breaking(Snapshots):
        def on_step(self, position: Position, means: Any) -> None:
            if position.step == STEPS:
                named_weights(self._state.model)["first/bias"].assign(np.full(5, np.nan))

    state = make_state()
    with pytest.raises(WeightsNotFiniteError, match=f"the weights after step {STEPS} "):
        run_epochs(state, SCHEDULE, TrainingInputs(batches, 8, {}), Breaking(state), Position())


def test_a_penalty_that_overflows_stops_training_though_the_cross_entropy_is_finite() -> None:
    state = make_state()
    named_weights(state.model)["second/kernel"].assign(np.full((5, 3), 3e19))  # its square is beyond float32
    state.plain_step(*BATCHES[0])
    assert np.isfinite(state.means()["loss"])
    with pytest.raises(LossNotFiniteError, match="the loss of step 0 "):
        run_epochs(state, SCHEDULE, TrainingInputs(batches, 8, {}), Snapshots(state), Position(1, 0))
