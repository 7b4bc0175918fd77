"""Fixtures of the data room: a cache of the test's own, and the makers of settings and data sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from layouts import augment_config, data_config, make_dataset

from infomcr_cli.config.schema.data import AugmentConfig, DataConfig
from infomcr_cli.data.dataset import Dataset


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFOMCR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def config() -> Callable[..., DataConfig]:
    return data_config


@pytest.fixture
def augment() -> Callable[..., AugmentConfig]:
    return augment_config


@pytest.fixture
def made() -> Callable[..., Dataset]:
    return make_dataset
