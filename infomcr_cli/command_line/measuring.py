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
    checkpoint: Annotated[str, typer.Option(help="last, best, all, or the name of one.")] = "last",
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Measure gamma and other generalization measures of a run, with the generalization gap."""
    from infomcr_cli.evaluate import EvalRequest
    from infomcr_cli.evaluate import evaluate as run_command

    runs, overrides = runs_and_overrides(arguments)
    request = EvalRequest(runs, overrides, checkpoint, config_dir)
    finish(run_command(request, stderr, mlflow_process=True), as_json)


def audit(
    arguments: Annotated[
        list[str], typer.Argument(metavar="RUN [OVERRIDE]...", help="A run directory, then overrides.")
    ],
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN", help="Runs whose measures give the spread between minima: a quoted glob; repeatable."
        ),
    ] = None,
    rescalings: Annotated[int, typer.Option(min=0, max=1000, help="How often layers are rescaled.")] = 4,
    factor: Annotated[float, typer.Option(help="Largest factor of a rescaling.")] = 3.0,
    seeds: Annotated[int, typer.Option(min=0, max=1000, help="Train it again with so many other seeds.")] = 0,
    orders: Annotated[int, typer.Option(min=0, max=1000, help="And with so many other orders of batches.")] = 0,
    more_epochs: Annotated[
        list[int] | None, typer.Option(min=1, help="Train it so many epochs further; repeatable.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="last, best, or the name of one.")] = "last",
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Show how far each measure moves when something changes that should not matter."""
    from infomcr_cli.audit import AuditRequest
    from infomcr_cli.audit import audit as run_command

    runs, overrides = runs_and_overrides(arguments)
    if len(runs) != 1:
        raise InputError("audit takes one run", received=" ".join(runs), advice="Others are named by --against.")
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
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Measures to show all about: formula, source, …")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the measures that eval knows, a line each, or show all about some of them."""
    from infomcr_cli.list_measures import list_measures

    finish(list_measures(names or ()), as_json)
