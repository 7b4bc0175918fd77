"""The commands `runs`, `tag`, `note`, `delete`, `sync` and `ui`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infomcr_cli.command_line.complete import complete_override, complete_run
from infomcr_cli.command_line.shared import AsJson, RunsDir, confirmed, finish, names_in, stderr
from infomcr_cli.errors import InputError

if TYPE_CHECKING:
    from infomcr_cli.tracking.prune import DeletedRun


class UploadedCheckpoints(StrEnum):
    """Which checkpoints are uploaded to MLflow."""

    none = "none"
    best = "best"
    last = "last"
    all = "all"


def runs(
    conditions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONDITION]...",
            help="List only runs that meet all conditions, such as reg.name=on 'optimizer.l2>=1e-4'. Operators: "
            "= != < <= > >=.",
            autocompletion=complete_override,
        ),
    ] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="NAME", help="Sort by this setting, measure or score; -NAME: descending.")
    ] = None,
    columns: Annotated[str | None, typer.Option(metavar="NAME,...", help="The columns to show.")] = None,
    csv: Annotated[Path | None, typer.Option(readable=False, help="Write the table to this file.")] = None,
    runs_dir: RunsDir = Path("runs"),
    repair: Annotated[bool, typer.Option("--repair", help="Close runs whose process is gone, in MLflow too.")] = False,
    tracking_uri: Annotated[
        str | None, typer.Option(help="With --repair: the MLflow store; default: each run's own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the runs of a folder, all or those that meet conditions on settings, measures or states."""
    from infomcr_cli.list_runs import RunQuery, list_runs

    query = RunQuery(tuple(conditions or ()), sort, names_in(columns), csv)
    finish(list_runs(runs_dir, repair=repair, tracking_uri=tracking_uri, query=query), as_json)


def tag(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory.", autocompletion=complete_run)],
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME[=VALUE]]...", help="Tags to set; default: print the tags.")
    ] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Remove this tag; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Set, remove or print the tags of a run; find it with `infomcr runs tag.NAME=VALUE`."""
    from infomcr_cli.annotate import tag_run

    finish(tag_run(run, tags or (), remove or ()), as_json)


def note(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory.", autocompletion=complete_run)],
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="The note, or '' to remove it; default: print it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set, replace or print the note of a run."""
    from infomcr_cli.annotate import note_run

    finish(note_run(run, text), as_json)


def delete(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run directories.", autocompletion=complete_run)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    tracking_uri: Annotated[
        str | None, typer.Option(help="The MLflow store to delete them in; default: each run's own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Move runs to .trash in the runs folder and delete them in MLflow; both can be undone."""
    from infomcr_cli.delete_runs import RunToDelete, delete_runs

    if not yes and not sys.stdin.isatty():
        raise InputError("deleting runs needs a confirmation", received="no terminal", advice="Give --yes.")

    def confirm(going: Sequence[RunToDelete]) -> bool:
        return yes or confirmed([one.line for one in going], "here and in MLflow")

    finish(delete_runs(runs, confirm=confirm, tracking_uri=tracking_uri), as_json)


def sync(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Run directories, quoted globs.", autocompletion=complete_run),
    ] = None,
    tracking_uri: Annotated[str | None, typer.Option(help="The MLflow store; default: each run's own.")] = None,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Also delete MLflow runs whose directories you deleted, after confirmation."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --prune: do not ask for confirmation.")] = False,
    checkpoints: Annotated[
        UploadedCheckpoints | None,
        typer.Option(help="Checkpoints whose weights to upload; default: each run's tracking.checkpoints."),
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Copy run directories to an MLflow store, including changed names and tags; safe to repeat."""
    from infomcr_cli.sync import PruneRequest
    from infomcr_cli.sync import sync as run_command

    if prune and not yes and not sys.stdin.isatty():
        raise InputError("deleting runs in MLflow needs a confirmation", received="no terminal", advice="Give --yes.")

    def confirm(gone: Sequence[DeletedRun]) -> bool:
        return yes or confirmed([f"{run.name}  {run.directory} is gone" for run in gone], "in MLflow")

    request = PruneRequest(confirm, runs_dir) if prune else None
    chosen = None if checkpoints is None else checkpoints.value
    finish(run_command(runs or (), tracking_uri=tracking_uri, prune=request, checkpoints=chosen), as_json)


def ui(
    runs_dir: RunsDir = Path("runs"),
    tracking_uri: Annotated[
        str | None,
        typer.Option(help="The MLflow store to show; default: MLFLOW_TRACKING_URI, else mlflow/ beside the runs."),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
    opens: Annotated[bool, typer.Option("--open", help="Open the latest experiment in a browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve the MLflow UI on this machine and print the addresses of the experiments."""
    from infomcr_cli.ui import UiRequest
    from infomcr_cli.ui import ui as run_command

    raise typer.Exit(run_command(UiRequest(runs_dir, tracking_uri, port, opens, as_json), stderr))
