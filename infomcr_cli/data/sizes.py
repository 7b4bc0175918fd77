"""Compute the size of the training set from names and headers, before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterable

from infomcr_cli.config.schema.data import DataConfig, ImagenetConfig
from infomcr_cli.data import arrays, digits, folder, imagenet
from infomcr_cli.data.files import as_path
from infomcr_cli.data.sources import load_dataset, named_os_errors
from infomcr_cli.data.subsets import check_sizes

Sizes = tuple[int, int]  # images of the whole source, to train on and to test on
_WHOLE = {
    **dict.fromkeys(("train_size", "test_size", "validation_size")),
    **{"label_noise": 0.0, "seed": 0, "batch_size": 1},
}


def training_set_size(config: DataConfig) -> int | None:
    """Return the number of training images after `validation_size` and `train_size`.

    It is None if the whole source would have to be read: for an archive without an index of its files, or a function.

    Raises:
        InputError: more images are requested than there are, or they do not fill one batch.
    """
    with named_os_errors(config):
        whole = _sizes(config)
    return config.train_size if whole is None else _left(config, whole)


def read_training_set_sizes(configs: Iterable[DataConfig]) -> dict[DataConfig, int]:
    """Return the same for each of `configs` after reading each source once, which fills the cache of `load_dataset`.

    Raises:
        InputError: a source is damaged, or smaller than requested.
    """
    found: dict[DataConfig, int] = {}
    whole: dict[DataConfig, Sizes] = {}
    for config in configs:
        source = config.model_copy(update=_WHOLE)
        if source not in whole:
            dataset = load_dataset(source, seed=0)
            whole[source] = len(dataset.train), len(dataset.test)
        found[config] = _left(config, whole[source])
    return found


def _left(config: DataConfig, whole: Sizes) -> int:
    check_sizes(config, *whole)
    return config.train_size or whole[0] - (config.validation_size or 0)


def _sizes(config: DataConfig) -> Sizes | None:
    if config.name == "digits":
        return digits.TRAIN, digits.TEST
    if config.name in ("cifar10", "cifar100") and config.root is None:
        return 50_000, 10_000
    if isinstance(config, ImagenetConfig):
        train, test, _ = imagenet.list_imagenet(config)
        return len(train), len(test)
    if config.name == "builder":
        return None
    root = as_path(config.root or "")
    if config.name == "npz":
        return arrays.npz_sizes(root)
    if not root.is_dir():
        return None
    counts = folder.count_images(root)
    found, tested = (sum(counts[split].values()) for split in ("train", "test"))
    return (found, tested) if found else None  # the batches of an official archive, unpacked
