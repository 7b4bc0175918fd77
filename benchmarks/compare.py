"""What became slower between two JSON documents of benchmarks: python -m benchmarks compare A.json B.json.

Every number whose name ends in `seconds` is compared with the one of the same place. Processor seconds stand for those
of the clock where a document has both: other work on the machine changes them less.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHANGED = 1.1  # ratio from which a time is said to have changed
SHORTEST = 0.05  # seconds; what takes less is noise
UNIT, OF_PROCESSORS = "seconds", "processor_seconds"


@dataclass(frozen=True)
class Change:
    """A time that differs.

    Args: name: its place. before, after: seconds.
    """

    name: str
    before: float
    after: float

    @property
    def ratio(self) -> float:
        """How many times as long it takes."""
        return self.after / self.before


def seconds_of(document: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """Yield place and seconds of all times of a document; of a list of times their median."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            if key == UNIT and OF_PROCESSORS in document:
                continue
            if str(key).endswith(UNIT) and (time := _time(value)) is not None:
                yield place or str(key), time
            else:
                yield from seconds_of(value, f"{place}/{key}" if place else str(key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            name = value.get("name", index) if isinstance(value, Mapping) else index
            yield from seconds_of(value, f"{place}/{name}" if place else str(name))


def _time(value: Any) -> float | None:
    if isinstance(value, list) and value and all(isinstance(one, (int, float)) for one in value):
        return float(statistics.median(value))
    return float(value) if isinstance(value, (int, float)) else None


def changes(before: Any, after: Any) -> list[Change]:
    """Return the times that changed by a tenth or more, the worst first."""
    old, new = dict(seconds_of(before)), dict(seconds_of(after))
    both = [Change(name, old[name], new[name]) for name in old if name in new]
    lasting = [one for one in both if max(one.before, one.after) >= SHORTEST and min(one.before, one.after) > 0]
    return sorted(
        (one for one in lasting if not 1 / CHANGED < one.ratio < CHANGED), key=lambda one: one.ratio, reverse=True
    )


def report(before: Any, after: Any) -> str:
    """Return what became slower and what faster, and how the machines differ."""
    found = changes(before, after)
    slower, faster = ([one for one in found if (one.ratio > 1) is up] for up in (True, False))
    lines = [*_machines(before, after), *_section("slower", slower), *_section("faster", faster[::-1])]
    return "\n".join(lines)


def _section(title: str, found: Sequence[Change]) -> list[str]:
    if not found:
        return [f"{title}: nothing"]
    return [f"{title}:"] + [
        f"  {one.name:50} {one.before:9.2f} s {one.after:9.2f} s {one.ratio:6.2f} x" for one in found
    ]


def _machines(before: Any, after: Any) -> Iterator[str]:
    first, second = (dict(document.get("machine") or {}) for document in (before, after))
    for key in sorted({*first, *second} - {"time", "load"}):
        if first.get(key) != second.get(key):
            yield f"other {key}: {first.get(key)}, {second.get(key)}"


def read(path: Path) -> Any:
    """Return a benchmark's document."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return document if isinstance(document, Mapping) else {"results": document}
