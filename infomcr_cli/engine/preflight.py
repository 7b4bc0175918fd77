"""Check before a run, or the first job of a sweep, what it or `eval` after training would refuse.

The settings alone show some of it, names and headers of files more, and the rest only what the files hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from infomcr_cli.config.devices import PARTS_OF_A_CPU, check_shares
from infomcr_cli.config.schema.data import DataConfig
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import check_source, read_training_set_sizes, training_set_size
from infomcr_cli.engine.builder_checks import builders_of, check_found, check_imported
from infomcr_cli.engine.existing_runs import place_of
from infomcr_cli.engine.gpus import visible_gpus
from infomcr_cli.engine.job import Job
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import check_measures
from infomcr_cli.processor import chosen_threads
from infomcr_cli.runs import RunDirectory, list_checkpoints
from infomcr_cli.runs.directory import split_start


def check_run(config: RunConfig, *, is_new: bool) -> None:
    """Raise InputError if settings, names or headers show that training will be refused; imports no TensorFlow.

    Args:
        is_new: whether the run begins now, from the weights of `start` if that is set.
    """
    if is_new and config.start:
        check_start(config.start)
    check_source(config.data)
    if is_new:  # of a run that exists, it is said first whether its builder is trusted, and that it has finished
        check_found(builders_of([config]))
    check_measures(config.measure)
    check_devices([config])
    chosen_threads()  # raises if INFOMCR_THREADS is no number


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


def check_start(start: str) -> None:
    """Raise InputError if the run to start from, or its checkpoint, does not exist."""
    path, name = split_start(start)
    found = [info.name for info in list_checkpoints(RunDirectory.open(path))]
    if not found or name not in ("", "last", "best", *found):
        raise InputError("a checkpoint must exist", received=start, accepted=["last", "best", *found] if found else ())


def warn_of_draws(config: RunConfig, say: Callable[[str], None]) -> Callable[[int], None] | None:
    """Warn if `eval` would refuse the run after training; if the data size is unknown, return a function that does.

    `eval` can still be given other settings then, so that training continues.

    Args:
        say: prints a line.

    Returns:
        A function of the number of training images; None if it was called.
    """

    def warn(images: int) -> None:
        try:
            check_measures(config.measure, images)
        except InputError as error:
            say(f"With these settings, eval will refuse to measure this run: {error}")

    images = training_set_size(config.data)
    if images is None:
        return warn
    warn(images)
    return None


def _check_measures(jobs: Sequence[Job], size_of: Callable[[DataConfig], int | None] | None) -> None:
    if size_of is None:
        return
    sizes = {data: size_of(data) for data in {job.config.data for job in jobs}}
    for measure, data in {(job.config.measure, job.config.data) for job in jobs}:
        check_measures(measure, sizes[data])


def _size_by_settings(data: DataConfig) -> int | None:
    return training_set_size(data) if place_of(data) is None else data.train_size
