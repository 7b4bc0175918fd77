"""Help of the commands: each shows examples, and the command line accepts them."""

from __future__ import annotations

import pytest
import typer.main

from infomcr_cli.cli import app
from infomcr_cli.command_line.help import EXAMPLES
from tests.conftest import CommandLine

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples(command_line: CommandLine, name: str) -> None:
    answer = command_line(name, "--help")
    assert answer.code == 0
    examples = answer.out.partition("Examples")[2]
    assert f"infomcr {name}" in examples


@pytest.mark.parametrize(("name", "words"), [(name, words) for name, all_ in EXAMPLES.items() for words in all_])
def test_examples_of_the_help_are_accepted_by_their_command(name: str, words: tuple[str, ...]) -> None:
    command = COMMANDS[name]
    context = command.make_context(name, list(words))
    assert not context.args
