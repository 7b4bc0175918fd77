"""The commands `eval`, `audit` and `measures`."""

from __future__ import annotations

from typing import Annotated

import typer

from infomcr_cli.command_line.complete import complete_run_or_override
from infomcr_cli.command_line.shared import AsJson, ConfigDir, finish, runs_and_overrides, stderr
from infomcr_cli.errors import InputError


def evaluate(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN... [OVERRIDE]...",
            help="Run directories, then overrides.",
            autocompletion=complete_run_or_override,
        ),
    ],
    checkpoint: Annotated[str, typer.Option(help="Checkpoint to measure: last, best, all, or a name.")] = "last",
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Compute gamma, other measures and the generalization gap of runs."""
    from infomcr_cli.evaluate import EvalRequest
    from infomcr_cli.evaluate import evaluate as run_command

    runs, overrides = runs_and_overrides(arguments, "eval")
    request = EvalRequest(runs, overrides, checkpoint, config_dir)
    finish(run_command(request, stderr, mlflow_process=True), as_json)


def audit(
    arguments: Annotated[
        list[str], typer.Argument(metavar="RUN [OVERRIDE]...", help="A run directory, then overrides.")
    ],
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN", help="Evaluated runs, or a quoted glob, that define the spread between minima; repeatable."
        ),
    ] = None,
    rescalings: Annotated[int, typer.Option(min=0, max=1000, help="Number of random layer rescalings.")] = 4,
    factor: Annotated[float, typer.Option(help="Largest rescaling factor.")] = 3.0,
    seeds: Annotated[int, typer.Option(min=0, max=1000, help="Retrain with this many other seeds.")] = 0,
    orders: Annotated[int, typer.Option(min=0, max=1000, help="Retrain with this many other batch orders.")] = 0,
    more_epochs: Annotated[
        list[int] | None, typer.Option(min=1, help="Train for this many more epochs; repeatable.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="Checkpoint: last, best, or a name.")] = "last",
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Test how much each measure changes when something changes that should not matter."""
    from infomcr_cli.audit import AuditRequest
    from infomcr_cli.audit import audit as run_command

    runs, overrides = runs_and_overrides(arguments, "audit")
    if len(runs) != 1:
        raise InputError("audit takes one run", received=" ".join(runs), advice="Give the others with --against.")
    request = AuditRequest(
        runs[0],
        overrides,
        tuple(against or ()),
        rescalings,
        factor,
        seeds,
        orders,
        tuple(more_epochs or ()),
        checkpoint,
        config_dir,
    )
    finish(run_command(request, stderr), as_json)


def measures(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Print all details of these measures: formula, source, …"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List all measures, one per line, or print the details of some."""
    from infomcr_cli.list_measures import list_measures

    finish(list_measures(names or ()), as_json)
