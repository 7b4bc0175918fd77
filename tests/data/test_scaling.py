"""data.scaling: what a network is given of a pixel, in training and in measurement alike."""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import AUTODIFF

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import evaluation_batches, load_dataset, training_batches
from infomcr_cli.data.scaling import FIXED, scaled


@pytest.mark.parametrize("scaling", ["raw", "unit", "symmetric", "standardised"])
def test_training_and_measurement_give_the_same_scale(scaling: str) -> None:
    config = compose_run(["data.train_size=64", "data.test_size=20", "data.batch_size=64", f"data.scaling={scaling}"])
    dataset = load_dataset(config.data, seed=0)
    pixels = dataset.train.pixels.astype(np.float64)
    mean, std = FIXED.get(scaling, (dataset.mean, dataset.std))
    expected = np.sort(((pixels - mean) / std).ravel())
    (trained, _) = next(iter(training_batches(dataset, config.data, config.augment, seed=0, epoch=0)))
    (measured, _) = next(iter(evaluation_batches(dataset.train, dataset, 64)))
    assert np.allclose(np.sort(np.ravel(trained)), expected, atol=AUTODIFF)
    assert np.allclose(np.sort(np.ravel(measured)), expected, atol=AUTODIFF)


def test_the_ends_of_each_scale_are_as_its_name_says() -> None:
    dataset = load_dataset(compose_run([]).data, seed=0)
    ends = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    for scaling, wanted in {"raw": (0, 255), "unit": (0, 1), "symmetric": (-1, 1)}.items():
        assert np.ravel(scaled(dataset, scaling).standardise(ends)).tolist() == list(wanted)
