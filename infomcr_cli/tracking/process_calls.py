"""The process of `tracking.process`: import MLflow, then handle calls, one JSON line each."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from infomcr_cli.console.redaction import note_password, redact
from infomcr_cli.imports import not_imported
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.signals import stop_on_signal
from infomcr_cli.tracking.client import connect, import_mlflow
from infomcr_cli.tracking.known_stores import store_of_run
from infomcr_cli.tracking.parents import log_comparison
from infomcr_cli.tracking.store import Store, sqlite_path
from infomcr_cli.user_folders import ensure_home

# MLflow imports these for models and data sets, which no call has, and does without them where they are missing.
UNUSED_BY_MLFLOW = ("IPython", "matplotlib", "numpy", "pandas", "pyarrow", "scipy", "sklearn")


def main() -> None:
    """Answer calls until standard input closes, or a signal ends the current call."""
    answers = os.dup(1)
    os.dup2(2, 1)  # standard output is only for answers: what libraries print goes to standard error
    ensure_home()
    log = _LogOfCall()
    logging.root.addHandler(log)
    with not_imported(UNUSED_BY_MLFLOW):
        import_mlflow()
    for line in sys.stdin.buffer:
        call = json.loads(line)
        with stop_on_signal() as stopped:
            answer = _answer(CALLS[call["function"]], call["arguments"])
        if stopped.number is not None:
            os._exit(128 + stopped.number)
        answer["log"] = log.taken()
        if call["function"] != "prepare":
            with suppress(BrokenPipeError):  # the command is gone
                os.write(answers, json.dumps(answer).encode() + b"\n")
    os._exit(0)  # nothing is left to do, and MLflow takes a while to shut down


class _LogOfCall(logging.Handler):
    """Collects log records for the command."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._records: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record as the command logs it."""
        self._records.append((record.name, record.levelno, redact(record.getMessage())))

    def taken(self) -> list[tuple[str, int, str]]:
        """Return the records since the last call."""
        records, self._records = self._records, []
        return records


def _answer(call: Callable[[Mapping[str, Any]], Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"result": call(arguments), "error": None}
    except Exception as error:  # MLflow raises whatever its store raises
        return {"result": None, "error": redact(str(error)) or type(error).__name__}


def _prepare(arguments: Mapping[str, Any]) -> None:
    """Connect in advance; a store is created only when there is something to write."""
    store = store_of_run(RunDirectory(Path(arguments["run"])), arguments["tracking_uri"])
    path = None if store is None else sqlite_path(store.uri)
    if store is not None and path is not None and path.exists():
        connect(store)


def _log_comparison(arguments: Mapping[str, Any]) -> str:
    document = arguments["store"]
    lock = None if document["lock"] is None else Path(document["lock"])
    store = Store(**{**document, "lock": lock})
    note_password(store.uri)
    return log_comparison(
        store,
        arguments["name"],
        [RunDirectory(Path(run)) for run in arguments["runs"]],
        arguments["metrics"],
        list(map(Path, arguments["artifacts"])),
        parent=arguments["parent"],
        note=arguments["note"],
    )


def _mirror_results(arguments: Mapping[str, Any]) -> None:
    from infomcr_cli.tracking.mirror_results import mirror_results  # `compare` does without what it imports

    mirror_results(RunDirectory(Path(arguments["run"])))


CALLS = {"prepare": _prepare, "log_comparison": _log_comparison, "mirror_results": _mirror_results}


if __name__ == "__main__":
    main()
