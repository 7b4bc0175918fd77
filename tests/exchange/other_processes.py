"""Run scripts of this folder in processes that have nothing of infomcr."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
