"""metrics.jsonl: one strict JSON line for each logged step, the same bytes however often the run was killed."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import parse_json

MAX_METRICS = 1024**3
MAX_LINE = 1024 * 1024
_RESERVED = {"step", "epoch", "timing"}
_NAME = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_./ -]{0,199}$")
# JSON has no such numbers, so they are written as text.
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class MetricsLine:
    """The metrics that were logged at one step.

    Args:
        values: name → value; the same in every run of the same seed.
        timing: name → value; everything that depends on the clock. `time` is seconds since 1970.
    """

    step: int
    epoch: int
    values: Mapping[str, float]
    timing: Mapping[str, float] = field(default_factory=dict)


class RewrittenError(Exception):
    """The file was rewritten from an earlier step: its run was resumed there."""


class MetricsLog:
    """Appends to and reads from the metrics.jsonl of one run."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run

    def append(self, step: int, epoch: int, values: Mapping[str, float], timing: Mapping[str, float]) -> None:
        """Add one line, whole or not at all.

        Raises:
            OSError: the disk is full; the file is unchanged.
        """
        line = encode_line(MetricsLine(step, epoch, values, timing))
        descriptor = os.open(self._run.metrics, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            size = os.lseek(descriptor, 0, os.SEEK_END)
            try:
                _write_all(descriptor, line)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)

    def truncate_after(self, step: int, epoch: int | None = None) -> int:
        """Drop all lines after `step` and a torn last line, before a run is resumed there; return their number.

        Args:
            epoch: whole epochs done at `step`. A signal at the last step of an epoch leaves a checkpoint that precedes
                the line of this epoch; the line has the same step, and is dropped too.
        """
        keep, dropped = 0, 0
        content = self._content()
        for line in content.splitlines(keepends=True):
            if dropped or not _is_up_to(line, step, epoch):
                dropped += 1
            else:
                keep += len(line)
        if dropped:
            os.truncate(self._run.metrics, keep)
        return dropped

    def sync(self) -> None:
        """Write the appended lines to the disk, so that no checkpoint is ever ahead of its metrics."""
        if self._run.metrics.exists():
            # fsync applies to the file, whichever descriptor its lines were written through.
            descriptor = os.open(self._run.metrics, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def read(self) -> list[MetricsLine]:
        """Return all whole lines, in order; a torn last line is left out.

        Raises:
            InputError: a line is not what this program writes.
        """
        return self.read_from(0)[0]

    def read_from(self, offset: int) -> tuple[list[MetricsLine], int]:
        """Return the whole lines after a byte offset, and the offset after them.

        Args:
            offset: the offset that was returned before; 0 at first.

        Raises:
            RewrittenError: the file has become shorter, or no line ends at that offset: read again from 0.
            InputError: a line is not what this program writes.
        """
        content = self._content()
        if offset and content[offset - 1 : offset] != b"\n":
            raise RewrittenError
        content = content[offset:]
        whole = content[: content.rfind(b"\n") + 1]
        what = f"of metrics.jsonl of {self._run.name}" + (f" past byte {offset}" if offset else "")
        lines = [decode_line(line, f"line {number} {what}") for number, line in enumerate(whole.splitlines(), start=1)]
        return lines, offset + len(whole)

    def _content(self) -> bytes:
        try:
            return self._run.read("metrics.jsonl", MAX_METRICS)
        except FileNotFoundError:
            return b""


def encode_line(line: MetricsLine) -> bytes:
    """Return the JSON line, newline included; each number is the shortest decimal that reads back as the same number.

    Raises:
        ValueError: a name is reserved or holds characters that MLflow refuses.
    """
    for name in (*line.values, *line.timing):
        if name in _RESERVED or not _NAME.match(name):
            raise ValueError(f"a metric's name may contain only letters, digits, _./- and space; got {name!r}")
    values = {name: _to_json(value) for name, value in line.values.items()}
    timing = {name: _to_json(value) for name, value in line.timing.items()}
    record = {"step": int(line.step), "epoch": int(line.epoch), **values, "timing": timing}
    return (json.dumps(record, allow_nan=False, separators=(", ", ": ")) + "\n").encode()


def decode_line(content: bytes, what: str) -> MetricsLine:
    """Return the metrics in one JSON line.

    Raises:
        InputError: it is not an object, or has a name or a number of the wrong kind.
    """
    record = parse_json(content, what, limit=MAX_LINE)
    if not isinstance(record, dict) or not all(_is_count(record.get(key)) for key in ("step", "epoch")):
        raise InputError(f"{what} must be an object with step and epoch")
    timing = record.get("timing", {})
    values = {name: value for name, value in record.items() if name not in _RESERVED}
    if not isinstance(timing, dict):
        raise InputError(f"{what} must have an object under timing")
    return MetricsLine(record["step"], record["epoch"], _numbers(values, what), _numbers(timing, what))


def _numbers(record: Mapping[str, Any], what: str) -> dict[str, float]:
    numbers = {}
    for name, value in record.items():
        if not _NAME.match(name):
            raise InputError(f"{what} must name metrics by letters, digits and _./-", received=printable(name))
        numbers[name] = _from_json(value, name, what)
    return numbers


def _to_json(value: float) -> float | int | str:
    number = value if type(value) is int else float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")


def _from_json(value: Any, name: str, what: str) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, int | float) or (isinstance(value, int) and abs(value) > 2**63):
        raise InputError(f"{what} must have a number under {printable(name)}", received=printable(repr(value)))
    return float(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**15


def _is_up_to(line: bytes, step: int, epoch: int | None) -> bool:
    if not line.endswith(b"\n"):
        return False
    found = decode_line(line, "a line of metrics.jsonl")
    return found.step <= step and (epoch is None or found.epoch <= epoch)


def _write_all(descriptor: int, content: bytes) -> None:
    """Write all bytes: `os.write` may write only a part of them, as when the disk is nearly full."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
