"""Check before the first job what a job, or `eval` after training, would refuse.

The settings alone show some of it, names and headers of files more, and the rest only what the files hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from infomcr_cli.config.devices import PARTS_OF_A_CPU, check_shares
from infomcr_cli.config.schema.data import DataConfig
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import read_training_set_sizes, training_set_size
from infomcr_cli.engine.builder_checks import builders_of, check_found, check_imported
from infomcr_cli.engine.existing_runs import place_of
from infomcr_cli.engine.gpus import visible_gpus
from infomcr_cli.engine.job import Job
from infomcr_cli.measures.base import check_measures


def check_settings(jobs: Sequence[Job], *, evaluate: bool) -> None:
    """Raise InputError if the settings alone show that a job will be refused; reads no file.

    Args:
        evaluate: whether the jobs are measured once they are trained.
    """
    check_devices(job.config for job in jobs)
    check_found(builders_of(job.config for job in jobs))
    _check_measures(jobs, _size_by_settings if evaluate else None)


def check_names(jobs: Sequence[Job], *, evaluate: bool) -> None:
    """Raise InputError if names and headers of the data show that a job will be refused."""
    _check_measures(jobs, training_set_size if evaluate else None)


def check_content(jobs: Sequence[Job], *, evaluate: bool) -> None:
    """Read the data and import the users' networks, each once; raise InputError if a job could not."""
    check_imported(builders_of(job.config for job in jobs))
    sizes = read_training_set_sizes(job.config.data for job in jobs)
    _check_measures(jobs, sizes.get if evaluate else None)


def check_devices(configs: Iterable[RunConfig]) -> None:
    """Raise InputError if the devices of the jobs cannot share a batch equally."""
    mirrored = [config for config in configs if config.device == "mirrored"]
    if mirrored and not visible_gpus():
        for config in mirrored:
            check_shares(config, PARTS_OF_A_CPU)


def _check_measures(jobs: Sequence[Job], size_of: Callable[[DataConfig], int | None] | None) -> None:
    if size_of is None:
        return
    sizes = {data: size_of(data) for data in {job.config.data for job in jobs}}
    for measure, data in {(job.config.measure, job.config.data) for job in jobs}:
        check_measures(measure, sizes[data])


def _size_by_settings(data: DataConfig) -> int | None:
    return training_set_size(data) if place_of(data) is None else data.train_size
