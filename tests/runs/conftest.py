"""A run directory as training makes it, without training."""

from __future__ import annotations

from pathlib import Path

import pytest

from infomcr_cli.runs import RunDirectory, State, finished, new_status, write_status

CONFIG = b"""
model: {name: wrn, depth: 10}
reg: {name: "off"}
seed: 0
tracking: {name: mlflow, uri: null, experiment: infomcr}
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A fresh run in tmp_path/runs/a."""
    status = new_status("0123456789abcdef")
    return RunDirectory.create(tmp_path / "runs" / "a", config=CONFIG, overrides=["seed=0"], status=status)


@pytest.fixture
def done(run: RunDirectory) -> RunDirectory:
    """The run, finished."""
    write_status(run, finished(new_status("ab" * 32), State.FINISHED))
    return run
