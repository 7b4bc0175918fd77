"""The untrained network made anew is, bit for bit, the one that training begins with."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import load_dataset
from infomcr_cli.experiment.network import initial_weights, network_settings
from infomcr_cli.models import build_model, named_weights

SMALL = ("model.depth=10", "model.width=0.25", "data.train_size=64", "seed=3")


def as_training_does(config):
    """The order of `runtime.prepare` and `training.setup.set_up`."""
    keras.utils.set_random_seed(config.seed)
    dataset = load_dataset(config.data, seed=config.seed)
    model = build_model(**network_settings(config, dataset))
    return dataset, {name: np.asarray(v) for name, v in named_weights(model).items()}


def test_initial_weights_equal_those_that_training_starts_from() -> None:
    config = compose_run(SMALL)
    dataset, truth = as_training_does(config)
    found = initial_weights(config, dataset)
    assert found.keys() == truth.keys()
    for name, array in truth.items():
        np.testing.assert_array_equal(found[name], array)


def test_another_seed_gives_other_weights() -> None:
    config = compose_run(SMALL)
    dataset, truth = as_training_does(config)
    other = initial_weights(config.model_copy(update={"seed": 4}), dataset)
    assert np.abs(other["stem/conv/kernel"] - truth["stem/conv/kernel"]).max() > 0


@pytest.mark.parametrize("precision", ["float64", "mixed_bfloat16"])
def test_initial_weights_use_the_precision_of_the_run_and_restore_that_of_the_process(precision: str) -> None:
    config = compose_run([*SMALL, f"precision={precision}"])
    before = keras.config.dtype_policy()
    found = initial_weights(config, load_dataset(config.data, seed=0))
    assert found["stem/conv/kernel"].dtype == (np.float64 if precision == "float64" else np.float32)
    assert keras.config.dtype_policy() == before


def test_run_with_start_has_no_initial_weights() -> None:
    config = compose_run(SMALL)
    assert initial_weights(config.model_copy(update={"start": "runs/other"}), None) is None
