"""One place prints what every command returns."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import typer
from rich.console import RenderableType
from rich.text import Text

from infomcr_cli.command_line.shared import finish

LONG = "word " * 60


@dataclass(frozen=True)
class Shown:
    exit_code: ClassVar[int] = 0

    parts: tuple[RenderableType, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"parts": len(self.parts)}

    def renderables(self, width: int) -> Iterator[RenderableType]:
        yield from self.parts


def test_json_is_one_document_and_nothing_is_rendered(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        finish(Shown(("a", "b")), as_json=True)
    assert json.loads(capsys.readouterr().out) == {"parts": 2}


def test_a_string_is_one_line_and_never_markup(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        finish(Shown((LONG, "[red]x[/] :smile:")), as_json=False)
    assert capsys.readouterr().out.splitlines() == [LONG, "[red]x[/] :smile:"]


def test_text_is_wrapped_to_the_width(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    with pytest.raises(typer.Exit):
        finish(Shown((Text(LONG.strip()),)), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 40
