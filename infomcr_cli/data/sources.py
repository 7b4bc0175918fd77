"""The word after `data=` → the source that answers to it."""

from __future__ import annotations

import hashlib

import numpy as np

from infomcr_cli.config.data_schema import DataConfig
from infomcr_cli.data.digits import TEST, TRAIN, load_digits
from infomcr_cli.data.record import Dataset, Split
from infomcr_cli.data.selection import check_batch, select, too_large
from infomcr_cli.errors import InputError


def check_source(config: DataConfig) -> None:
    """Raise InputError, within milliseconds, where loading is known to fail before anything is decoded."""
    if config.name != "digits":
        raise InputError("data must be a known source", received=config.name, accepted=["digits"])
    check_sizes(config, TRAIN, TEST)


def check_sizes(config: DataConfig, train: int, test: int) -> None:
    """Raise InputError where subsets, or one batch, ask for more images than there are."""
    left = train - (config.validation_size or 0)
    if left < 1:
        raise too_large("data.validation_size", config.validation_size or 0, train - 1)
    if (config.train_size or 0) > left:
        raise too_large("data.train_size", config.train_size or 0, left)
    if (config.test_size or 0) > test:
        raise too_large("data.test_size", config.test_size or 0, test)
    check_batch(config.batch_size, config.train_size or left)


def load_dataset(config: DataConfig, *, seed: int) -> Dataset:
    """Return the data set of `config`, ready to be fed.

    Args:   seed: of subsets and label noise where `data.seed` is null.
    Raises: InputError: the source is missing, damaged or smaller than what is asked of it.
    """
    check_source(config)
    train, test = load_digits()
    mean, std = channel_statistics(train)
    names = tuple(str(digit) for digit in range(10))
    whole = Dataset("digits", train, test, names, mean, std, True, fingerprint(train, test))
    return select(whole, config, seed=seed)


def channel_statistics(train: Split) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel over all training images; std 1 for a constant channel."""
    pixels = train.images.reshape(-1, train.images.shape[-1]).astype(np.float64)
    std = pixels.std(0)
    return tuple(pixels.mean(0).tolist()), tuple(np.where(std > 0, std, 1.0).tolist())


def fingerprint(*splits: Split) -> str:
    """Return the SHA-256 of all pixels and labels."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(np.ascontiguousarray(split.images).data)
        digest.update(np.ascontiguousarray(split.labels).data)
    return digest.hexdigest()
