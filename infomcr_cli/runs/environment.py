"""What a run was made with: versions, commit, device, cores; no environment variables, no names of users or paths."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.processor import MOST_THREADS, chosen_threads
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.git import diff_command, git_command
from infomcr_cli.runs.io.safe_documents import dump_json, parse_json
from infomcr_cli.runs.io.safe_files import write_atomically

PACKAGES = ("infomcr", "tensorflow", "keras", "numpy", "mlflow", "hydra-core", "safetensors", "scikit-learn")


class Environment(BaseModel):
    """What environment.json holds.

    Args:
        commit:  of the working directory when it is a git work tree, with "+changes" when it differs from it.
        devices: as TensorFlow names them, given by the caller.
        kernels: whose compute on the processor, oneDNN or TensorFlow, given by the caller.
        instructions: of the processor that the kernels use, or the variable that limits them, given by the caller.
        threads: that TensorFlow computes with; None in older records.
    """

    model_config = ConfigDict(frozen=True)

    python: str
    platform: str
    processor: str
    cores: int
    packages: dict[str, str]
    commit: str | None
    devices: tuple[str, ...]
    kernels: str | None = None
    instructions: str | None = None
    threads: int | None = None


def write_environment(
    run: RunDirectory, devices: Sequence[str] = (), kernels: str | None = None, instructions: str | None = None
) -> None:
    """Write what this process computes with to environment.json, without importing any of it."""
    environment = Environment(
        python=platform.python_version(),
        platform=platform.platform(terse=True),
        processor=platform.machine(),
        cores=cores_in_use(),
        packages={name: version for name in PACKAGES if (version := _version(name))},
        commit=git_commit(Path.cwd()),
        devices=tuple(devices),
        kernels=kernels,
        instructions=instructions,
        threads=threads_in_use(),
    )
    write_atomically(run.environment, dump_json(environment.model_dump(mode="json")))


def threads_in_use() -> int:
    """Return the threads that TensorFlow computes with: one per core, unless INFOMCR_THREADS says otherwise."""
    return chosen_threads() or cores_in_use()


def cores_in_use() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0))


def recorded_kernels(run: RunDirectory) -> str | None:
    """Return whose kernels a run has computed with so far, or None where that is not known."""
    kernels = _record(run).get("kernels")
    return kernels if kernels in ("oneDNN", "TensorFlow") else None


def recorded_instructions(run: RunDirectory) -> str | None:
    """Return which instructions a run has computed with so far, or None where that is not known."""
    instructions = _record(run).get("instructions")
    return printable(instructions, 100) if isinstance(instructions, str) else None


def recorded_devices(run: RunDirectory) -> tuple[str, ...]:
    """Return the devices that a run has computed on so far; none where that is not known."""
    devices = _record(run).get("devices")
    return tuple(printable(str(device), 100) for device in devices) if isinstance(devices, list) else ()


def recorded_threads(run: RunDirectory) -> int | None:
    """Return the threads that a run has computed with so far, or None where that is not known."""
    threads = _record(run).get("threads")
    return threads if isinstance(threads, int) and 0 < threads <= MOST_THREADS else None


def _record(run: RunDirectory) -> dict[str, Any]:
    try:
        record = parse_json(run.read("environment.json"), f"environment.json of {run.name}")
    except (OSError, InputError):
        return {}
    return record if isinstance(record, dict) else {}


def git_commit(folder: Path) -> str | None:
    """Return the commit of the git work tree at `folder`; None: it is not one."""
    commit = _answer(folder, lambda: git_command("rev-parse", "HEAD"))
    if not commit:
        return None
    return commit if _answer(folder, lambda: diff_command(folder, "--quiet")) is not None else f"{commit}+changes"


def _answer(folder: Path, command: Callable[[], list[str]]) -> str | None:
    try:
        done = subprocess.run(command(), cwd=folder, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
