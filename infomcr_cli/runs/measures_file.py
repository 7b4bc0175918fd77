"""measures.json: what was measured at each checkpoint of a run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import dump_json, parse_json
from infomcr_cli.runs.lock import locked_file

FORMAT = 1


def record_measures(run: RunDirectory, name: str, evaluation: Mapping[str, Any]) -> None:
    """Add one checkpoint's evaluation to measures.json; those of other checkpoints stay.

    What was measured before of the very same weights stays too, unless it is measured anew: hours of work, perhaps.

    Args:
        name: the checkpoint as it was asked for: "last", "best" or its own name.
    """
    with locked_file(run.path / ".measures.lock"):
        recorded = _recorded(run)
        added = {"checkpoint": name, **evaluation}
        added["measures"] = {**_of_the_same(recorded.get(name), added), **evaluation.get("measures", {})}
        document = {"format": FORMAT, "checkpoints": {**recorded, name: added}}
        run.write("measures.json", dump_json(document))


def last_evaluation(run: RunDirectory, step: int) -> Mapping[str, Any] | None:
    """Return what measures.json holds of the last checkpoint; None where that was taken before `step`.

    Raises:
        InputError: measures.json is no JSON document.
    """
    last = _recorded(run).get("last")
    measured_at = last.get("step") if isinstance(last, dict) else None
    return last if isinstance(measured_at, int) and measured_at >= step else None


def _of_the_same(before: Any, now: Mapping[str, Any]) -> Mapping[str, Any]:
    """The measures of an evaluation whose step and scores are those of another one, to the last digit."""
    if not isinstance(before, dict) or any(before.get(key) != now.get(key) for key in ("step", "train", "test")):
        return {}
    measures = before.get("measures")
    return measures if isinstance(measures, dict) else {}


def _recorded(run: RunDirectory) -> dict[str, Any]:
    try:
        document = parse_json(run.read("measures.json"), f"measures.json of {run.name}")
    except FileNotFoundError:
        return {}
    recorded = document.get("checkpoints") if isinstance(document, dict) else None
    return recorded if isinstance(recorded, dict) else {}


PREFIX = "eval/"
MOST = 5000
_ODD = re.compile(r"[^A-Za-z0-9_./ -]")


@dataclass(frozen=True)
class MeasuredNumber:
    """One number of one evaluated checkpoint, such as eval/gamma at step 60."""

    name: str
    step: int
    value: float


def measured_numbers(run: RunDirectory) -> list[MeasuredNumber]:
    """Return the scores, gaps and measures that measures.json holds; what is no finite number is left out.

    Raises:
        InputError: measures.json is no JSON.
    """
    try:
        document = parse_json(run.read("measures.json"), f"measures.json of {run.name}")
    except FileNotFoundError:
        return []
    checkpoints = _mapping(_mapping(document).get("checkpoints"))
    found = {(n.name, n.step): n for entry in checkpoints.values() for n in _of_one(_mapping(entry))}
    return list(found.values())[:MOST]


def _of_one(entry: Mapping[str, Any]) -> Iterator[MeasuredNumber]:
    step = entry.get("step")
    if not isinstance(step, int) or not 0 <= step < 2**62:
        return
    for group in ("train", "test", "gap"):
        for name, value in _mapping(entry.get(group)).items():
            yield from _number(f"{group}_{name}", step, value)
    for name, measure in _mapping(entry.get("measures")).items():
        yield from _number(name, step, _mapping(measure).get("value"))


def _number(name: str, step: int, value: Any) -> Iterator[MeasuredNumber]:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value):
        yield MeasuredNumber(PREFIX + _ODD.sub("_", name)[:150], step, float(value))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
