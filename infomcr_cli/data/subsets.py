"""Select the subsets of a source that a run uses, and add label noise: stratified, seeded, recorded."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.data import DataConfig
from infomcr_cli.data.dataset import Dataset, Indices, Split
from infomcr_cli.errors import InputError

# Each choice has its own random stream, so that a change of one does not change the others. A stream may equal that of
# an order of batches: [seed, kind] seeds as [seed, kind, 0] does, which is epoch `kind` of a run with the same seed.
VALIDATION, TRAIN, TEST, NOISE = range(1, 5)


def select(dataset: Dataset, config: DataConfig, *, seed: int) -> Dataset:
    """Return the part of `dataset` that `config` asks for.

    A validation split is held out first, then the training and test subsets are taken, then training labels are
    replaced. Subsets keep the order of the source; mean and std stay those of its whole training split.

    Args:
        seed: used if `config.seed` is null.

    Raises:
        InputError: more images are requested than there are.
    """
    check_sizes(config, len(dataset.train), len(dataset.test))
    seed = seed if config.seed is None else config.seed
    kept, held_out = dataset.train, None
    if config.validation_size is not None:
        order = stratified_order(kept.labels, _stream(seed, VALIDATION))
        held_out = kept.take(np.sort(order[: config.validation_size]))
        kept = kept.take(np.sort(order[config.validation_size :]))
    train = _subset(kept, config.train_size, _stream(seed, TRAIN))
    test = _subset(dataset.test, config.test_size, _stream(seed, TEST))
    noisy = None
    if config.label_noise:
        train, noisy = replace_labels(train, config.label_noise, dataset.num_classes, _stream(seed, NOISE))
    chosen = replace(dataset, train=train, test=test, validation=held_out, noisy=noisy)
    if not config.label_noise and {config.train_size, config.test_size, config.validation_size} == {None}:
        return chosen
    return replace(chosen, fingerprint=_fingerprint(chosen, config, seed))


def stratified_order(labels: NDArray[np.int32], rng: np.random.Generator) -> Indices:
    """Return a random permutation in which each prefix has nearly the class shares of the whole.

    In a prefix of m images, a class that is a share s of the whole has m·s images, to within 1 + C·s of C classes.

    The k-th image of a class of n gets the key (k + u)/n with u uniform on [0, 1); keys are then sorted. If all C
    classes have the same size, each C images in a row hold each class once.

    Args:
        labels: class indices, [n].
    """
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # class by class, at random within each
    counts = np.bincount(labels)  # [C]
    within = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)  # k of each image, [n]
    keys = (within + rng.random(len(labels))) / np.repeat(counts, counts)
    return order[np.argsort(keys, kind="stable")]


def replace_labels(
    split: Split, share: float, num_classes: int, rng: np.random.Generator
) -> tuple[Split, NDArray[np.bool_]]:
    """Give round(share·n) images the label of another class, all other classes being equally likely.

    Returns:
        the split, and a mask of the replaced labels, [n].
    """
    noisy = np.zeros(len(split), bool)
    noisy[rng.choice(len(split), round(share * len(split)), replace=False)] = True
    moved = split.labels + rng.integers(1, num_classes, len(split), dtype=np.int32)
    return Split(split.images, np.where(noisy, moved % num_classes, split.labels).astype(np.int32)), noisy


def _stream(seed: int, kind: int) -> np.random.Generator:
    return np.random.default_rng([seed, kind])


def _subset(split: Split, size: int | None, rng: np.random.Generator) -> Split:
    if size is None or size == len(split):
        return split
    return split.take(np.sort(stratified_order(split.labels, rng)[:size]))


def check_sizes(config: DataConfig, train: int, test: int) -> None:
    """Raise InputError if subsets, or one batch, need more images than there are.

    Args:
        train, test: images of the source.
    """
    left = train - (config.validation_size or 0)
    _at_most("data.validation_size", config.validation_size, train - 1)
    _at_most("data.train_size", config.train_size, left)
    _at_most("data.test_size", config.test_size, test)
    check_batch(config.batch_size, config.train_size or left)


def _at_most(name: str, size: int | None, most: int) -> None:
    if size is not None and size > most:
        raise InputError(f"{name} must be at most {most}", received=size, advice=f"Try {name}={max(1, most)}.")


def check_batch(batch_size: int, count: int) -> None:
    """Raise InputError if `count` training images do not fill one batch."""
    if batch_size > count:
        raise InputError(
            "data.batch_size must not exceed the number of training images",
            received=f"batch_size={batch_size}, {count} images",
            advice=f"Try data.batch_size={max(1, count // 2)}.",
        )


def _fingerprint(dataset: Dataset, config: DataConfig, seed: int) -> str:
    """Hash the selection together with the hash of the source."""
    sizes = (config.train_size, config.test_size, config.validation_size)
    digest = hashlib.sha256(f"{dataset.fingerprint} {sizes} {config.label_noise} {seed}".encode())
    digest.update(dataset.train.labels.tobytes())
    return digest.hexdigest()
