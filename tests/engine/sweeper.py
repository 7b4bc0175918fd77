"""Sweeps of jobs that train in milliseconds, in processes of their own that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

LIGHT = str(Path(__file__).with_name("fake_sweep.py"))
TINY = ("model.depth=10", "model.width=0.5", "data.train_size=256", "measure=fast", "measure.gamma.samples=200")


@dataclass
class Sweeper:
    """Starts sweeps in one folder.

    Args:
        program: what stands for `infomcr`.
    """

    folder: Path
    program: tuple[str, ...]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start `infomcr sweep ARGUMENTS`."""
        process = subprocess.Popen(
            [*self.program, "sweep", *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "INFOMCR_STATE": str(self.folder / "state"), **environment},
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, **environment: str) -> tuple[int, Any, str]:
        """Run `infomcr sweep ARGUMENTS --json` to its end; return the exit code, the document and standard error."""
        process = self.start(*arguments, "--json", **environment)
        out, err = process.communicate(timeout=600)
        return process.returncode, json.loads(out) if out else None, err

    def workers(self) -> list[psutil.Process]:
        """Return the processes of jobs of this folder that live."""
        return [process for process in psutil.process_iter(["cmdline"]) if self._is_worker(process)]

    def runs(self) -> dict[str, Path]:
        """Return the run directories by name."""
        return {path.name: path for path in sorted((self.folder / "runs").glob("[!.]*"))}

    def _is_worker(self, process: psutil.Process) -> bool:
        try:
            words = process.cmdline()
            mine = process.environ().get("INFOMCR_STATE") == str(self.folder / "state")
        except psutil.Error:
            return False
        return mine and any("worker" in word for word in words)


def state_of(run: Path) -> str:
    """Return the state in a run's status.json."""
    return str(json.loads((run / "status.json").read_text())["state"])


def lines_of(run: Path) -> list[dict[str, Any]]:
    """Return metrics.jsonl without what depends on the clock."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in record.items() if key != "timing"} for record in records]


def epochs_of(run: Path) -> dict[str, bytes]:
    """Return the checkpoints at the ends of epochs."""
    return {path.name: path.read_bytes() for path in sorted((run / "checkpoints").glob("epoch-*.safetensors"))}
