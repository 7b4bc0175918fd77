"""Run one slice: a sweep of what its table lacks, with rows added while it goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.study.place import Place, environment, infomcr, runs_of
from benchmarks.study.rows import conventions_of, is_whole, row_of
from benchmarks.study.slices import Family, Levels, Slice, grid
from infomcr_cli.errors import InputError

POLL = 20.0  # seconds after which finished runs are added to the table
BAD_INPUT = 2


def run_slice(family: Family, part: Slice, place: Place) -> int:
    """Train and measure what the table lacks of a slice, until it is done or the time is up; return the new rows."""
    new = collect(family, part, place)
    if not (due := _due(family, part, place)):
        return new
    with _process(_sweep_command(family, part, due, place)) as sweep:
        while sweep.poll() is None and not place.is_over:
            _wait(sweep, min(POLL, place.seconds_left))
            new += collect(family, part, place)
    # 0 and 1: all done, some failed. Bad input would be the same for every further slice.
    if sweep.returncode == BAD_INPUT:
        sys.exit(BAD_INPUT)
    return new + collect(family, part, place)


def _due(family: Family, part: Slice, place: Place) -> list[Levels]:
    """Return the jobs without a row, and those whose runs were lost before their second evaluation."""
    known = place.table(family).known()
    there = {family.key(job) for job, _ in runs_of(family, part, place)}
    rows = [(job, family.key(job)) for job in part.jobs]
    return [job for job, key in rows if not (is_whole(family, job, known.get(key)) or (key in known and key in there))]


def collect(family: Family, part: Slice, place: Place) -> int:
    """Add the rows of all finished and measured runs of a slice to the table; return how many were new."""
    table = place.table(family)
    known = table.known()
    rows = []
    for job, path in runs_of(family, part, place):
        if family.key(job) in known:
            continue
        try:
            row = row_of(family, job, path)
        except (InputError, OSError):  # a run that is being written
            continue
        if row is not None:
            rows.append(row)
            if family.measured:
                place.keep_conventions(conventions_of(path))
    return table.merge(rows) if rows else 0


def _sweep_command(family: Family, part: Slice, due: Sequence[Levels], place: Place) -> list[str]:
    arguments = grid([family.settings(job) for job in due])
    data = [f"data.root={place.data}"] if place.data else []
    where = [f"runs_dir={place.runs_dir(family)}", f"engine.jobs={place.jobs}", "tracking=off"]
    return infomcr(
        "sweep", *family.preset, *arguments, *data, *place.overrides, *where,
        f"sweep.name={part.name}", "sweep.compare=false", f"sweep.evaluate={str(family.measured).lower()}",
    )  # fmt: skip


@contextmanager
def _process(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process; whatever ends the block asks it to stop and waits for it."""
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process at its next step boundary; a sweep gives its jobs half a minute."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return
