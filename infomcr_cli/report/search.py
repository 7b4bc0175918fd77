"""What a search found: the best settings or the Pareto front, the importance of its axes, and its objectives.

This module also reads what is known of the sweeps that made the runs of a comparison.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.report.tables import TextTable, format_number, format_stat
from infomcr_cli.runs.io.safe_documents import MAX_DOCUMENT, dump_json, parse_json, parse_record
from infomcr_cli.runs.io.safe_files import read_file, write_atomically

FILE = "search.json"
SHOWN = 5  # trials of a search by one objective
MOST_SHOWN = 30  # of a front
STATES = ("COMPLETE", "PRUNED", "FAIL", "RUNNING")
TEST_NOTE = "These settings were chosen with the test set (sweep.allow_test=true), so their test scores are biased."


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class SearchedTrial(_Record):
    """One trial.

    Args:
        state:  as Optuna calls it: COMPLETE, PRUNED, FAIL or RUNNING.
        values: of the objectives, in their order; empty unless it is COMPLETE.
        run:    the name of its directory; None: it made none.
        reason: why it has no values.
    """

    number: Annotated[int, Field(ge=0)]
    state: Literal["COMPLETE", "PRUNED", "FAIL", "RUNNING"]
    params: dict[str, float | int | str]
    values: tuple[float, ...] = ()
    run: str | None = None
    reason: str | None = None


class SearchedObjective(_Record):
    """An objective, and how much each axis accounts for it.

    Args:
        importance: share of the variance of its values over the trials (fANOVA; Hutter et al., 2014); they add up to
            1. Empty: too few trials, or all values are the same.
    """

    name: str
    direction: Literal["minimize", "maximize"]
    importance: dict[str, float] = {}


class SearchReport(_Record):
    """What a search found.

    Args:
        front:     numbers of the trials that no other one is better than in all objectives; of one objective the best.
        uses_test: whether an objective used the test set.
        wanted:    number of trials that the search is to make.
        axes:      names of what was searched, in the order of the command.
    """

    objectives: tuple[SearchedObjective, ...]
    trials: tuple[SearchedTrial, ...]
    front: tuple[int, ...]
    uses_test: bool
    sampler: str
    seed: int
    pruner: str | None
    wanted: int
    axes: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """The number of trials in each state, and what a reader must know."""
        counts = {state: sum(one.state == state for one in self.trials) for state in STATES}
        words = ("finished", "pruned", "failed", "to go on")
        states = ", ".join(f"{count} {word}" for word, count in zip(words, counts.values(), strict=True) if count)
        notes = [f"{len(self.trials)} of {self.wanted} trials: {states or 'none yet'}."]
        if self.uses_test:
            notes.append(TEST_NOTE)
        invalid = [one for one in self.trials if one.state == "FAIL" and one.run is None]
        if invalid:
            first = f"trial {invalid[0].number}: {invalid[0].reason}"
            notes.append(f"Trials without a valid run: {len(invalid)}, such as {first}")
        valueless = [
            one for one in self.trials if one.state == "FAIL" and one.run and "has no value" in str(one.reason)
        ]
        if valueless:
            notes.append(f"Runs without a value: {len(valueless)}, such as {valueless[0].run}: {valueless[0].reason}")
        return [printable(note, 600) for note in notes]

    def tables(self) -> Iterator[TextTable]:
        """Yield the best trials, or the front, and the importance of the axes."""
        if self.shown:
            yield self._trials_table()
        if any(one.importance for one in self.objectives):
            yield self._importance_table()

    @property
    def shown(self) -> tuple[SearchedTrial, ...]:
        """The trials that are shown: those of the front, or the best ones of one objective, best first."""
        complete = [one for one in self.trials if one.state == "COMPLETE" and one.values]
        # Trials with the same settings share a run, which is shown once, as its first trial.
        done = list({one.run or str(one.number): one for one in reversed(complete)}.values())
        sign = 1 if self.objectives[0].direction == "minimize" else -1
        done.sort(key=lambda one: (sign * one.values[0], one.number))
        if len(self.objectives) == 1:
            return tuple(done[:SHOWN])
        return tuple(one for one in done if one.number in self.front)[:MOST_SHOWN]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {**self.model_dump(mode="json"), "notes": self.notes}

    def numbers(self) -> dict[str, float]:
        """Return what MLflow records as metrics: the best value of each objective, and the importances."""
        found: dict[str, float] = {}
        for index, one in enumerate(self.objectives):
            known = [trial.values[index] for trial in self.trials if trial.state == "COMPLETE" and trial.values]
            if known:
                found[f"search/best/{one.name}"] = min(known) if one.direction == "minimize" else max(known)
            found |= {f"search/importance/{one.name}/{axis}": share for axis, share in one.importance.items()}
        return found

    def _trials_table(self) -> TextTable:
        names = self.axes or tuple(self.trials[0].params)
        several = len(self.objectives) > 1
        head = ("trial", *(one.name for one in self.objectives), *names, "run")
        rows = tuple(
            (
                str(one.number),
                *(format_number(value, 4) for value in one.values),
                *(_text(one.params.get(name)) for name in names),
                one.run or "",
            )
            for one in self.shown
        )
        front = {one.run or str(one.number) for one in self.trials if one.number in self.front}
        title = f"Pareto front, {len(front)} runs" if several else "Best trials"
        captions = ["no other trial is better in all objectives"] if several else []
        captions += ["chosen with the test set"] if self.uses_test else []
        return TextTable(title, _printable(head), tuple(map(_printable, rows)), "; ".join(captions))

    def _importance_table(self) -> TextTable:
        axes = list(dict.fromkeys(axis for one in self.objectives for axis in one.importance))
        axes.sort(key=lambda axis: -max(one.importance.get(axis, 0.0) for one in self.objectives))
        rows = tuple((axis, *(format_stat(one.importance.get(axis)) for one in self.objectives)) for axis in axes)
        head = ("axis", *(one.name for one in self.objectives))
        caption = "share of the variance of the objective over the trials (fANOVA)"
        return TextTable("Importance of the searched axes", _printable(head), tuple(map(_printable, rows)), caption)


def _printable(cells: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(printable(cell, 200) for cell in cells)


def _text(value: float | int | str | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write_search(report: SearchReport, folder: Path) -> None:
    """Write search.json beside a sweep."""
    write_atomically(folder / FILE, dump_json(report.to_dict()))


def read_search(folder: Path) -> SearchReport | None:
    """Return what a search of a sweep's folder found; None: it is no search.

    Raises:
        InputError: search.json is not what this program writes.
    """
    try:
        content = read_file(folder, FILE, MAX_DOCUMENT)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return parse_record(content, FILE, SearchReport)


@dataclass(frozen=True)
class NamedSweeps:
    """What is known of the sweeps whose directories are among the names of a comparison's runs.

    Attributes:
        uid:    of the sweep, if nothing else is named.
        search: what its search found.
        tested: names of the sweeps, among several names, whose search used the test set.
    """

    uid: str | None = None
    search: SearchReport | None = None
    tested: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What a reader of the comparison must know about the search that chose the settings."""
        if self.search:
            return self.search.notes
        tested = f"The test set was used to choose the settings of {', '.join(self.tested)} (sweep.allow_test=true)."
        return [tested] if self.tested else []


def named_sweeps(names: Sequence[str]) -> NamedSweeps:
    """Return what is known of the sweeps that are named by paths or patterns.

    Raises:
        InputError: only one sweep is named, and its files are not what this program writes.
    """
    alone = Path(names[0]) if len(names) == 1 else None
    uid = None if alone is None else _uid(alone)
    if alone is not None and (search := read_search(alone)) is not None:
        return NamedSweeps(uid, search)
    folders = [path for name in names for path in ([name] if os.path.lexists(name) else sorted(glob.glob(name)))]
    tested = []
    for folder in map(Path, folders):
        with suppress(InputError, OSError):
            found = read_search(folder)
            tested += [printable(folder.name)] if found is not None and found.uses_test else []
    return NamedSweeps(uid, tested=tuple(tested))


def _uid(folder: Path) -> str | None:
    """Return the uid in sweep.json; None if there is no such file, or no uid in it."""
    if not (folder / "sweep.json").is_file():
        return None
    document = parse_json(read_file(folder, "sweep.json", MAX_DOCUMENT), "sweep.json")
    uid = document.get("uid") if isinstance(document, dict) else None
    return uid if isinstance(uid, str) and re.fullmatch("[0-9a-f]{32}", uid) else None
