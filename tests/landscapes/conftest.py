"""Shared by the tests of landscapes: three small runs with batch norm, trained once."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli import infomcr

SMALL = (
    "model=mlp",
    "model.depth=1",
    "model.width=8",
    "model.norm=batch",
    "data.train_size=120",
    "data.batch_size=40",
    "schedule.epochs=2",
    "schedule.keep_checkpoints=null",
    "tracking=off",
)


@pytest.fixture(scope="session")
def three_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/a, runs/b and runs/c, which differ in the seed; tests write into copies or with --out."""
    folder = tmp_path_factory.mktemp("landscapes")
    for seed, name in enumerate("abc"):
        answer = infomcr(("train", *SMALL, f"seed={seed}", "--run-dir", f"runs/{name}"), folder)
        assert answer.code == 0, answer.err
    return folder
