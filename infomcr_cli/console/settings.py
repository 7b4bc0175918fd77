"""Show settings with their meanings: a table of several, or one on its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text


def settings_table(entries: Sequence[Mapping[str, Any]], chosen: Mapping[str, str], prefix: str, *, top: str) -> Table:
    """Return a row for each setting: name, default, type and meaning.

    Args:
        entries: documents of settings, as `config --json` gives them.
        chosen:  the choice of each group whose default is shown.
        prefix:  what the names have in common; it is left out.
        top:     what stands for a choice if a setting belongs to no group.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("setting", no_wrap=True)
    table.add_column("default", overflow="fold", max_width=18)
    table.add_column("type and meaning", overflow="fold")
    for entry in entries:
        words = [_type_text(entry), entry["meaning"]]
        only = f" (only {', '.join(entry['only_with'])})" if 0 < len(entry["only_with"]) < 8 else ""
        text = ". ".join(word for word in words if word) + only
        table.add_row(Text(entry["name"].removeprefix(prefix)), Text(_default_text(entry, chosen, top)), Text(text))
    return table


def setting_details(entry: Mapping[str, Any], chosen: Mapping[str, str], *, top: str) -> Iterator[RenderableType]:
    """Yield the name of a setting and a line for each thing that is known of it; arguments as for `settings_table`."""
    others = {spelled_value(value) for value in entry["defaults"].values()}
    by_choice = ", ".join(f"{choice} {spelled_value(value)}" for choice, value in entry["defaults"].items())
    lines = {
        "meaning": entry["meaning"],
        "type": _type_text(entry),
        "default": by_choice if len(others) > 1 else _default_text(entry, chosen, top),
        "only with": ", ".join(entry["only_with"]),
        "example": entry["example"],
    }
    yield Text(entry["name"], style="bold")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, text in lines.items():
        if text:
            table.add_row(Text(f"  {name}"), Text(text))
    yield table


def _default_text(entry: Mapping[str, Any], chosen: Mapping[str, str], top: str) -> str:
    """Return the default of the group's own choice; for a setting that it does not have, those of the others."""
    defaults = {choice: spelled_value(value) for choice, value in entry["defaults"].items()}
    own = defaults.get(chosen.get(entry["name"].partition(".")[0], top), defaults.get(top))
    if own is not None:
        return "must be given" if own == "???" else own
    return ", ".join(dict.fromkeys(defaults.values())).replace("???", "must be given")


def _type_text(entry: Mapping[str, Any]) -> str:
    """Return choices, or the type with its range and choices in their places: number > 0, or null."""
    kind, null, _ = str(entry["type"]).partition(", or null")
    choices = " | ".join(entry["choices"])
    if kind in ("one of its choices", "true or false"):
        return choices
    kind = kind.replace("one of its choices", choices)
    number = re.search("(whole )?number", kind)
    place = number.end() if number else len(kind)
    return f"{kind[:place]} {entry['range']}".strip() + kind[place:] + null


def spelled_value(value: Any) -> str:
    """Return a value as an override spells it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "null"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(spelled_value, value))}]"
    is_short = isinstance(value, float) and float(f"{value:g}") == value
    return f"{value:g}" if is_short else str(value)
