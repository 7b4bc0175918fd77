"""A process that imports MLflow, which takes seconds, while the command computes, and then handles its calls.

Both sides exchange JSON lines, so that nothing is unpickled. If the command is killed, the process finishes the current
call and ends, so that no run stays RUNNING in MLflow.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from infomcr_cli.runs.directory import RunDirectory
    from infomcr_cli.tracking.store import Store

# -P: without it, -m puts the working folder before the places where this process finds its modules.
COMMAND = (sys.executable, "-P", "-m", "infomcr_cli.tracking.process_calls")
GRACE = 10.0  # seconds from SIGTERM to SIGKILL: enough to record that a run was killed


class MlflowProcessError(Exception):
    """An error of MLflow in the process, without secrets; or the process ended."""


def is_mlflow_imported() -> bool:
    """Return whether this process has imported MLflow already."""
    return "mlflow" in sys.modules


class MlflowProcess:
    """Runs the MLflow calls of a command, in a separate process unless MLflow is already imported.

    Args:
        is_separate: whether it may have a process.

    Example:
        with MlflowProcess(is_separate=True) as mlflow:
            mlflow.prepare(run)
            ...                               # what takes the command as long as MLflow's import
            mlflow.mirror_results(run)
    """

    def __init__(self, *, is_separate: bool = False) -> None:
        self._is_separate = is_separate and not is_mlflow_imported()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> MlflowProcess:
        if self._is_separate:
            path = os.pathsep.join(map(os.path.abspath, sys.path))  # it finds the modules that this process finds
            self._process = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C reaches the command alone, which ends the process on its way out
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        self._process.terminate()  # between calls it ends at once; within one it first ends its run in MLflow
        try:
            self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what it did not read
                if pipe is not None:
                    pipe.close()

    def prepare(self, run: RunDirectory, tracking_uri: str | None = None) -> None:
        """Let the process connect to the store of a run, if it exists, without waiting."""
        if self._process is not None:
            with suppress(OSError):  # it has ended, which the next call says
                self._send("prepare", {"run": str(run.path), "tracking_uri": tracking_uri})

    def log_comparison(
        self,
        store: Store,
        name: str,
        runs: Sequence[RunDirectory],
        metrics: Mapping[str, float],
        artifacts: Iterable[Path],
        *,
        parent: str | None = None,
        note: str | None = None,
    ) -> str:
        """Call `parents.log_comparison` in the process.

        Raises:
            MlflowProcessError: the comparison could not be recorded.
        """
        if self._process is None:
            from infomcr_cli.tracking.parents import log_comparison

            return log_comparison(store, name, runs, metrics, artifacts, parent=parent, note=note)
        arguments = {
            "store": {**vars(store), "lock": None if store.lock is None else str(store.lock)},
            "name": name,
            "runs": [str(run.path) for run in runs],
            "metrics": dict(metrics),
            "artifacts": [str(path) for path in artifacts],
            "parent": parent,
            "note": note,
        }
        return str(self._call("log_comparison", arguments))

    def mirror_results(self, run: RunDirectory) -> None:
        """Call `mirror_results.mirror_results` in the process."""
        from infomcr_cli.tracking.mirror_results import mirror_results

        if self._process is None:
            mirror_results(run)
            return
        try:
            self._call("mirror_results", {"run": str(run.path)})
        except MlflowProcessError:  # it ended; a mirror that was cut off is continued
            mirror_results(run)

    def _send(self, function: str, arguments: Mapping[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"function": function, "arguments": arguments}).encode() + b"\n")
        self._process.stdin.flush()

    def _call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        """Return the result of a call, after logging its warnings."""
        assert self._process is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # it has ended: there is no answer either
            self._send(function, arguments)
        answer = self._process.stdout.readline()
        if not answer.endswith(b"\n"):
            raise MlflowProcessError(f"its process exited with code {self._process.wait()}")
        document = json.loads(answer)
        for logger, level, message in document["log"]:
            logging.getLogger(logger).log(level, "%s", message)
        if document["error"] is not None:
            raise MlflowProcessError(document["error"])
        return document["result"]
