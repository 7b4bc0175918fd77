"""What a run was made with: versions, commit, device, cores; no environment variables, no names of users or paths."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import dump_json, parse_json
from infomcr_cli.runs.io.safe_files import write_atomically

PACKAGES = ("infomcr", "tensorflow", "keras", "numpy", "mlflow", "hydra-core", "safetensors", "scikit-learn")


class Environment(BaseModel):
    """What environment.json holds.

    Args:
        commit:  of the working directory when it is a git work tree, with "+changes" when it differs from it.
        devices: as TensorFlow names them, given by the caller.
        kernels: whose compute on the processor, oneDNN or TensorFlow, given by the caller.
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


def write_environment(run: RunDirectory, devices: Sequence[str] = (), kernels: str | None = None) -> None:
    """Write what this process computes with to environment.json, without importing any of it."""
    environment = Environment(
        python=platform.python_version(),
        platform=platform.platform(terse=True),
        processor=platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        packages={name: version for name in PACKAGES if (version := _version(name))},
        commit=git_commit(Path.cwd()),
        devices=tuple(devices),
        kernels=kernels,
    )
    write_atomically(run.environment, dump_json(environment.model_dump(mode="json")))


def recorded_kernels(run: RunDirectory) -> str | None:
    """Return whose kernels a run has computed with so far, or None where that is not known."""
    try:
        record = parse_json(run.read("environment.json"), f"environment.json of {run.name}")
    except (OSError, InputError):
        return None
    kernels = record.get("kernels") if isinstance(record, dict) else None
    return kernels if kernels in ("oneDNN", "TensorFlow") else None


def git_commit(folder: Path) -> str | None:
    """Return the commit of the git work tree at `folder`; None: it is not one."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    return commit if _git(folder, "diff", "--quiet", "HEAD") is not None else f"{commit}+changes"


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
