"""Run code that the user wrote: what it raises becomes bad input, and what it prints stays off standard output."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from infomcr_cli.errors import InputError

_LIBRARIES = tuple(
    f"{place}{os.sep}"
    for place in (*(sysconfig.get_paths()[key] for key in ("stdlib", "purelib", "platlib")), Path(__file__).parents[1])
)
LONGEST = 500  # characters of an error's text


@contextmanager
def user_code(rule: str) -> Iterator[None]:
    """Let an error inside the block, or a call of sys.exit, break a rule.

    Standard output may be one JSON document; what the block prints goes to standard error.

    Args:
        rule: what must hold, a sentence without a full stop, with the function that was named.

    Raises:
        InputError: the block raised anything; the message tells what, and in which line.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:
        if isinstance(error, InputError):  # a rule of ours, with its message
            raise
        raise InputError(rule, advice=f"{_told(error)}.") from error


def _told(error: BaseException) -> str:
    text = re.sub(r"\x1b\[[\d;]*m", "", str(error)).partition("Arguments received by")[0]
    text = " ".join(text.split())
    text = f"{text[:LONGEST]} …" if len(text) > LONGEST else text.rstrip(".")
    return f"{type(error).__name__}: {text}{_place(error)}"


def _place(error: BaseException) -> str:
    """File and line of an error: the innermost in the user's own code, where there is one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((*_LIBRARIES, "<"))]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
