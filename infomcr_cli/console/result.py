"""What every command returns, and how it is printed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from rich.console import Console, RenderableType
from rich.text import Text

from infomcr_cli.console.output import print_json


class Result(Protocol):
    """The result of a command: a JSON document, what a terminal shows, and an exit code."""

    @property
    def exit_code(self) -> int:
        """0 done, 1 a run failed, 129, 130 or 143 interrupted."""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""

    def renderables(self, width: int) -> Iterable[RenderableType]:
        """Return what a terminal of `width` columns shows; a string is a line that is not wrapped."""


def print_result(result: Result, *, as_json: bool) -> None:
    """Print a result on standard output; text from a run's files is never read as markup."""
    if as_json:
        print_json(result.to_dict())
        return
    console = Console()
    for part in result.renderables(console.width):
        shown = Text(part, no_wrap=True) if isinstance(part, str) else part
        console.print(shown, soft_wrap=isinstance(shown, Text) and bool(shown.no_wrap))
