"""Sweeps of jobs that train in milliseconds, in processes of their own that can be killed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from sweeper import LIGHT, Sweeper


@pytest.fixture
def light(tmp_path: Path) -> Iterator[Sweeper]:
    """Sweeps whose jobs need no TensorFlow."""
    yield from _sweeper(tmp_path, (sys.executable, LIGHT))


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Sweeper]:
    """Sweeps as a user starts them."""
    yield from _sweeper(tmp_path, (str(Path(sys.executable).with_name("infomcr")),))


def _sweeper(folder: Path, program: tuple[str, ...]) -> Iterator[Sweeper]:
    sweeper = Sweeper(folder, program)
    yield sweeper
    for process in sweeper.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    for worker in sweeper.workers():
        with suppress(psutil.NoSuchProcess):  # it may have ended with its parent
            worker.kill()
