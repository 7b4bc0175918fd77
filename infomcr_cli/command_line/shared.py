"""Common options of the commands, the split of arguments into runs and overrides, and printing of results."""

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
    float | None, typer.Option(metavar="LOSS", help="Exclude runs with a higher training loss, and print how many.")
]
ByFamily = Annotated[bool, typer.Option("--by-family", help="Print the best measure of each family.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
RunsDir = Annotated[Path, typer.Option(readable=False, help="The folder of runs; MLflow's store is beside it.")]
ConfigDir = Annotated[
    Path | None,
    typer.Option(
        readable=False,  # here and below: the code that reads a file reports errors, in one line
        help="A configuration folder that takes precedence over infomcr's own; default: conf/, if it exists.",
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
    """Print the result of a command, and its problem on standard error; exit with its exit code.

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
    """Run a command that can be interrupted and continued, and print its result."""
    from infomcr_cli.signals import stop_on_signal

    with stop_on_signal() as stopped:
        result = command()
    if stopped.number is not None:
        print_error("stopped; run the same command again to continue")
        raise typer.Exit(128 + stopped.number)
    finish(result, as_json)


def runs_and_overrides(arguments: list[str], command: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split the arguments of a command into runs and overrides.

    A word with a `=` is an override unless it is an existing path.

    Raises:
        InputError: there is no run.
    """
    runs, overrides = split_words(arguments)
    if not runs:
        from infomcr_cli.runs.directory import where_runs_are

        raise InputError(
            f"{command} needs a run to measure", received=" ".join(arguments), advice=where_runs_are(Path("runs"))
        )
    return runs, overrides


def split_words(arguments: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split words into others and overrides: those with a `=` that are not existing paths."""
    overrides = tuple(word for word in arguments if "=" in word and not os.path.exists(word))
    return tuple(word for word in arguments if word not in overrides), overrides


def names_in(listed: str | None) -> tuple[str, ...]:
    """Return the names in a comma-separated list; a name that contains a comma is in double quotes.

    Raises:
        InputError: it has several lines.
    """
    import csv

    try:
        names = next(csv.reader([listed or ""], skipinitialspace=True), [])
    except csv.Error as error:
        rule = "names must be separated by commas, and a name with a comma must be in double quotes"
        raise InputError(rule, received=listed, advice=f"{error}.") from None
    return tuple(name.strip() for name in names if name.strip())


def confirmed(lines: Sequence[str], where: str) -> bool:
    """Print one line for each run to delete, and ask for confirmation."""
    for line in lines:
        say(stderr, line)
    question = f"Delete {len(lines)} run{'s' if len(lines) > 1 else ''} {where}?"
    return typer.confirm(question, err=True)  # standard output may be a JSON document


def complain(message: str) -> None:
    """Print one line on standard error, without secrets."""
    print_error(redact(message))


def print_error(line: str) -> None:
    """Print one line on standard error."""
    say(stderr, f"infomcr: {line}")
