"""The size of a training set as names and headers tell it, against the data set itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.schema.data import DataConfig
from infomcr_cli.data import load_dataset, read_training_set_sizes, training_set_size
from infomcr_cli.errors import InputError
from tests.training.small_sources import WRITERS

KNOWN = ("digits", "image_folder", "imagenet", "npz")  # the others are archives, which have no index of their files
SUBSETS: dict[str, list[str]] = {
    "whole": [],
    "subset": ["data.train_size=20"],
    "validation": ["data.validation_size=8"],
    "both": ["data.validation_size=8", "data.train_size=20"],
}


def data_of(source: str, folder: Path, *overrides: str) -> DataConfig:
    own = WRITERS[source](folder)
    cache = f"data.cache={folder / 'cache'}"
    return compose_run([f"data={source}", cache, "data.batch_size=4", *own, *overrides]).data


@pytest.mark.parametrize("subset", SUBSETS)
@pytest.mark.parametrize("source", WRITERS)
def test_the_size_is_that_of_the_data_set_or_none(
    source: str, subset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = data_of(source, tmp_path, *SUBSETS[subset])
    truth = len(load_dataset(config, seed=0).train)
    found = training_set_size(config)
    assert found == truth or (found is None and source not in KNOWN)
    assert read_training_set_sizes([config]) == {config: truth}


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_an_archive_that_is_still_to_be_downloaded_has_its_published_size(name: str) -> None:
    assert training_set_size(compose_run([f"data={name}"]).data) == 50_000
    assert training_set_size(compose_run([f"data={name}", "data.validation_size=5000"]).data) == 45_000


@pytest.mark.parametrize("source", KNOWN)
@pytest.mark.parametrize("override", ["data.batch_size=5000", "data.train_size=5000", "data.validation_size=5000"])
def test_more_images_than_there_are_are_refused_before_any_is_decoded(
    source: str, override: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.Image.open", None)
    with pytest.raises(InputError, match=override.partition("=")[0]):
        training_set_size(data_of(source, tmp_path, override))


def test_each_source_is_read_once_for_all_runs_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[DataConfig] = []

    def counted(config: DataConfig, *, seed: int) -> object:
        read.append(config)
        return load_dataset(config, seed=seed)

    monkeypatch.setattr("infomcr_cli.data.sizes.load_dataset", counted)
    sizes = ("data.train_size=20", "data.train_size=24", "data.label_noise=0.5", "data.seed=3", "data.batch_size=2")
    found = read_training_set_sizes(data_of("npz", tmp_path, size) for size in sizes)
    assert list(found.values()) == [20, 24, 48, 48, 48]
    assert len(read) == 1
