"""Measure a slice a second time: gamma of normalised logits, the costly measures of a subset, gamma along training."""

from __future__ import annotations

import json
import math
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.place import Place, environment, infomcr, runs_of
from benchmarks.study.rows import conventions_in, further_cells, number
from benchmarks.study.slices import Family, Levels, Slice
from benchmarks.study.sweeps import stop
from benchmarks.study.tables import Row, Table

NORMALISED = {"gamma": "gamma_normalised"}  # the second evaluation measures gamma on logits of one norm
LOGIT_SCALE = "measure.gamma.logit_scale=0.04"
AT_ONCE = 4  # runs that a process measures before their cells are written
SAME = 1e-4  # relative difference of training losses of one network on two machines
Found = tuple[Levels, Path]


def run_further(family: Family, part: Slice, place: Place) -> None:
    """Add the cells of the second evaluation to the rows that lack them and whose runs are there."""
    known = place.table(family).known()
    lacking: dict[tuple[str, ...], list[Found]] = {}
    for job, path in runs_of(family, part, place):
        names, row = family.further(job), known.get(family.key(job), {})
        if row.get("state") == "FINISHED" and any(not row.get(NORMALISED.get(name, name)) for name in names):
            lacking.setdefault(names, []).append((job, path))
    for names, found in lacking.items():
        settings = [f"measure.names=[{','.join(names)}]", LOGIT_SCALE, *_of_measures(place)]
        for job, document in _evaluated(found, settings, place):
            _check_same_network(known[family.key(job)], document)
            place.table(family).merge([{**_keys(family, job), **further_cells(document, NORMALISED)}])
            place.keep_conventions(conventions_in(document))


def _check_same_network(row: Row, document: Mapping[str, Any]) -> None:
    """Exit if a run is not the one that its row was made of: a run that is trained again can differ in its last bits.

    Its row must be deleted then, so that all numbers in it are of one network.
    """
    loss = document["train"]["loss"]
    if not math.isclose(loss, float(row["train_loss"]), rel_tol=SAME):
        sys.exit(f"{document['run']} is not the run of row {row['id']}: its training loss is {loss}. Delete the row.")


def run_trajectories(family: Family, part: Slice, place: Place) -> None:
    """Measure gamma at every checkpoint of the runs that are to be followed, into `trajectories.csv`."""
    followed = [one for one in runs_of(family, part, place) if family.followed(one[0])]
    if not followed:
        return
    table = trajectories(family, place.tables)
    known = {tuple(row[name] for name in family.keys) for row in table.rows()}
    found = [one for one in followed if family.key(one[0]) not in known]
    ranked = place.table(family).known()
    finished = [one for one in found if ranked.get(family.key(one[0]), {}).get("state") == "FINISHED"]
    settings = ["measure.names=[gamma]", *_of_measures(place), "--checkpoint", "all"]
    for job, document in _evaluated(finished, settings, place):
        table.merge([{**_keys(family, job), **_point(document)}])


def _point(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the cells of one checkpoint: where it is in training, and gamma."""
    gamma = document["measures"]["gamma"]
    numbers = {
        "train_loss": document["train"]["loss"],
        "test_error": 1 - document["test"]["accuracy"],
        "gamma": gamma["value"],
        "gamma std_error": gamma.get("std_error"),
    }
    cells = {name: number(value) for name, value in numbers.items()}
    return {"checkpoint": document["checkpoint"], "step": str(document["step"]), **cells}


def trajectories(family: Family, tables: Path) -> Table:
    """Return the table of gamma along training."""
    return Table(tables / "trajectories.csv", (*family.keys, "checkpoint"))


def _keys(family: Family, job: Levels) -> dict[str, str]:
    return {name: job[name] for name in family.keys}


def _of_measures(place: Place) -> list[str]:
    return [one for one in place.overrides if one.startswith("measure.")]


def _evaluated(found: Sequence[Found], settings: Sequence[str], place: Place) -> Iterator[tuple[Levels, Any]]:
    """Yield each job with what `infomcr eval --json` says of its run, a few runs at a time, until the time is up."""
    size = place.jobs * AT_ONCE
    for start in range(0, len(found), size):
        if place.is_over:
            return
        some = found[start : start + size]
        job_of = {path.resolve(): job for job, path in some}
        for document in _documents([some[part :: place.jobs] for part in range(place.jobs)], settings, place):
            yield job_of[Path(document["run"]).resolve()], document


def _documents(shares: Sequence[Sequence[Found]], settings: Sequence[str], place: Place) -> list[Any]:
    """Evaluate each share of runs in a process of its own; return the objects of `runs` in their documents."""
    commands = [infomcr("eval", *(str(path) for _, path in share), *settings, "--json") for share in shares if share]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) for command in commands]
    try:
        parts = zip(processes, commands, strict=True)
        return [one for process, command in parts for one in _document(process, command, place)["runs"]]
    finally:
        for process in processes:
            stop(process)


def _document(process: subprocess.Popen[bytes], command: Sequence[str], place: Place) -> Any:
    """Return the JSON document that a process writes; one without runs if the time was up first."""
    left = None if place.deadline == float("inf") else place.seconds_left
    try:
        written = process.communicate(timeout=left)[0]
    except subprocess.TimeoutExpired:
        return {"runs": []}
    if not written:
        sys.exit(f"`infomcr eval` failed, see above: {shlex.join(command)}")
    return json.loads(written)
