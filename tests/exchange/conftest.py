"""Files that other programs made, and programs that know nothing of infomcr."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from other_processes import Trained, without_infomcr


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
