"""The table of data sources by name. A new source is one entry here and one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infomcr_cli.config.schema.data import BuilderDataConfig, Cifar100Config, DataConfig, ImagenetConfig
from infomcr_cli.data import arrays, cifar, data_builder, digits, download, folder, imagenet, npz
from infomcr_cli.data.cache import cache_folder, cached, content_key
from infomcr_cli.data.dataset import CIFAR10, Dataset, whole_dataset
from infomcr_cli.data.files import FIRST, first_names, read_files, source_path
from infomcr_cli.data.labels import check_classes
from infomcr_cli.data.scaling import scaled
from infomcr_cli.data.subsets import check_sizes, select
from infomcr_cli.errors import InputError


@dataclass(frozen=True)
class DataSource:
    """A source of images.

    Args:
        check: raises InputError if loading is certain to fail; reads names and headers only.
        load:  returns all training and test images.
    """

    check: Callable[[DataConfig], None]
    load: Callable[[DataConfig], Dataset]


def check_source(config: DataConfig) -> None:
    """Raise InputError, within milliseconds, if loading is certain to fail."""
    if config.cache is not None:
        cache_folder(config.cache)
    with named_os_errors(config):
        _source(config).check(config)


def load_dataset(config: DataConfig, *, seed: int, is_scaled: bool = True) -> Dataset:
    """Return the data set of `config`, ready for training and evaluation.

    Args:
        seed:      of subsets and label noise if `data.seed` is null.
        is_scaled: if False, `scaling` is ignored: mean and deviation are those of the training images.

    Raises:
        InputError: the source is missing, damaged or smaller than requested.
    """
    with named_os_errors(config):
        whole = _source(config).load(config)
    chosen = select(whole, config, seed=seed)
    return scaled(chosen, config.scaling) if is_scaled else chosen


def _source(config: DataConfig) -> DataSource:
    if config.name not in SOURCES:
        raise InputError("data must be a known source", received=config.name, accepted=sorted(SOURCES))
    return SOURCES[config.name]


@contextmanager
def named_os_errors(config: DataConfig) -> Iterator[None]:
    """Inside the block, turn errors of the operating system into an InputError that names the file."""
    try:
        yield
    except OSError as error:
        received, reason = error.filename or config.root, error.strerror or str(error)
        raise InputError("data.root must be readable", received=received, advice=f"{reason}.") from error


def _check_digits(config: DataConfig) -> None:
    check_sizes(config, digits.TRAIN, digits.TEST)


def _layout(config: DataConfig) -> cifar.Layout:
    return cifar.cifar100(config.labels) if isinstance(config, Cifar100Config) else cifar.CIFAR10


def _check_cifar(config: DataConfig) -> None:
    if config.root is None:
        return check_sizes(config, 50_000, 10_000)
    layout = _layout(config)
    return _check_files(
        config, lambda name: cifar.is_official(name, layout), "the official archive, or " + folder.LAYOUT
    )


def _check_folder(config: DataConfig) -> None:
    _check_files(config, lambda name: False, folder.LAYOUT)


def _check_files(config: DataConfig, official: Callable[[str], bool], needed: str) -> None:
    root = source_path(config.root, needed=needed)
    heads = first_names(root)
    if any(map(official, heads)):
        return
    if root.is_dir():
        counts = folder.count_images(root)
        check_classes(counts["train"], counts["test"], root, layout=folder.LAYOUT)
        check_sizes(config, *(sum(counts[split].values()) for split in ("train", "test")))
    elif len(heads) < FIRST and not any(map(folder.is_image, heads)):  # images may come after other files
        raise InputError(f"data.root must name {needed}", received=str(root), advice=f"It contains {heads[:3]}.")


def _load_cifar(config: DataConfig) -> Dataset:
    layout, kept = _layout(config), cache_folder(config.cache)
    if config.root is None:
        root = download.fetched(download.ORIGINS[config.name], kept, (*layout.train, *layout.test))
    else:
        root = source_path(config.root, needed="an archive or a folder")
    scale = CIFAR10 if config.name == "cifar10" else None

    def decode() -> Dataset:
        files = read_files(root, lambda name: cifar.is_official(name, layout) or folder.is_image(name))
        batches = {name: read for name, read in files.items() if cifar.is_official(name, layout)}
        if batches:
            parts = cifar.read_official(batches, layout)
            return whole_dataset(config.name, parts, stored_order=True, scale=scale)
        return whole_dataset(config.name, folder.read_images(files, root), stored_order=False, scale=scale)

    return cached(content_key(root, config.name, layout.label), kept, decode)


def _load_folder(config: DataConfig) -> Dataset:
    root = source_path(config.root, needed=folder.LAYOUT)

    def decode() -> Dataset:
        parts = folder.read_images(read_files(root, folder.is_image), root)
        return whole_dataset(config.name, parts, stored_order=False)

    return cached(content_key(root, config.name), cache_folder(config.cache), decode)


def _npz_path(config: DataConfig) -> Path:
    root = source_path(config.root, needed=npz.LAYOUT)
    if root.is_dir():
        raise InputError(f"data.root must name {npz.LAYOUT}", received=f"the folder {root}", advice="Name the file.")
    return root


def _check_npz(config: DataConfig) -> None:
    check_sizes(config, *arrays.npz_sizes(_npz_path(config)))


def _load_npz(config: DataConfig) -> Dataset:
    root = _npz_path(config)
    if names := arrays.named_inputs(root):
        return arrays.read_arrays(root, names, config.name)
    kept = cache_folder(config.cache)

    def decode() -> Dataset:
        return whole_dataset(config.name, npz.read_npz(root), stored_order=True)

    return cached(content_key(root, config.name), kept, decode)


def _check_imagenet(config: DataConfig) -> None:
    assert isinstance(config, ImagenetConfig)
    imagenet.check_imagenet(config)


def _load_imagenet(config: DataConfig) -> Dataset:
    assert isinstance(config, ImagenetConfig)
    return imagenet.load_imagenet(config)


def _check_builder(config: DataConfig) -> None:
    assert isinstance(config, BuilderDataConfig)
    data_builder.check_builder(config)


def _load_builder(config: DataConfig) -> Dataset:
    assert isinstance(config, BuilderDataConfig)
    return data_builder.build_dataset(config)


SOURCES: dict[str, DataSource] = {
    "builder": DataSource(_check_builder, _load_builder),
    "digits": DataSource(_check_digits, digits.load_digits),
    "cifar10": DataSource(_check_cifar, _load_cifar),
    "cifar100": DataSource(_check_cifar, _load_cifar),
    "image_folder": DataSource(_check_folder, _load_folder),
    "imagenet": DataSource(_check_imagenet, _load_imagenet),
    "npz": DataSource(_check_npz, _load_npz),
}
