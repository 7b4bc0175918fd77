"""What `infomcr eval` found, as flat numbers with the step that they belong to, for the mirror."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.documents import parse_json

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

    Raises: InputError: measures.json is no JSON.
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
