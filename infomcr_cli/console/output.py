"""Standard output: it is opened and closed safely, and what it cannot encode is replaced."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


def open_streams() -> None:
    """Make standard output replace characters that it cannot encode, which would stop a command, by question marks.

    A standard stream that the caller has closed is opened on the null device, so that no file of a run gets its
    descriptor.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="replace")


def print_json(document: Any) -> None:
    """Print one JSON document; if standard output cannot encode a character, all but ASCII is escaped."""
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
    print(text if can_show(text) else json.dumps(document, indent=2, allow_nan=False))


def can_show(text: str) -> bool:
    """Return whether standard output can encode a text as it is."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def close_streams() -> OSError | None:
    """Flush both streams; return why standard output could not take all of it.

    What a broken stream still holds is dropped, because Python would report it as an error at exit.
    """
    _flush(sys.stderr)
    return _flush(sys.stdout)


def _flush(stream: TextIO | None) -> OSError | None:
    if stream is None or stream.closed:
        return None
    try:
        stream.flush()
    except OSError as error:
        with suppress(OSError, ValueError):  # a stream of a test has no descriptor
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            stream.flush()  # into nothing: the buffer is empty when Python flushes it at exit
        return error
    return None
