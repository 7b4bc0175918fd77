"""Limits of a job, and the number of jobs that fit on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from infomcr_cli.config.schema.sweep import EngineConfig, LocalEngineConfig
from infomcr_cli.engine.gpus import places_on_gpus

LEAST_BYTES = 200 * 10**6  # no process that has imported TensorFlow holds less
RECKONED_BYTES = int(1.5e9)  # assumed need of a job if engine.memory is not set
_THREAD_VARIABLES = (
    "INFOMCR_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)


@dataclass(frozen=True)
class Limits:
    """Limits of one job.

    Args:
        timeout: seconds; None: none.
        memory:  bytes that its process may hold; None: as many as there are.
    """

    timeout: float | None = None
    memory: int | None = None


def limits_of(engine: EngineConfig) -> Limits:
    """Return the limits of a job from the settings of an engine."""
    return Limits(engine.timeout, None if engine.memory is None else int(engine.memory))


@dataclass(frozen=True)
class Slots:
    """The number of parallel jobs, and the resources of each.

    Args:
        threads: for each job; None: it may use all cores.
        gpus:    as CUDA_VISIBLE_DEVICES takes them, one for each slot; several slots may have the same. Empty: none.
    """

    count: int
    threads: int | None
    gpus: tuple[str, ...] = ()

    def environment(self, slot: int) -> Mapping[str, str]:
        """Return the environment variables for a slot's cores and GPU."""
        shares = {} if self.threads is None else {name: str(self.threads) for name in _THREAD_VARIABLES}
        if not self.gpus:
            return shares
        # CUDA counts the fastest GPU first by default; nvidia-smi, which gave the numbers, counts by bus.
        order = os.environ.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        return {**shares, "CUDA_DEVICE_ORDER": order, "CUDA_VISIBLE_DEVICES": self.gpus[slot % len(self.gpus)]}


def slots_of(engine: LocalEngineConfig, jobs: int, *, device: str = "auto") -> Slots:
    """Return how `jobs` jobs share this machine, limited by cores, memory and GPUs.

    Args:
        device: of the runs; `cpu`: GPUs do not matter, `mirrored`: a job has all of them.

    Raises:
        InputError: a GPU that the settings name is not there, or has no room for a job.
    """
    cores = len(os.sched_getaffinity(0))  # those that this process may use: fewer than os.cpu_count() under taskset
    gpus = [] if device == "cpu" else places_on_gpus(engine)
    if device == "mirrored" and gpus:
        gpus = [",".join(dict.fromkeys(gpus))]
    need = engine.memory or RECKONED_BYTES
    fitting = max(1, min(cores, psutil.virtual_memory().available // need, len(gpus) or cores))
    count = min(fitting if engine.jobs == "auto" else engine.jobs, jobs) or 1
    if engine.jobs_per_device or engine.device_memory:
        count = min(count, len(gpus) or count)  # engine.jobs must not overfill a GPU
    return Slots(count, None if count == 1 else max(1, cores // count), tuple(gpus))
