"""What commands share: common options, words that are runs or overrides, and how a result is printed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, Protocol

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from infomcr_cli.command_line.complete import complete_override
from infomcr_cli.console.output import print_json
from infomcr_cli.console.redaction import redact
from infomcr_cli.console.screen import Screen, say
from infomcr_cli.errors import InputError

stderr = Screen(stderr=True)

MaxTrainLoss = Annotated[
    float | None, typer.Option(metavar="LOSS", help="Leave out what has a higher training loss; it is said how many.")
]
ByFamily = Annotated[bool, typer.Option("--by-family", help="Name the best measure of each family.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
RunsDir = Annotated[Path, typer.Option(readable=False, help="The folder of runs; MLflow's store is beside it.")]
TrackingUri = Annotated[
    str | None, typer.Option(help="An MLflow store; default: MLFLOW_TRACKING_URI, else mlflow/ beside the runs.")
]
ConfigDir = Annotated[
    Path | None,
    typer.Option(
        readable=False,  # here and below: what cannot be read is said where it is read, in one line
        help="A folder of configuration that comes before infomcr's own; default: conf/, where there is one.",
    ),
]

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[OVERRIDE]...",
        help="Hydra overrides, such as model=wrn reg=on data.batch_size=64.",
        autocompletion=complete_override,
    ),
]


class Result(Protocol):
    """The result of a command: a JSON document, what a terminal shows, and an exit code."""

    @property
    def exit_code(self) -> int:
        """0 done, 1 a run failed, 129, 130 or 143 interrupted."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""

    def renderables(self, width: int) -> Iterable[RenderableType]:
        """Return what a terminal of `width` columns shows; a string is a line that is not wrapped."""


def finish(result: Result, as_json: bool, problem: str = "") -> NoReturn:
    """Print what a command returned, and its problem on standard error; exit with its code.

    Text from a run's files is never read as markup.

    Args:
        problem: one line, without secrets.
    """
    if as_json:
        print_json(result.to_dict())
    else:
        console = Console()
        for part in result.renderables(console.width):
            shown = Text(part, no_wrap=True) if isinstance(part, str) else part
            console.print(shown, soft_wrap=isinstance(shown, Text) and bool(shown.no_wrap))
    if problem:
        print_error(problem)
    raise typer.Exit(result.exit_code)


def continued(command: Callable[[], Result], as_json: bool) -> NoReturn:
    """Run a command that continues where it was stopped, and print its result."""
    from infomcr_cli.signals import stop_on_signal

    with stop_on_signal() as stopped:
        result = command()
    if stopped.number is not None:
        print_error("stopped; the same command continues")
        raise typer.Exit(128 + stopped.number)
    finish(result, as_json)


def runs_and_overrides(arguments: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return runs and overrides.

    A run is a path; whatever has a `=` and is no path that exists is an override.

    Raises:
        InputError: no run is named.
    """
    runs, overrides = split_words(arguments)
    if not runs:
        from infomcr_cli.runs.directory import where_runs_are

        raise InputError(
            "eval needs a run to measure", received=" ".join(arguments), advice=where_runs_are(Path("runs"))
        )
    return runs, overrides


def split_words(arguments: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what is no override, and the overrides: whatever has a `=` and is no path that exists."""
    overrides = tuple(word for word in arguments if "=" in word and not os.path.exists(word))
    return tuple(word for word in arguments if word not in overrides), overrides


def names_in(listed: str | None) -> tuple[str, ...]:
    """Return the names in a list with commas; one that contains a comma is in double quotes."""
    import csv

    names = next(csv.reader([listed or ""], skipinitialspace=True), [])
    return tuple(name.strip() for name in names if name.strip())


def confirmed(lines: Sequence[str], where: str) -> bool:
    """Show what goes, a line for each run, and ask."""
    for line in lines:
        say(stderr, line)
    question = f"Delete {len(lines)} run{'s' if len(lines) > 1 else ''} {where}?"
    return typer.confirm(question, err=True)


def complain(message: str) -> None:
    """Print one line on standard error, without secrets."""
    print_error(redact(message))


def print_error(line: str) -> None:
    """Print one line on standard error."""
    say(stderr, f"infomcr: {line}")
