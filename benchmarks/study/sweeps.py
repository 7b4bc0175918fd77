"""Run one slice: a sweep of what its table lacks, rows while it goes on, a second evaluation at its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.study.rows import conventions_in, conventions_of, further_cells, key_of, row_of
from benchmarks.study.slices import Family, Levels, Slice, grid
from benchmarks.study.tables import Table
from infomcr_cli.errors import InputError
from infomcr_cli.runs import is_run

POLL = 20.0  # seconds after which finished runs are added to the table
NORMALISED = {"gamma": "gamma_normalised"}  # the second evaluation measures gamma on logits of one norm
LOGIT_SCALE = "measure.gamma.logit_scale=0.04"
ONE_THREAD = dict.fromkeys(("INFOMCR_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Place:
    """Where a study is carried out.

    Args:
        data:      CIFAR-10: an archive or a folder; None: what the preset says.
        runs:      folder of run directories; it may be lost once its rows are in the tables.
        tables:    folder of the tables.
        jobs:      at once, one thread each.
        deadline:  on the monotonic clock; inf: none.
        overrides: further overrides of every run, such as those of a test.
    """

    data: str | None
    runs: Path
    tables: Path
    jobs: int = 2
    deadline: float = float("inf")
    overrides: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.deadline

    def table(self, family: Family) -> Table:
        """Return the table of a family."""
        return Table(self.tables / f"{family.name}.csv", family.keys)


def run_slice(family: Family, part: Slice, place: Place) -> int:
    """Train and measure what the table lacks of a slice, until it is done or the time is up; return the new rows."""
    known = place.table(family).known()
    due = [job for job in part.jobs if family.key(job) not in known]
    if not due:
        return 0
    new = 0
    with _process(_sweep_command(family, part, due, place)) as sweep:
        while sweep.poll() is None and not place.is_over:
            _wait(sweep, min(POLL, max(0.1, place.deadline - time.monotonic())))
            new += collect(family, part, place)
    # 0 and 1: all done, some failed. Bad input would be the same for every further slice.
    if sweep.returncode == 2:
        sys.exit(2)
    return new + collect(family, part, place)


def run_further(family: Family, part: Slice, place: Place) -> None:
    """Measure a second time, with normalised logits and the measures of the subset, what a slice has trained."""
    found = list(_runs_of(family, part, place))
    lacking: dict[tuple[str, ...], list[tuple[Levels, Path]]] = {}
    known = place.table(family).known()
    for job, path in found:
        names, row = family.further(job), known.get(family.key(job), {})
        if row.get("state") == "FINISHED" and any(not row.get(NORMALISED.get(name, name)) for name in names):
            lacking.setdefault(names, []).append((job, path))
    for names, jobs in lacking.items():
        for start in range(0, len(jobs), place.jobs * 4):
            if not place.is_over:
                _measure(family, names, jobs[start : start + place.jobs * 4], place)


def collect(family: Family, part: Slice, place: Place) -> int:
    """Add the rows of all finished and measured runs of a slice to the table; return how many were new."""
    table = place.table(family)
    known = table.known()
    rows = []
    for job, path in _runs_of(family, part, place):
        if family.key(job) in known:
            continue
        try:
            row = row_of(family, job, path)
        except (InputError, OSError):  # a run that is being written
            continue
        if row is not None:
            rows.append(row)
            if family.measured:
                _keep_conventions(place, conventions_of(path))
    return table.merge(rows) if rows else 0


def _sweep_command(family: Family, part: Slice, due: Sequence[Levels], place: Place) -> list[str]:
    arguments = grid([family.settings(job) for job in due])
    data = [f"data.root={place.data}"] if place.data else []
    where = [f"runs_dir={_runs_dir(family, place)}", f"engine.jobs={place.jobs}", "tracking=off"]
    return _infomcr(
        "sweep", *family.preset, *arguments, *data, *place.overrides, *where,
        f"sweep.name={part.name}", "sweep.compare=false", f"sweep.evaluate={str(family.measured).lower()}",
    )  # fmt: skip


def _measure(family: Family, names: tuple[str, ...], jobs: Sequence[tuple[Levels, Path]], place: Place) -> None:
    """Evaluate some runs in `place.jobs` processes and add the cells to the table."""
    shares = [jobs[start :: place.jobs] for start in range(place.jobs)]
    scale = [LOGIT_SCALE] if "gamma" in names else []
    settings = [f"measure.names=[{','.join(names)}]", *scale, *(one for one in place.overrides if "measure." in one)]
    commands = [_infomcr("eval", *(str(path) for _, path in share), *settings, "--json") for share in shares if share]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment()) for command in commands]
    try:
        documents = [_document(process, place.deadline) for process in processes]
    finally:
        for process in processes:
            _stop(process)
    level_of = {path.resolve(): job for job, path in jobs}
    rows = [
        {**{name: job[name] for name in family.keys}, **further_cells(one, NORMALISED)}
        for document in documents
        for one in document["runs"]
        if (job := level_of.get(Path(one["run"]).resolve())) is not None
    ]
    place.table(family).merge(rows)
    for document in documents:
        for one in document["runs"]:
            _keep_conventions(place, conventions_in(one))


def _document(process: subprocess.Popen[bytes], deadline: float) -> Any:
    """Return the JSON document that a process writes; without runs if the time was up first."""
    left = None if deadline == float("inf") else max(0.1, deadline - time.monotonic())
    try:
        return json.loads(process.communicate(timeout=left)[0] or b'{"runs": []}')
    except subprocess.TimeoutExpired:
        return {"runs": []}


def _runs_of(family: Family, part: Slice, place: Place) -> Iterator[tuple[Levels, Path]]:
    """Yield the jobs of a slice that have a run directory, as the sweep recorded them."""
    record = _runs_dir(family, place).parent / "sweeps" / part.name / "sweep.json"
    if not record.exists():
        return
    jobs = {_spelled(family.overrides(job)): job for job in part.jobs}
    for entry in json.loads(record.read_text(encoding="utf-8"))["jobs"]:
        spelled, path = _spelled(entry["overrides"]), Path(entry["directory"])
        job = next((job for settings, job in jobs.items() if settings <= spelled), None)
        if job is not None and is_run(path):
            yield job, path


def _spelled(overrides: Iterable[str]) -> frozenset[str]:
    """Return overrides without quotes and blanks and with plain numbers: two spellings of one value are the same.

    Examples:
        >>> _spelled(["optimizer.l2=1e-4", "reg.phases='111'"]) == _spelled(["optimizer.l2=0.0001", "reg.phases=111"])
        True
    """
    parts = ("".join(text.split()).translate(_QUOTES).partition("=") for text in overrides)
    return frozenset(f"{key}={_plain(value)}" for key, _, value in parts)


_QUOTES = str.maketrans("", "", "\"'")


def _plain(value: str) -> str:
    try:
        return repr(float(value))
    except ValueError:
        return value


def _keep_conventions(place: Place, conventions: Mapping[str, Any]) -> None:
    """Add a set of conventions to the file that the columns `conventions` and `conventions_further` refer to."""
    path = place.tables / "conventions.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if (key := key_of(conventions)) not in known:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**known, key: conventions}, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _runs_dir(family: Family, place: Place) -> Path:
    return place.runs.absolute() / family.name / "runs"


def _infomcr(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from infomcr_cli.cli import main; main()", *arguments]


def _environment() -> dict[str, str]:
    return {**os.environ, **ONE_THREAD}


@contextmanager
def _process(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process; whatever ends the block asks it to stop and waits for it."""
    process = subprocess.Popen(command, env=_environment(), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
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
