"""A subclassed network is exported as the only layer of a functional one, whatever its inputs are."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from infomcr_cli.data.arrays import dataset_of, split_of
from infomcr_cli.exchange.exporting import as_functional

L = keras.layers


class TwoInputs(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = L.Embedding(9, 2), L.Dense(3)

    def call(self, given: Any, training: bool | None = None) -> Any:
        return self.head(keras.ops.concatenate([given["vector"], keras.ops.mean(self.words(given["words"]), 1)], 1))


class OneOfTokens(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = L.Embedding(9, 2), L.Dense(3)

    def call(self, given: Any, training: bool | None = None) -> Any:
        return self.head(keras.ops.mean(self.words(given), 1))


RNG = np.random.default_rng(0)
INPUTS = {"vector": RNG.normal(size=(6, 4)).astype("f"), "words": RNG.integers(0, 9, (6, 3))}


@pytest.mark.parametrize(("kind", "inputs"), [(TwoInputs, INPUTS), (OneOfTokens, INPUTS["words"])])
def test_a_subclassed_network_keeps_its_inputs_and_its_logits(kind: type[keras.Model], inputs: Any) -> None:
    split = split_of(inputs, np.arange(6) % 3, "train")
    dataset, network = dataset_of("npz", split, split, ("a", "b", "c")), kind()
    samples = dataset.standardise(split.images[:4])
    found = as_functional(network, dataset)
    np.testing.assert_array_equal(found(samples), network(samples))
    types = keras.tree.map_structure(lambda one: one.dtype, found.input)
    assert types == ({"vector": "float32", "words": "int32"} if kind is TwoInputs else "int32")
