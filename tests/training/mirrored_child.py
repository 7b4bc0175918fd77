"""Train on two logical CPU devices and on one in this process, and print how far apart they end."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli import runtime
from infomcr_cli.config.compose import compose_run
from infomcr_cli.training import LocalMinimum
from infomcr_cli.training.loop import Position
from infomcr_cli.training.optimizers import CLASSES, make_optimizer
from infomcr_cli.training.regularizers.sam import SAM
from infomcr_cli.training.setup import Setup, set_up
from infomcr_cli.training.state import TrainingState

STEPS = 12
TINY = [
    "data=digits",
    "data.train_size=256",
    "data.batch_size=32",
    "augment=standard",
    "augment.padding=1",
    "model=wrn",
    "model.widths=[4,8]",
    "model.blocks_per_group=1",
    "schedule.epochs=2",
]


def prepared(*overrides: str) -> Setup:
    config = compose_run([*TINY, *overrides])
    runtime.prepare(config)
    return set_up(config)


def take(setup: Setup, first: int, last: int) -> dict[str, float]:
    """Take the steps first, ..., last - 1 and return the means over them."""
    setup.state.reset_means()
    stream = iter(setup.inputs.batches(Position(first, first // setup.schedule.steps_per_epoch)))
    for step in range(first, last):
        regularized = setup.schedule.is_regularized(step)
        (setup.state.regularized_step if regularized else setup.state.plain_step)(*next(stream))
    return setup.state.means()


def distance(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    """Return the largest difference, in units of an array's largest entry where that is above 1."""
    assert ours.keys() == theirs.keys()
    scales = {name: max(1.0, float(np.max(np.abs(array)))) for name, array in theirs.items()}
    return max(float(np.max(np.abs(np.asarray(ours[name], float) - theirs[name]))) / scales[name] for name in ours)


def compared(*overrides: str) -> dict[str, float]:
    """Return the largest differences between two devices and one, and how far a mirrored run's checkpoint carries."""
    two, one = prepared("device=mirrored", *overrides), prepared("device=cpu", *overrides)
    start = one.state.weights()
    means = take(two, 0, STEPS), take(one, 0, STEPS)
    found = {
        "replicas": two.state.strategy.num_replicas_in_sync,
        "weights": distance(two.state.weights(), one.state.weights()),
        "state": distance(two.state.optimizer_state(), one.state.optimizer_state()),
        "means": distance(*means),
        "penalty": means[1]["penalty"],
        "moved": distance(one.state.weights(), start),
        "rate": abs(two.state.learning_rate() - one.state.learning_rate()),
    }
    scores = [setup.inputs.evaluations["test"]() for setup in (two, one)]
    one.state.restore(two.state.weights(), two.state.optimizer_state())
    two.state.restore(one.state.weights(), one.state.optimizer_state())
    take(two, STEPS, STEPS + 2), take(one, STEPS, STEPS + 2)
    return found | {
        "test_loss": abs(scores[0].loss - scores[1].loss),
        "carried": distance(two.state.weights(), one.state.weights()),
    }


def penalised(strategy: tf.distribute.Strategy, regularizer: Any) -> tuple[dict[str, Any], dict[str, float]]:
    """Take a step of a network with penalties on activations before and behind a batch norm, where replicas meet."""
    penalty, layers = keras.regularizers.L2(0.1), keras.layers
    with strategy.scope():
        keras.utils.set_random_seed(3)
        image = keras.Input((6, 6, 2))
        x = layers.BatchNormalization()(layers.Conv2D(4, 3, activity_regularizer=penalty)(image))
        x = layers.BatchNormalization()(layers.Conv2D(5, 3, activity_regularizer=penalty)(x))
        x = layers.Dense(6, trainable=False)(layers.Flatten()(x))
        model = keras.Model(image, layers.Dense(4, kernel_regularizer=penalty)(x))
        optimizer = keras.optimizers.SGD(0.1)
    rng = np.random.default_rng(0)
    state = TrainingState(model, optimizer, regularizer, strategy)
    images, labels = rng.standard_normal((16, 6, 6, 2)).astype(np.float32), rng.integers(0, 4, 16).astype(np.int32)
    state.regularized_step(images, labels)
    return state.weights(), state.means()


def own_losses(regularizers: tuple[Any, Any]) -> dict[str, float]:
    """Return how far a step of a network with added losses on two devices is from that on one."""
    devices = (runtime.strategy("mirrored"), runtime.strategy("cpu"))
    (ours, means), (theirs, expected) = (penalised(*pair) for pair in zip(devices, regularizers, strict=True))
    return {"weights": distance(ours, theirs), "means": distance(means, expected), "own": expected["l2"]}


def steps_of(strategy: tf.distribute.Strategy, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take three steps of a small network with an optimizer that clips, decays and averages."""
    common = ["optimizer.global_clipnorm=0.5", "optimizer.weight_decay=0.1", "optimizer.use_ema=true"]
    config = compose_run([f"optimizer={name}", *common]).optimizer
    rng = np.random.default_rng(0)
    with strategy.scope():
        keras.utils.set_random_seed(3)
        image = keras.Input((6,))
        x = keras.layers.BatchNormalization()(keras.layers.Dense(5, activation="tanh")(image))
        model = keras.Model(image, keras.layers.Dense(4, name="head.dense")(x))
        optimizer = make_optimizer(config, 0.01, model.trainable_variables)
    state = TrainingState(model, optimizer, None, strategy)
    for _ in range(3):
        state.plain_step(rng.standard_normal((16, 6)).astype(np.float32), rng.integers(0, 4, 16).astype(np.int32))
    return state.weights(), state.optimizer_state()


def embedded(strategy: tf.distribute.Strategy) -> dict[str, Any]:
    """Take three plain steps of a network whose embedding has a sparse gradient."""
    rng = np.random.default_rng(0)
    with strategy.scope():
        keras.utils.set_random_seed(3)
        layers = [keras.layers.Embedding(9, 4), keras.layers.Flatten(), keras.layers.Dense(4)]
        model = keras.Sequential([keras.Input((5,), dtype="int32"), *layers])
        optimizer = keras.optimizers.SGD(0.5)
    state = TrainingState(model, optimizer, None, strategy)
    for _ in range(3):
        state.plain_step(rng.integers(0, 9, (16, 5)).astype(np.int32), rng.integers(0, 4, 16).astype(np.int32))
    return state.weights()


def optimizers() -> dict[str, list[float]]:
    """Return how far each optimizer's weights and state on two devices are from those on one."""
    found = {}
    for name in CLASSES:
        both = [steps_of(runtime.strategy(device), name) for device in ("mirrored", "cpu")]
        found[name] = [distance(ours, theirs) for ours, theirs in zip(*both, strict=True)]
    return found


# Half of the sub-batches on each of two devices.
PENALISED = [
    (None, None),
    (LocalMinimum(2, 1e-2), LocalMinimum(4, 1e-2)),
    (LocalMinimum(2, 1e-2, share_pass=True), LocalMinimum(4, 1e-2, share_pass=True)),
    (SAM(2), SAM(4)),
]

if __name__ == "__main__":
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    runs = [compared(*overrides) for overrides in json.loads(sys.argv[1])]
    own = [own_losses(pair) for pair in PENALISED]
    sparse = distance(*(embedded(runtime.strategy(device)) for device in ("mirrored", "cpu")))
    print(json.dumps({"runs": runs, "optimizers": optimizers(), "own_losses": own, "embedded": sparse}))
