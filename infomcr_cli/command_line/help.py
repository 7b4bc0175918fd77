"""How a command parses its words; its help: a usage line, examples, and the config groups with their choices."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand
from typer.models import CommandFunctionType as Function

from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.errors import InputError

EXAMPLES = {
    "train": (
        ("model=wrn", "reg=on", "--run-dir", "runs/on"),
        ("optimizer=adamw", "data.batch_size=32", "schedule.epochs=10"),
        ("--resume", "runs/on"),
    ),
    "sweep": (
        ("reg=off,on", "seed=0,1,2"),
        ("experiment=digits_batch_size", "data.batch_size=32,64", "optimizer.learning_rate=0.05,0.2"),
        (
            *("optimizer.learning_rate=tag(log,interval(0.01,0.5))", "data.validation_size=200"),
            *("sweep.search=optuna", "sweep.trials=40", "sweep.objective=validation_error"),
        ),
        ("--status", "--watch"),
    ),
    "eval": (("runs/on",), ("runs/on", "runs/off", "measure=fast"), ("runs/on", "--checkpoint", "best", "--json")),
    "compare": (
        ("runs/off", "runs/on"),
        ("sweeps/grid", "--html", "comparison.html", "--sort", "gamma"),
        ("sweeps/grid", "--max-train-loss", "0.01", "--by-family"),
    ),
    "report": (("runs/on",), ("runs/on", "--html", "on.html"), ("runs/on", "--json")),
    "judge": (
        ("table.csv", "--gap", "gap", "--axes", "width,learning_rate", "--n-test", "10000"),
        ("table.csv", "--gap", "gap", "--axes", "width", "--direction", "margin=higher"),
    ),
    "import": (
        ("mine.keras", "data=npz", "data.root=mine.npz", "--run-dir", "runs/mine"),
        ("nets/*.keras", "--table", "nets.csv", "data=npz", "data.root=mine.npz"),
    ),
    "export": (("runs/on", "on.keras"), ("runs/on", "on.onnx", "--checkpoint", "best")),
    "audit": (("runs/on",), ("runs/on", "--against", "runs/*", "--seeds", "2")),
    "path": (
        ("runs/seed0", "runs/seed1"),
        ("runs/seed0", "runs/seed1", "--align", "--steps", "2000"),
        ("runs/seed0@epoch-0005", "runs/seed0", "--steps", "0"),
    ),
    "landscape": (
        ("runs/off", "runs/on"),
        ("runs/off", "runs/on", "--dimensions", "2", "--directions", "hessian"),
        ("--through", "runs/a", "runs/b", "runs/c", "--samples", "all"),
    ),
    "spectrum": (("runs/off", "runs/on"), ("runs/on", "--operator", "fisher", "--samples", "500")),
    "runs": (
        ("reg.name=on", "optimizer.l2>=1e-4", "--sort", "-gap_error"),
        ("state=FINISHED", "--columns", "run,optimizer.l2,gamma,gap_error", "--csv", "runs.csv"),
    ),
    "tag": (("runs/on", "baseline", "group=digits"), ("runs/on", "--remove", "baseline"), ("runs/on",)),
    "note": (("runs/on", "The regularizer starts at epoch 5."), ("runs/on",)),
    "delete": (("runs/on", "runs/off"), ("runs/on", "--yes")),
    "sync": (("runs/*",), ("--prune",)),
    "ui": ((), ("--open",)),
    "measures": ((), ("gamma",)),
    "config": (("optimizer",), ("optimizer=adam",), ("reg.beta",)),
}
WITH_GROUPS = ("train", "sweep")  # commands that take any override


class Command(TyperCommand):
    """A command whose help shows examples and the config groups with their choices."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line; metavars already show which arguments are optional or repeatable."""
        arguments = [one for one in self.get_params(ctx) if one.param_type_name == "argument"]
        return [self.options_metavar or "", *(one.metavar or (one.name or "").upper() for one in arguments)]

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters; flags get no metavar."""
        params = super().get_params(ctx)
        for one in params:
            if getattr(one, "is_flag", False) and one.metavar is None:
                one.metavar = ""
        return list(params)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of a command line; an empty path would mean the working directory, so that it is refused."""
        valued = {name for one in self.get_params(ctx) if not getattr(one, "is_flag", True) for name in one.opts}
        for word, following in zip_longest(args, args[1:]):
            name, sign, value = word.partition("=")
            if name in valued and (following == "" if not sign else not value):
                raise InputError(f"{name} must have a value", received=f"{name} ''")
        return list(super().parse_args(ctx, args))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help, then examples and groups."""
        super().format_help(ctx, formatter)
        console = Console()
        if self.name in EXAMPLES:
            lines = [suggested_command(self.name, *words) for words in EXAMPLES[self.name]]
            console.print(_panel("Examples", Text("\n".join(lines))))
        if self.name in WITH_GROUPS:
            console.print(_panel("Groups: GROUP=CHOICE, and GROUP.SETTING=VALUE", _groups()))
            console.print(Text(f" {suggested_command('config', 'optimizer')} explains the settings of a group.\n"))


class App(typer.Typer):
    """A Typer app whose commands use `Command`."""

    def command(self, name: str | None = None, **options: Any) -> Callable[[Function], Function]:
        """Return a decorator that adds a command."""
        return super().command(name, **{"cls": Command, **options})


def _panel(title: str, content: Any) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="dim")


def _groups() -> Table:
    from infomcr_cli.config.search_path import group_choices

    table = Table(box=box.SIMPLE, show_header=False, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column()
    for group, names in group_choices(None).items():
        table.add_row(group, Text(", ".join(names)))
    return table
