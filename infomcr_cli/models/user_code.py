"""Run code that the user wrote: its errors become InputError, and its prints go to standard error."""

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
MAX_LENGTH = 500  # characters of an error's text


@contextmanager
def user_code(rule: str) -> Iterator[None]:
    """Turn an error inside the block, or a call of sys.exit, into an InputError.

    What the block prints goes to standard error, because standard output may be one JSON document.

    Args:
        rule: what must hold: a sentence without a full stop that names the function.

    Raises:
        InputError: the block raised anything; the message says what, and in which line.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:
        if isinstance(error, InputError):  # it says already what is wrong
            raise
        raise InputError(rule, advice=f"{_description(error)}.") from error


def _description(error: BaseException) -> str:
    # Keras writes its messages in bold and appends the arguments of the call, whole tensors among them.
    text = re.sub(r"\x1b\[[\d;]*m", "", str(error)).partition("Arguments received by")[0]
    text = " ".join(text.split())
    text = f"{text[:MAX_LENGTH]} …" if len(text) > MAX_LENGTH else text.rstrip(".")
    return f"{type(error).__name__}: {text}{_location(error)}"


def _location(error: BaseException) -> str:
    """Return file and line of an error: the innermost in the user's own code, if there is one."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((*_LIBRARIES, "<"))]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
