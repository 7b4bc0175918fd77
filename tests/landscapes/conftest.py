"""Shared by the tests of landscapes: small runs, trained once."""

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


LINEAR = (
    "model=mlp",
    "model.depth=0",
    "data.train_size=120",
    "data.batch_size=40",
    "schedule.epochs=1",
    "tracking=off",
)


@pytest.fixture(scope="session")
def three_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs/a, b and c, which differ in the seed, and runs/linear; tests write elsewhere, by --out."""
    folder = tmp_path_factory.mktemp("landscapes")
    for seed, name in enumerate("abc"):
        answer = infomcr(("train", *SMALL, f"seed={seed}", "--run-dir", f"runs/{name}"), folder)
        assert answer.code == 0, answer.err
    assert infomcr(("train", *LINEAR, "--run-dir", "runs/linear"), folder).code == 0
    return folder
