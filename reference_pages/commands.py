"""The page of all commands, from the signatures of the functions behind them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from typer.models import CommandInfo, OptionInfo

from infomcr_cli.cli import app
from infomcr_cli.command_line.help import EXAMPLES
from infomcr_cli.console.suggestions import suggested_command
from reference_pages.markdown import code, plain, table

_HEAD = """# Commands

This page is generated. `infomcr COMMAND --help` prints the same in a terminal.

- With `--json`, every command prints one JSON document on standard output and everything else on standard error
  ([JSON documents](json.md)).
- Exit codes: 0 done; 1 a run failed; 2 bad input, with a message that says what was received and what is accepted;
  129, 130 and 143 interrupted.
- An override is `GROUP=CHOICE` or `GROUP.SETTING=VALUE`; [Settings](settings.md) lists all of them.
- `infomcr --install-completion` enables Tab completion of commands, settings, their values and run directories.

"""


_WORDS: dict[Any, str] = {int: "WHOLE NUMBER", float: "NUMBER", str: "TEXT", Path: "PATH"}


@dataclass(frozen=True)
class Parameter:
    """An argument or an option of a command.

    Args:
        info:    what Typer knows of it.
        kind:    its type, without null and list.
        default: in Python; None, or `...` for what must be given.
    """

    name: str
    info: Any
    kind: Any
    default: Any

    @property
    def is_option(self) -> bool:
        """Whether it is given by a name."""
        return isinstance(self.info, OptionInfo)

    @property
    def names(self) -> list[str]:
        """The names of an option, those that switch it off among them."""
        dashed = f"--{self.name.replace('_', '-')}"
        # Where a type is annotated, Typer takes the first name for a default until it makes the command.
        first = [self.info.default] if isinstance(self.info.default, str) else []
        given = [part for one in (*first, *(self.info.param_decls or ())) for part in one.split("/")]
        return given or ([dashed, f"--no-{dashed[2:]}"] if self.kind is bool else [dashed])

    @property
    def word(self) -> str:
        """What an argument is called, or what follows an option: nothing after a flag."""
        if self.info.metavar:
            return code(self.info.metavar)
        if self.kind is bool:
            return ""
        if isinstance(self.kind, type) and issubclass(self.kind, Enum):
            return " or ".join(code(str(one.value)) for one in self.kind)
        limits = zip("≥≤", (self.info.min, self.info.max), strict=True)
        bounds = " ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)
        return f"{code(_WORDS.get(self.kind, 'TEXT'))} {bounds}".strip()

    @property
    def default_text(self) -> str:
        """The value if it is not given; nothing if it then has none, and for a flag that is off."""
        if self.kind is bool:
            return code(self.names[0]) if self.default is True else ""
        return "" if self.default in (None, ...) else code(str(self.default))


def page() -> str:
    """Return the whole page, Markdown."""
    known = commands()
    rows = [(f"[`{name}`](#infomcr-{name})", plain(_help(one).partition("\n")[0])) for name, one in known.items()]
    return _HEAD + table(("command", "what it does"), rows) + "".join(_section(*item) for item in known.items())


def commands() -> dict[str, CommandInfo]:
    """Return the commands that are not hidden, by name."""
    shown = [one for one in app.registered_commands if not one.hidden]
    return {one.name or str(getattr(one.callback, "__name__", "")): one for one in shown}


def parameters(command: CommandInfo) -> list[Parameter]:
    """Return the arguments and options that are not hidden, in order."""
    assert command.callback is not None
    hints = get_type_hints(command.callback, include_extras=True)
    signature = inspect.signature(command.callback).parameters
    found = [_parameter(name, hints[name], one.default) for name, one in signature.items()]
    return [one for one in found if not one.info.hidden]


def _parameter(name: str, hint: Any, default: Any) -> Parameter:
    assert get_origin(hint) is Annotated
    kind, info = get_args(hint)[:2]
    while args := [one for one in get_args(kind) if one is not NoneType]:
        kind = args[0]
    return Parameter(name, info, kind, ... if default is inspect.Parameter.empty else default)


def _help(command: CommandInfo) -> str:
    return inspect.getdoc(command.callback) or ""


def _section(name: str, command: CommandInfo) -> str:
    found = parameters(command)
    arguments = [one for one in found if not one.is_option]
    options = [one for one in found if one.is_option]
    words = ["infomcr", name, *(["[OPTIONS]"] if options else []), *(one.word.strip("`") for one in arguments)]
    return "".join(
        [
            f"## infomcr {name}\n\n{plain(_help(command))}\n\n```text\n{' '.join(words)}\n```\n\n",
            table(("argument", "meaning"), [(one.word, plain(one.info.help or "")) for one in arguments]),
            table(("option", "default", "meaning"), map(_option, options)),
            _examples(name),
        ]
    )


def _option(one: Parameter) -> tuple[str, str, str]:
    return f"{', '.join(map(code, one.names))} {one.word}".strip(), one.default_text, plain(one.info.help or "")


def _examples(name: str) -> str:
    return "".join(["```sh\n", *_lines(name), "```\n\n"]) if name in EXAMPLES else ""


def _lines(name: str) -> Iterator[str]:
    return (f"{suggested_command(name, *words)}\n" for words in EXAMPLES[name])
