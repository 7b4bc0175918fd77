"""A row of a benchmark: what was timed in turns, against what, and the ratio that is aimed at."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.timing import Side

GIGABYTE = 1e9
FASTER, SLOWER, MEMORY = "times faster", "times as long", "times the memory"


@dataclass(frozen=True)
class Row:
    """What was timed, and what took turns with it.

    Args:
        name:              what was timed.
        seconds:           of each turn; none: the row is of memory, or only ratios were kept.
        processor_seconds: the same of all cores, child processes included.
        peak_bytes:        memory at its highest; 0: not taken.
        against:           the other side; empty: there is none.
        other_seconds, other_peak_bytes: its own.
        ratios:            of each pair of turns, or one of the medians.
        meaning:           of a ratio: FASTER, SLOWER or MEMORY; empty without an other side.
        target:            of the ratio, or of the seconds without an other side: at least for FASTER, else at most.
        most_bytes:        that `peak_bytes` may be; 0: no limit.
    """

    name: str
    seconds: Sequence[float] = ()
    processor_seconds: Sequence[float] = ()
    peak_bytes: int = 0
    against: str = ""
    other_seconds: Sequence[float] = ()
    other_peak_bytes: int = 0
    ratios: Sequence[float] = ()
    meaning: str = ""
    target: float | None = None
    most_bytes: int = 0

    @property
    def value(self) -> float:
        """What the target limits: the median ratio, or the median of the seconds."""
        return statistics.median(self.ratios or self.seconds)

    @property
    def is_reached(self) -> bool:
        """Whether the target and the limit of memory hold; so does one that is not set."""
        if self.most_bytes and self.peak_bytes > self.most_bytes:
            return False
        if self.target is None:
            return True
        return self.value >= self.target if self.meaning == FASTER else self.value <= self.target

    def line(self) -> str:
        """Return the row for a terminal."""
        parts = [f"{self.name:44}", side(self.seconds, self.peak_bytes, self.processor_seconds)]
        if self.against:
            other = side(self.other_seconds, self.other_peak_bytes)
            parts += [f"{self.against}{' ' if other else ''}{other}", f"{spread(self.ratios)} {self.meaning}"]
        return "   ".join(part for part in (*parts, self.limit()) if part)

    def limit(self) -> str:
        """Return the limits in words, and whether one is missed."""
        wanted = []
        if self.target is not None:
            bound = "least" if self.meaning == FASTER else "most"
            wanted.append(f"at {bound} {self.target:g}{'' if self.against else ' s'}")
        if self.most_bytes:
            wanted.append(f"at most {self.most_bytes / GIGABYTE:g} GB")
        return ", ".join(wanted) + ("" if self.is_reached else ": missed")


def compared(name: str, ours: Side, other: Side, meaning: str, target: float | None = None, most_bytes: int = 0) -> Row:
    """Return the row of two sides of `timing.take_turns`."""
    return Row(
        name,
        ours.seconds,
        peak_bytes=ours.peak_bytes,
        against=other.name,
        other_seconds=other.seconds,
        other_peak_bytes=other.peak_bytes,
        ratios=ratios_of(ours.seconds, other.seconds, meaning),
        meaning=meaning,
        target=target,
        most_bytes=most_bytes,
    )


def ratios_of(ours: Sequence[float], other: Sequence[float], meaning: str) -> list[float]:
    """Return the ratio of each pair of turns, FASTER or SLOWER."""
    return [b / a if meaning == FASTER else a / b for a, b in zip(ours, other, strict=True)]


def side(seconds: Sequence[float], peak_bytes: int, processor_seconds: Sequence[float] = ()) -> str:
    """Return the seconds and the memory of one side.

    Examples:
        >>> side([1.0, 1.5, 1.2], 1_500_000_000), side([0.012], 0, [0.02])
        ('1.20 s (1.00 to 1.50), 1.50 GB', '12.0 ms (20.0 ms of the processors)')
    """
    found = []
    if seconds:
        found.append(spread(seconds, statistics.median(seconds) >= 0.1))
    if processor_seconds:
        middle = statistics.median(processor_seconds)
        found[-1:] = [f"{found[-1]} ({_time(middle, middle >= 0.1)} of the processors)"]
    return ", ".join([*found, f"{peak_bytes / GIGABYTE:.2f} GB"] if peak_bytes else found)


def spread(values: Sequence[float], in_seconds: bool | None = None) -> str:
    """Return the median, and the range of several values.

    Args:
        values:     ratios, or seconds.
        in_seconds: the unit of seconds to show, else milliseconds; None: they are ratios.

    Examples:
        >>> spread([1.0, 3.0, 2.0]), spread([0.5])
        ('2.00 (1.00 to 3.00)', '0.50')
    """
    middle = _time(statistics.median(values), in_seconds)
    if len(values) == 1:
        return middle
    low, high = (
        _time(value, in_seconds).removesuffix(" s").removesuffix(" ms") for value in (min(values), max(values))
    )
    return f"{middle} ({low} to {high})"


def _time(value: float, in_seconds: bool | None) -> str:
    if in_seconds is None:
        return f"{value:.2f}"
    return f"{value:.2f} s" if in_seconds else f"{1000 * value:.1f} ms"


def finish(rows: Iterable[Row], path: Path | None) -> int:
    """Write rows as JSON where a path is given; return 1 if a target is missed."""
    rows = list(rows)
    if path:
        path.write_text(json.dumps({"rows": [shortened(row) for row in rows]}, indent=1) + "\n", encoding="utf-8")
    return int(not all(row.is_reached for row in rows))


def shortened(row: Row) -> dict[str, Any]:
    """Return a row for JSON, without what was not taken; numbers with five digits."""
    return {key: _rounded(value) for key, value in asdict(row).items() if value or key == "name"}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    return [_rounded(one) for one in value] if isinstance(value, (list, tuple)) else value


def rows_of(document: Mapping[str, Any]) -> list[Row]:
    """Return the rows of what `finish` wrote."""
    return [Row(**row) for row in document["rows"]]
