"""Check that a network fits a data set: input shapes, and one logit per class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras

from infomcr_cli.data.dataset import Dataset, Split
from infomcr_cli.data.inputs import Inputs
from infomcr_cli.errors import InputError

Shape = tuple[Any, ...]


def fitted(dataset: Dataset, model: keras.Model) -> Dataset:
    """Return a data set whose samples have the shape that a network takes.

    A last axis of 1, the channel of grey images, is added or dropped if nothing else differs. Arrays by name must have
    the names of the network's inputs; a single array goes to a network with one input, whatever its name.

    Raises:
        InputError: the shapes or names do not fit, or the network has fewer logits than there are classes.
    """
    if not getattr(model, "inputs", None):  # a subclassed network, which has no inputs before a call
        return dataset
    inputs = input_shapes(model)
    _check_classes(dataset, model)
    images: Any = dataset.train.images
    if isinstance(images, Inputs):
        if len(inputs) == 1 and len(images.arrays) == 1:
            return fitted(_with(dataset, lambda held: next(iter(held.arrays.values()))), model)
        given = dataset.input_shape
        if given.keys() != inputs.keys() or not all(_agree(given[name], inputs[name]) for name in inputs):
            raise _unfit(", ".join(f"{name} {shape}" for name, shape in given.items()), inputs)
        return dataset
    if len(inputs) > 1:
        raise _unfit(f"one array {dataset.input_shape}", inputs)
    return _with_axis(dataset, dataset.input_shape, next(iter(inputs.values())))


def input_shapes(model: keras.Model) -> dict[str, Shape]:
    """Return the shape of one sample of each input of a network, by Keras's input name."""
    structure = input_structure(model)
    if isinstance(structure, Mapping):
        return {name: tuple(tensor.shape[1:]) for name, tensor in structure.items()}
    return {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}


def input_structure(model: keras.Model) -> Any:
    """Return the symbolic inputs of a network: one tensor, or several in a list or by name."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def _check_classes(dataset: Dataset, model: keras.Model) -> None:
    shape = model.output_shape
    if not isinstance(shape, tuple) or len(shape) != 2 or not shape[1] or shape[1] < max(2, dataset.num_classes):
        begins_at_1 = 0 not in dataset.train.labels
        raise InputError(
            "a network must output one logit per class of the data, at least two",
            received=f"outputs {shape}, {dataset.num_classes} classes",
            advice="No training label is 0, but classes are numbered from 0." if begins_at_1 else None,
        )


def _with_axis(dataset: Dataset, given: Shape, wanted: Shape) -> Dataset:
    if _agree(given, wanted):
        return dataset
    # images[:] decodes images that are still in their files.
    if given[-1:] == (1,) and _agree(given[:-1], wanted):
        return _with(dataset, lambda images: images[:].reshape(images.shape[:-1]))  # [n, ..., 1] -> [n, ...]
    if wanted[-1:] == (1,) and _agree(given, wanted[:-1]):
        return replace(_with(dataset, lambda images: images[:][..., None]), has_added_axis=True)  # -> [n, ..., 1]
    raise _unfit(str(given), {"input": wanted})


def _with(dataset: Dataset, change: Any) -> Dataset:
    splits = (dataset.train, dataset.test, dataset.validation)
    train, test, validation = (split and Split(change(split.images), split.labels) for split in splits)
    assert train is not None
    assert test is not None
    return replace(dataset, train=train, test=test, validation=validation)


def _agree(given: Shape, wanted: Shape) -> bool:
    """Return whether shapes agree; an axis of the network may be None."""
    return len(given) == len(wanted) and all(w is None or g == w for g, w in zip(given, wanted, strict=True))


def _unfit(given: str, inputs: Mapping[str, Shape]) -> InputError:
    wanted = ", ".join(f"{name} {shape}" for name, shape in inputs.items())
    return InputError("the data must fit the inputs of the network", received=given, accepted=[wanted])
