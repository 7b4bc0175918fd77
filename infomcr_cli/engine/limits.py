"""What a job may take, and how many jobs fit on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from infomcr_cli.config.schema.sweep import EngineConfig, LocalEngineConfig

LEAST_BYTES = 200 * 10**6  # no process that has imported TensorFlow holds less
RECKONED_BYTES = int(1.5e9)  # what a job is taken to need where engine.memory does not say
_THREAD_VARIABLES = (
    "INFOMCR_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)


@dataclass(frozen=True)
class Limits:
    """Bounds on one job.

    Args:
        timeout: seconds; None: none.
        memory:  bytes that its process may hold; None: as many as there are.
    """

    timeout: float | None = None
    memory: int | None = None


def limits_of(engine: EngineConfig) -> Limits:
    """Return the bounds that an engine's settings put on a job."""
    return Limits(engine.timeout, None if engine.memory is None else int(engine.memory))


@dataclass(frozen=True)
class Slots:
    """How many jobs run at once, and what each of them gets.

    Args:
        threads: for each job; None: it may use all cores.
        gpus:    their names as CUDA_VISIBLE_DEVICES takes them, one for each slot; empty: none.
    """

    count: int
    threads: int | None
    gpus: tuple[str, ...] = ()

    def environment(self, slot: int) -> Mapping[str, str]:
        """Return the variables that give a slot its share of cores and its GPU."""
        shares = {} if self.threads is None else {name: str(self.threads) for name in _THREAD_VARIABLES}
        return {**shares, "CUDA_VISIBLE_DEVICES": self.gpus[slot % len(self.gpus)]} if self.gpus else shares


def slots_of(engine: LocalEngineConfig, jobs: int, *, device: str = "auto") -> Slots:
    """Return how `jobs` jobs share this machine: never more at once than cores, memory or GPUs allow."""
    cores = len(os.sched_getaffinity(0))
    gpus = () if device == "cpu" else visible_gpus()
    need = engine.memory or RECKONED_BYTES
    fitting = max(1, min(cores, psutil.virtual_memory().available // need, len(gpus) or cores))
    count = min(fitting if engine.jobs == "auto" else engine.jobs, jobs) or 1
    return Slots(count, None if count == 1 else max(1, cores // count), tuple(gpus))


def visible_gpus() -> Sequence[str]:
    """Return the NVIDIA GPUs that this process may use, as the driver lists them; TensorFlow is not imported."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name for name in given.split(",") if name.strip() and name.strip() != "-1"]
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    try:
        listed = subprocess.run([command, "--list-gpus"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number, line in enumerate(listed.splitlines()) if line.startswith("GPU ")]
