"""The one harness that runs the command line in the test's own process: cheap enough for a thousand mistakes.

`infomcr` runs it in a folder; the fixture `command_line` of the root `conftest` runs it in `tmp_path`. Tests that kill
or signal a command start it as a process: `faults/fork_server.py` and `engine/sweeper.py`.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

UNCAUGHT = 70  # the exit code of a command that raised an exception


@dataclass(frozen=True)
class Answer:
    """The exit code of a command and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


CommandLine = Callable[..., Answer]


def infomcr(arguments: Sequence[str], folder: Path, *, catch: bool = True) -> Answer:
    """Run `infomcr ARGUMENTS` in a folder.

    Args:
        catch: report an exception that gets out as `UNCAUGHT` with its traceback; otherwise it ends the test.
    """
    from infomcr_cli.cli import main

    out, err, home, argv = io.StringIO(), io.StringIO(), Path.cwd(), sys.argv
    handlers = logging.root.handlers[:]
    try:
        os.chdir(folder)
        sys.argv = ["infomcr", *arguments]
        if catch:
            logging.root.handlers = []  # the command adds its own, which write to this standard error
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _exit_code(main, catch)
    finally:
        logging.root.handlers, sys.argv = handlers, argv
        os.chdir(home)
    return Answer(code, out.getvalue(), err.getvalue())


def _exit_code(main: Callable[[], None], catch: bool) -> int:
    try:
        main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        if not catch:
            raise
        traceback.print_exc(file=sys.stderr)
        return UNCAUGHT
    return 0
