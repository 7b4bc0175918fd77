"""The command line in this process: cheap enough for a thousand mistakes."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Answer:
    """What a command said and how it exited; 70 stands for an exception that got out."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


def infomcr(arguments: Sequence[str], folder: Path) -> Answer:
    """Run `infomcr ARGUMENTS` in a folder and return its answer."""
    from infomcr_cli.cli import main

    out, err, home, argv = io.StringIO(), io.StringIO(), Path.cwd(), sys.argv
    handlers = logging.root.handlers[:]
    try:
        os.chdir(folder)
        sys.argv = ["infomcr", *arguments]
        logging.root.handlers = []
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _exit_code(main)
    finally:
        logging.root.handlers = handlers
        sys.argv = argv
        os.chdir(home)
    return Answer(code, out.getvalue(), err.getvalue())


def _exit_code(main: object) -> int:
    import traceback

    assert callable(main)
    try:
        main()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc(file=sys.stderr)
        return 70
    return 0
