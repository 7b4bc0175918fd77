"""Where a study is carried out: data, runs, tables; and which runs of it there are."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.study.rows import key_of
from benchmarks.study.slices import Family, Levels, Slice
from benchmarks.study.tables import Table
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, is_run

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

    @property
    def seconds_left(self) -> float:
        """Seconds until the time is up, at least a tenth."""
        return max(0.1, self.deadline - time.monotonic())

    def table(self, family: Family) -> Table:
        """Return the table of a family."""
        return Table(self.tables / f"{family.name}.csv", family.keys)

    def runs_dir(self, family: Family) -> Path:
        """Return the folder of a family's runs."""
        return self.runs.absolute() / family.name / "runs"

    def keep_conventions(self, conventions: Mapping[str, Any]) -> None:
        """Add a set of conventions to the file that the columns `conventions` and `conventions_further` refer to."""
        path = self.tables / "conventions.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if (key := key_of(conventions)) not in known:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({**known, key: conventions}, indent=1, sort_keys=True)
            path.write_text(f"{text}\n", encoding="utf-8")


def runs_of(family: Family, part: Slice, place: Place) -> Iterator[tuple[Levels, Path]]:
    """Yield the jobs of a slice that have a run directory, by the overrides that are recorded there."""
    folder = place.runs_dir(family)
    jobs = {spelled(family.overrides(job)): job for job in part.jobs}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            recorded = spelled(yaml.safe_load(RunDirectory.open(path).read("overrides.yaml"))) if is_run(path) else ()
        except (InputError, OSError, ValueError, TypeError):  # a run that is being made
            continue
        job = next((job for settings, job in jobs.items() if settings <= frozenset(recorded)), None)
        if job is not None:
            yield job, path


def spelled(overrides: Iterable[str]) -> frozenset[str]:
    """Return overrides without quotes and blanks and with plain numbers: two spellings of one value are the same.

    Examples:
        >>> spelled(["optimizer.l2=1e-4", "reg.phases='111'"]) == spelled(["optimizer.l2=0.0001", "reg.phases=111"])
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


def infomcr(*arguments: str) -> list[str]:
    """Return the command that runs infomcr in this environment."""
    return [sys.executable, "-c", "from infomcr_cli.cli import main; main()", *arguments]


def environment() -> dict[str, str]:
    """Return the variables of a process that computes in one thread."""
    return {**os.environ, **ONE_THREAD}
