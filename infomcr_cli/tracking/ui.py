"""Serve the MLflow UI for a store on this machine: command, page addresses, process."""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass

from infomcr_cli.errors import InputError
from infomcr_cli.tracking.moved_store import settle
from infomcr_cli.tracking.store import Store, sqlite_path

LOOPBACK = "127.0.0.1"
PORT = 5000


@dataclass(frozen=True)
class UiCommand:
    """The command that starts the UI.

    Args:
        arguments:   for a separate process, without a shell.
        environment: of that process; the store's URI travels in it, since a command line can be read by anyone.
        address:     to open in a browser.
    """

    arguments: tuple[str, ...]
    environment: dict[str, str]
    address: str


def run_table(server: str, experiment: str) -> str:
    """Return the address of an experiment's table of runs; its default page is about traces of language models."""
    return f"{server}/#/experiments/{experiment}/runs?workflowType=machine_learning"


def run_page(server: str, run_id: str) -> str:
    """Return the address of a run's page on an MLflow server."""
    return f"{server}/#/runs/{run_id}"


def check_port(port: int) -> None:
    """Raise InputError if something else listens on a port of this machine."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else the port of a server that just ended is busy
        try:
            trial.bind((LOOPBACK, port))
        except OSError as error:
            raise InputError(
                f"the port is not free ({error.strerror})", received=port, advice="Choose another one with --port."
            ) from None


def ui_command(store: Store, port: int = PORT) -> UiCommand:
    """Return the command that serves a store's UI on the loopback interface.

    If the store was moved, the paths of its artifacts are updated first.

    Raises:
        InputError: the store does not exist yet, or is a server, which has its own UI.
    """
    path = sqlite_path(store.uri)
    if path is not None and not path.exists():
        raise InputError("no MLflow store found", received=str(path), advice="Train a run first.")
    settle(store)
    if store.uri.startswith(("http://", "https://")):
        raise InputError("this store is a server, which has its own UI", advice=f"Open {store.shown} in a browser.")
    quiet = ("--uvicorn-opts", "--log-level warning --no-access-log")
    arguments = ("-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1", *quiet)
    settings = {
        "MLFLOW_BACKEND_STORE_URI": store.uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else MLflow starts a second process, for jobs
    }
    return UiCommand((sys.executable, *arguments), {**os.environ, **settings}, f"http://{LOOPBACK}:{port}")
