"""Create the engine that the settings choose."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from infomcr_cli.config.byte_size import shown
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.schema.sweep import LocalEngineConfig, SlurmEngineConfig
from infomcr_cli.engine.directory import SweepDirectory
from infomcr_cli.engine.gpus import places_on_gpus
from infomcr_cli.engine.job import Job
from infomcr_cli.engine.limits import LEAST_BYTES, limits_of, slots_of
from infomcr_cli.engine.local import LocalEngine
from infomcr_cli.engine.messages import Task, task_of
from infomcr_cli.engine.scheduler import Engine
from infomcr_cli.engine.search.pruning import Pruning
from infomcr_cli.errors import InputError
from infomcr_cli.tracking.store import SERVER_ADVICE, Store, sqlite_path


def check_engine(config: RunConfig, store: Store | None) -> None:
    """Raise InputError if the engine cannot run the sweep, before anything is created.

    Raises:
        InputError: a job has no room for its process, a GPU is not there, several machines would share a SQLite
            file, or Ray or Slurm is not installed.
    """
    _check_memory(config.engine.memory)
    if isinstance(config.engine, LocalEngineConfig):
        if config.device != "cpu":
            places_on_gpus(config.engine)
        return
    if store is not None and sqlite_path(store.uri) is not None:
        raise InputError(
            f"engine={config.engine.name} needs a tracking server: several machines cannot share SQLite",
            received=store.shown,
            advice=f"{SERVER_ADVICE} Or tracking=off.",
        )
    if isinstance(config.engine, SlurmEngineConfig):
        from infomcr_cli.engine.slurm_engine import check_slurm

        check_slurm(config.engine)
        return
    from infomcr_cli.engine.ray_engine import check_ray

    check_ray()


def _check_memory(memory: int | None) -> None:
    if memory is not None and memory < LEAST_BYTES:
        raise InputError(
            f"engine.memory must be large enough for a job's process, at least {shown(LEAST_BYTES)}",
            received=shown(memory),
            advice="TensorFlow alone needs this much. Try engine.memory=2GB.",
        )


def make_engine(
    config: RunConfig,
    jobs: Sequence[Job],
    folder: SweepDirectory,
    *,
    evaluate: bool,
    more: int = 0,
    is_searched: bool = False,
    pruning: Callable[[Job], Pruning | None] = lambda job: None,
) -> Engine:
    """Return the engine for these jobs.

    Args:
        more:    how many jobs are still to come.
        is_searched: whether a job follows from those that have ended: no more are begun than can run at once.
        pruning: the rule by which a search ends a job early.

    Raises:
        InputError: the cluster cannot be reached.
    """
    cwd, settings = Path(os.getcwd()), config.engine

    def task(job: Job) -> Task:
        return task_of(job, evaluate=evaluate, cwd=cwd, log=folder.log(job), pruning=pruning(job))

    if isinstance(settings, LocalEngineConfig):
        slots = slots_of(settings, len(jobs) + more, device=config.device)
        return LocalEngine(slots, limits_of(settings), len(jobs) + more, task)
    if isinstance(settings, SlurmEngineConfig):
        from infomcr_cli.engine.slurm_engine import SlurmEngine

        return SlurmEngine(settings, limits_of(settings), folder, len(jobs), task, is_searched=is_searched)
    from infomcr_cli.engine.ray_engine import RayEngine

    return RayEngine(settings, limits_of(settings), task)
