"""The command `ui`: serve MLflow's pages on this machine, and say where each experiment's runs are."""

from __future__ import annotations

import logging
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from infomcr_cli.console.output import print_json
from infomcr_cli.console.redaction import redact
from infomcr_cli.runs.surroundings import existing_store_folder
from infomcr_cli.signals import stop_on_signal
from infomcr_cli.tracking.store import Store, store_of
from infomcr_cli.tracking.ui import PORT, check_port, run_table, ui_command

MOST_SHOWN = 10
_log = logging.getLogger("infomcr.runs")


@dataclass(frozen=True)
class UiRequest:
    """What to serve.

    Attributes:
        runs_dir:     the folder of runs, beside which the default store is.
        tracking_uri: another store.
        opens:        open the table of the latest runs in a browser.
    """

    runs_dir: Path = Path("runs")
    tracking_uri: str | None = None
    port: int = PORT
    opens: bool = False
    as_json: bool = False


@dataclass(frozen=True)
class Page:
    """The table of an experiment's runs."""

    experiment: str
    address: str


def ui(request: UiRequest, console: Console) -> int:
    """Serve the MLflow UI until it ends or a signal comes; return the exit code.

    Raises:
        InputError: the port is not free, or there is no store to serve.
        RunFailedError: the server did not come up.
    """
    check_port(request.port)
    folder = existing_store_folder(request.runs_dir)
    store = store_of(request.tracking_uri, None, request.runs_dir, folder=folder)
    command = ui_command(store, request.port)
    from infomcr_cli.tracking.ui_server import served

    code = 0
    _say(console, f"The MLflow UI of {store.shown} starts.")
    with stop_on_signal() as stopped, served(command, lambda line: _say(console, line)) as server:
        pages = _pages(store, command.address)  # while the server starts, which takes seconds
        server.wait_until_it_answers()
        _announce(request, store, command.address, pages, console)
        code = server.wait()
    return code if stopped.number is None else 128 + stopped.number


def _pages(store: Store, address: str) -> list[Page]:
    """Return the tables of runs, the latest first; none if the store cannot be read."""
    from infomcr_cli.tracking.experiments import experiments_with_runs

    try:
        return [Page(one.name, run_table(address, one.id)) for one in experiments_with_runs(store)]
    except Exception as error:  # MLflow raises whatever its store raises; the server may still work
        _log.warning("Could not list the experiments of %s: %s", store.shown, redact(str(error))[:300])
        return []


def _announce(request: UiRequest, store: Store, address: str, pages: list[Page], console: Console) -> None:
    _say(console, f"{address} answers until Ctrl-C. Tables of runs:")
    width = max((len(page.experiment) for page in pages[:MOST_SHOWN]), default=0)
    for page in pages[:MOST_SHOWN]:
        _say(console, f"  {page.experiment:{width}}  {page.address}")
    if len(pages) > MOST_SHOWN:
        _say(console, f"  and {len(pages) - MOST_SHOWN} more experiments")
    if request.as_json:
        tables = [{"name": page.experiment, "address": page.address} for page in pages]
        print_json({"address": address, "experiments": tables})
        sys.stdout.flush()  # the command goes on, and a reader of its pipe waits for the document
    if request.opens:
        webbrowser.open(pages[0].address if pages else address)


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
