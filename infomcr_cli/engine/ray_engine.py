"""Jobs on a Ray cluster, by Ray core called directly. Its machines share the folders of runs and sweeps.

A Ray task starts the job's process on its machine and watches it, so limits, stops, logs and the parent watchdog work
as on one machine. The scheduler retries lost jobs, not Ray, so that retries are counted and shown.
"""

from __future__ import annotations

import importlib.util
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from infomcr_cli.config.schema.sweep import RayEngineConfig
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.limits import Limits
from infomcr_cli.engine.messages import Task, decoded_outcome, encoded_outcome, job_of, read_task
from infomcr_cli.engine.process import GRACE, JobProcess, close
from infomcr_cli.errors import InputError
from infomcr_cli.runs import State

TICK = 0.1
SECONDS_BETWEEN_COUNTS = 2.0


def check_ray() -> None:
    """Raise InputError if Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise InputError("engine=ray needs the package ray", advice="pip install 'infomcr[ray]', or engine=local.")


def carry_out(task: str, limits: Mapping[str, Any], environment: Mapping[str, str]) -> str:
    """Run one job in a process of this machine and return its outcome as JSON; cancelling stops it gently."""
    message = read_task(task)
    os.chdir(message.cwd)
    process = JobProcess(environment)
    process.give(job_of(message), message, Limits(**limits))
    while True:
        try:
            outcome = process.poll()
            if outcome is not None:
                return encoded_outcome(outcome)
            time.sleep(TICK)
        except KeyboardInterrupt:  # this is how Ray cancels a task
            process.stop(State.KILLED, "the sweep was stopped", grace=GRACE)


class RayEngine:
    """See `infomcr_cli.engine.scheduler.Engine`.

    Args:
        task: what is sent to a job's process.
    """

    def __init__(self, settings: RayEngineConfig, limits: Limits, task: Callable[[Job], Task]) -> None:
        self._settings, self._limits, self._task = settings, limits, task
        self._ray = _connected(settings.address)
        needs = {"num_cpus": settings.cpus, "num_gpus": settings.gpus}
        # max_calls=1: `carry_out` changes the working folder of its worker process, so no worker is used twice.
        self._remote = self._ray.remote(**needs, max_calls=1, max_retries=0)(carry_out)
        self._running: dict[Any, tuple[Job, float]] = {}
        self._reason: str | None = None
        self._counted = -math.inf
        self._capacity = 0
        if not self.capacity():
            self._ray.shutdown()
            raise InputError(
                "the Ray cluster has no room for a job",
                received=f"{settings.cpus:g} cores and {settings.gpus:g} GPUs for each",
                advice="`ray status` shows its resources; set engine.cpus and engine.gpus accordingly.",
            )

    def capacity(self) -> int:
        """Return how many jobs the cluster has room for; it grows and shrinks with its machines."""
        if time.monotonic() - self._counted <= SECONDS_BETWEEN_COUNTS:
            return self._capacity
        there = self._ray.cluster_resources()
        room = there.get("CPU", 0) / self._settings.cpus
        if self._settings.gpus:
            room = min(room, there.get("GPU", 0) / self._settings.gpus)
        self._capacity = int(room if self._settings.jobs == "auto" else min(room, self._settings.jobs))
        self._counted = time.monotonic()
        return self._capacity

    def submit(self, job: Job) -> None:
        """Submit a job to the cluster."""
        threads = str(max(1, int(self._settings.cpus)))
        environment = {"INFOMCR_THREADS": threads, "TF_NUM_INTRAOP_THREADS": threads, **_python_path()}
        reference = self._remote.remote(self._task(job).model_dump_json(), asdict(self._limits), environment)
        self._running[reference] = (job, time.monotonic())

    def wait(self, seconds: float) -> list[Outcome]:
        """Wait until a job has ended, at most some seconds; return those that have."""
        if not self._running:
            time.sleep(seconds)
            return []
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        return [self._outcome(reference) for reference in ready]

    def stop(self, reason: str, *, grace: float) -> None:
        """Ask all running jobs to stop after the current step; without grace, kill their processes."""
        self._reason = reason
        for reference in self._running:
            # With force, Ray kills the worker; then the job's process reads the end of its input, and ends too.
            self._ray.cancel(reference, force=grace <= 0)

    def close(self) -> None:
        """Disconnect from the cluster, which ends tasks that still run."""
        self._ray.shutdown()

    def _outcome(self, reference: Any) -> Outcome:
        job, began = self._running.pop(reference)
        seconds = time.monotonic() - began
        try:
            return decoded_outcome(self._ray.get(reference), job)
        except self._ray.exceptions.RayError as error:
            if self._reason is not None:
                close(job, State.KILLED, self._reason)
                return Outcome(job, State.KILLED, self._reason, seconds=seconds)
            reason = f"its machine or process was lost ({type(error).__name__})"
            return Outcome(job, State.LOST, reason, is_lost=True, seconds=seconds)


def _python_path() -> dict[str, str]:
    """Return the PYTHONPATH with which a process on another machine finds the user's modules."""
    places = os.environ.get("PYTHONPATH")
    return {} if places is None else {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, places.split(os.pathsep)))}


def _connected(address: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Otherwise some versions of Ray empty CUDA_VISIBLE_DEVICES of a task that reserves no GPU.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
        raise InputError(
            f"engine.address must be a reachable Ray cluster ({str(error).splitlines()[0][:200]})",
            received=address,
            advice="Start one with `ray start --head`; see docs/cluster.md.",
        ) from None
    return ray
