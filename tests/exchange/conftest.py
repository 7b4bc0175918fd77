"""Files that other programs made, and programs that know nothing of infomcr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent


def without_infomcr(script: str, *arguments: str) -> None:
    """Run a script of this folder in a process that has nothing of infomcr."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, str(HERE / script), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@dataclass(frozen=True)
class Trained:
    """Networks that plain Keras trained: their folder, and the scores that Keras gave."""

    folder: Path
    noted: dict[str, Any]

    def data(self) -> list[str]:
        return ["data=npz", f"data.root={self.folder / 'mine.npz'}", "tracking=off"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("plain")
    without_infomcr("plain_keras.py", str(folder))
    return Trained(folder, json.loads((folder / "noted.json").read_text()))


@pytest.fixture
def predictions(tmp_path: Path) -> Callable[..., Any]:
    """Load exported files in a process without infomcr and return what each predicts."""

    def load(jobs: list[dict[str, Any]]) -> Any:
        for number, job in enumerate(jobs):
            np.save(tmp_path / f"inputs-{number}.npy", job["inputs"])
            job["inputs"] = str(tmp_path / f"inputs-{number}.npy")
        (tmp_path / "request.json").write_text(json.dumps(jobs))
        without_infomcr("plain_loader.py", str(tmp_path / "request.json"), str(tmp_path / "answer.npz"))
        return np.load(tmp_path / "answer.npz")

    return load
