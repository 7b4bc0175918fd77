"""Samples in the shape that a network takes, whatever is scaled about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tolerances import AUTODIFF

from infomcr_cli.config.schema.data import Scaling
from infomcr_cli.data import Dataset
from infomcr_cli.data.arrays import dataset_of, split_of
from infomcr_cli.data.scaling import scaled
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.exporting import with_scaling
from infomcr_cli.exchange.fitting import fitted
from infomcr_cli.exchange.importing import better_scaling
from infomcr_cli.exchange.sources import WeightSource
from infomcr_cli.exchange.trained_network import trained_network

layers = keras.layers
LABELS = np.arange(12) % 2


def dataset(shape: tuple[int, ...], scaling: Scaling = "raw") -> Dataset:
    inputs = np.random.default_rng(0).normal(3, range(1, shape[-1] + 1), (12, *shape)).astype(np.float32)
    splits = [split_of(inputs, LABELS, name) for name in ("train", "test")]
    return scaled(dataset_of("npz", splits[0], splits[1], ("0", "1")), scaling)


@pytest.mark.parametrize("scaling", ["raw", "unit", "standardised"])
@pytest.mark.parametrize("shape", [(6,), (5, 4)])
def test_an_axis_that_is_added_for_the_network_leaves_the_scaling_as_it_was(
    shape: tuple[int, ...], scaling: Scaling
) -> None:
    given = dataset(shape, scaling)
    network = keras.Sequential([keras.Input((*shape, 1)), layers.Flatten(), layers.Dense(2)])
    fit = fitted(given, network)
    samples: Any = given.train.images
    assert fit.standardise(fit.train.images) == pytest.approx(given.standardise(samples)[..., None])
    raw, logits = np.asarray(fit.train.images), network(fit.standardise(fit.train.images))
    assert np.asarray(with_scaling(network, fit)(raw)) == pytest.approx(np.asarray(logits), abs=AUTODIFF)


@pytest.mark.parametrize("unit", [1e-9, 1e25])
def test_a_scaling_that_keras_does_not_have_is_refused(unit: float) -> None:
    inputs = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32) * np.float32(unit)
    splits = [split_of(inputs, LABELS, name) for name in ("train", "test")]
    given = dataset_of("npz", splits[0], splits[1], ("0", "1"))
    with pytest.raises(InputError, match="Export with --raw"):
        with_scaling(keras.Sequential([keras.Input((6,)), layers.Dense(2)]), given)


def test_scales_are_compared_in_batches_of_the_given_size() -> None:
    sizes = []

    class Network:
        inputs = None

        def __call__(self, inputs: Any, training: bool) -> Any:
            sizes.append(len(inputs))
            return np.eye(2)[np.array([0, 1] * 6)[: len(inputs)]]  # right for batches of an even size

    hint = better_scaling(Network(), dataset((6,), "standardised"), "raw", 4)  # type: ignore[arg-type]
    assert (hint, set(sizes), sum(sizes)) == (None, {4}, 4 * 12)


def of_any_size() -> keras.Model:
    image = outputs = keras.Input((None, None, 3))
    for _ in range(4):
        outputs = layers.MaxPooling2D(2)(outputs)
    return keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(outputs)))


def test_a_network_of_any_image_size_is_checked_at_the_size_of_the_data(tmp_path: Path) -> None:
    of_any_size().save(tmp_path / "net.keras")
    source = WeightSource(tmp_path / "net.keras")
    config: Any = None
    assert trained_network(source, config, dataset((16, 16, 3))).model.output_shape == (None, 2)
    with pytest.raises(InputError, match=r"net\.keras must hold a network that takes the data"):
        trained_network(source, config, dataset((8, 8, 3)))


def test_labels_that_count_from_1_are_named_where_they_do_not_fit(tmp_path: Path) -> None:
    given = dataset((6,))
    shifted = [split_of(np.asarray(given.train.images), LABELS + 1, name) for name in ("train", "test")]
    network = keras.Sequential([keras.Input((6,)), layers.Dense(2)])
    with pytest.raises(InputError, match="No training label is 0"):
        fitted(dataset_of("npz", shifted[0], shifted[1], ("0", "1", "2")), network)


def test_one_hot_labels_are_refused_with_the_way_to_class_indices() -> None:
    with pytest.raises(InputError, match=r"argmax\(axis=1\)"):
        split_of(np.zeros((12, 6), np.float32), np.eye(2)[LABELS], "train")
