"""The page of all settings, from the schema and the files of configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from infomcr_cli.explain_config import explain_config
from reference_pages.markdown import code, plain, table

_HEAD = """# Settings

A run takes one choice from each group. Write choices and settings as overrides on the command line:
`infomcr train model=wrn reg=on data.batch_size=64 seed=3`. This page is generated; `infomcr config GROUP`,
`infomcr config GROUP=CHOICE` and `infomcr config SETTING` print the same in a terminal, and
`infomcr train --print-config` prints all values of a run.

A setting "only with" some choices does not exist for the others. Unknown names and values out of range are refused
before anything is loaded; the error suggests the closest valid name. `null` means no value. Quote values with spaces,
commas or brackets for the shell: `'model.widths=[8,16,32]'`.

"""
_COLUMNS = ("setting", "type and range", "default", "meaning", "example")
_MANY = 8  # a setting of more choices of its group names them all in `infomcr config`


def page() -> str:
    """Return the whole page, Markdown."""
    document = explain_config().to_dict()
    groups: dict[str, Any] = document["groups"]
    rows = [(f"[`{name}`](#{name})", _choices(one), code(one["default"] or "")) for name, one in groups.items()]
    parts = [_HEAD, "## Groups\n\n", table(("group", "choices", "default"), rows)]
    parts += ["## Settings outside groups\n\n", table(_COLUMNS, [_row(one, None) for one in document["settings"]])]
    return "".join([*parts, *(_group(name, one) for name, one in groups.items()), _sweep()])


def _choices(group: Mapping[str, Any]) -> str:
    return ", ".join(map(code, group["choices"]))


def _group(name: str, group: Mapping[str, Any]) -> str:
    settings = explain_config(name).to_dict()["settings"]
    default = f", `{group['default']}` unless given" if group["default"] else ""
    head = f"## {name}\n\n`{name}=` {_choices(group)}{default}.\n\n"
    return head + table(_COLUMNS, [_row(one, group["default"]) for one in settings])


def _sweep() -> str:
    """Return the section of what a sweep is besides its runs."""
    rows = [_row(one, None) for one in explain_config("sweep").to_dict()["settings"]]
    return f"## sweep\n\nFor `infomcr sweep` alone.\n\n{table(_COLUMNS, rows)}"


def _row(setting: Mapping[str, Any], chosen: str | None) -> tuple[str, ...]:
    only = setting["only_with"]
    with_ = f" Only with {', '.join(map(code, only))}." if 0 < len(only) < _MANY else ""
    meaning = f"{plain(_sentence(setting['meaning']))}{with_}".strip()
    return (
        code(setting["name"]),
        _type(setting),
        _default(setting["defaults"], chosen),
        meaning,
        code(setting["example"]),
    )


def _sentence(text: str) -> str:
    return f"{text}." if text else ""


def _type(setting: Mapping[str, Any]) -> str:
    """Return the type in words with the choices and the range in their places, null last."""
    kind, null, _ = str(setting["type"]).partition(", or null")
    if kind == "null":
        kind, null = "", "`null`"
    choices = ", ".join(map(code, setting["choices"]))
    kind = choices if kind == "true or false" else kind.replace("one of its choices", choices)
    number = re.search("(whole )?number", kind)
    place = number.end() if number else len(kind)
    return f"{kind[:place]} {setting['range']}".strip() + kind[place:] + null


def _default(defaults: Mapping[str, Any], chosen: str | None) -> str:
    """Return one value where all choices agree; else that of each, the default choice first."""
    values = {choice: _spelled(value) for choice, value in defaults.items()}
    if len(set(values.values())) <= 1:
        return next(iter(values.values()), "")
    first: Sequence[str] = sorted(values, key=lambda choice: choice != chosen)
    return "; ".join(f"{values[choice]} ({choice})" for choice in first)


def _spelled(value: Any) -> str:
    if value == "???":
        return "must be given"
    if value is None or isinstance(value, bool):
        return code("null" if value is None else str(value).lower())
    if isinstance(value, list):
        return code(f"[{','.join(map(str, value))}]")
    return code(f"{value:g}" if isinstance(value, float) else str(value))
