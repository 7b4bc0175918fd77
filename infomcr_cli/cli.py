"""The command line `infomcr`: registers the commands and maps errors to exit codes. Imports nothing heavy."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from infomcr_cli import __version__
from infomcr_cli.command_line import comparing, landscapes, managing, measuring, networks, training
from infomcr_cli.command_line.help import App
from infomcr_cli.command_line.shared import complain
from infomcr_cli.console.output import close_streams, open_streams
from infomcr_cli.console.redaction import RedactingFilter, print_redacted
from infomcr_cli.errors import InputError, RunFailedError, explained
from infomcr_cli.user_folders import ensure_home

COMMANDS: dict[str, Callable[..., None]] = {  # in the order of the help
    "train": training.train,
    "eval": measuring.evaluate,
    "sweep": training.sweep,
    "compare": comparing.compare,
    "report": comparing.report,
    "audit": measuring.audit,
    "import": networks.import_model,
    "export": networks.export,
    "path": landscapes.path_between,
    "landscape": landscapes.landscape,
    "spectrum": landscapes.spectrum,
    "judge": comparing.judge,
    "measures": measuring.measures,
    "config": training.explain,
    "runs": managing.runs,
    "tag": managing.tag,
    "note": managing.note,
    "delete": managing.delete,
    "sync": managing.sync,
    "ui": managing.ui,
}

app = App(
    name="infomcr",
    help="Train networks, measure gamma and other flatness and generalization measures, and rank the measures.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"infomcr {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; bad input exits 2 with a message, never with a traceback."""
    open_streams()
    ensure_home()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    for handler in logging.root.handlers:
        handler.addFilter(RedactingFilter())
    try:
        code, spoilt = _exit_code(), _closed_output()
    except Exception:
        sys.excepthook = print_redacted  # only now: Typer sets its own when the command begins
        raise
    sys.exit(code or spoilt)


def _exit_code() -> int:
    """Run the command and return its exit code; print an error as one line."""
    try:
        app()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except InputError as error:
        complain(str(error))
        return 2
    except RunFailedError as error:
        complain(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return _refused(error)
    return 0


def _refused(error: OSError) -> int:
    """Print an error of the operating system as one line and return the exit code: 2 for a bad path, else 1."""
    if _closed_output():
        return 1
    reason = explained(error)
    if reason is None:
        raise error
    complain(str(reason))
    return 2 if isinstance(reason, InputError) else 1


def _closed_output() -> int:
    """Flush standard output; return 1 if that fails, and print the reason unless the reader closed the pipe."""
    broken = close_streams()
    if broken is not None and not isinstance(broken, BrokenPipeError):
        complain(f"cannot write to standard output ({broken.strerror})")
    return int(broken is not None)
