"""Stopping by the validation loss: when it happens, and that a resumed run stops at the same epoch."""

from __future__ import annotations

import json
import math
from typing import Any

import keras
import numpy as np
import pytest

from infomcr_cli.training.patience import Patience


def stopped_at(losses: list[float], epochs: int) -> int:
    """Return the epoch after which training stops, counted from 1."""
    patience = Patience(epochs)
    for epoch, loss in enumerate(losses, start=1):
        patience.note(epoch, loss)
        if patience.is_over:
            return epoch
    return len(losses)


def keras_stops_at(losses: list[float], epochs: int) -> int:
    """Return the epoch after which Keras's own callback stops."""
    callback = keras.callbacks.EarlyStopping("val_loss", patience=epochs, mode="min")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    callback.set_model(model)
    callback.on_train_begin()
    model.stop_training = False
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        if model.stop_training:
            return epoch + 1
    return len(losses)


@pytest.mark.parametrize("epochs", [1, 2, 3, 7])
@pytest.mark.parametrize("seed", range(5))
def test_training_stops_where_early_stopping_of_keras_does(epochs: int, seed: int) -> None:
    losses = list(np.random.default_rng(seed).integers(0, 6, 12) / 2)  # with ties
    assert stopped_at(losses, epochs) == keras_stops_at(losses, epochs)


def test_a_loss_that_is_not_a_number_is_no_improvement() -> None:
    assert stopped_at([math.nan, math.nan, math.nan], 2) == 2
    assert stopped_at([1.0, math.nan, 0.5, 0.6, 0.7], 2) == 5


@pytest.mark.parametrize("cut", range(6))
def test_a_record_of_a_checkpoint_goes_on_where_it_was(cut: int) -> None:
    losses = [1.0, 0.9, 0.95, 1.2, 0.91, 0.3]
    whole, before = Patience(3), Patience(3)
    for epoch, loss in enumerate(losses[:cut], start=1):
        before.note(epoch, loss)
    after = Patience(3)
    after.restore(json.loads(json.dumps(before.to_record())))
    for epoch, loss in enumerate(losses, start=1):
        whole.note(epoch, loss)
        if epoch > cut:
            after.note(epoch, loss)
    assert after == whole


@pytest.mark.parametrize("record", [None, [], {"best_loss": "0", "best_epoch": 1, "epoch": 1}, {"best_epoch": 1.5}])
def test_a_record_of_another_form_is_left_alone(record: Any) -> None:
    patience = Patience(2)
    patience.restore(record)
    assert patience == Patience(2)
