"""The command `config`: what the groups and settings of a run mean, from the schema and the files of configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from infomcr_cli.config.compose import no_such
from infomcr_cli.config.reference import Setting, settings, settings_in, settings_of
from infomcr_cli.config.schema.sweep import SweepConfig
from infomcr_cli.config.search_path import group_choices, search_path
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.errors import InputError

TOP = "config"  # the file of what belongs to no group
SWEEP = "sweep"  # the file of what belongs to a sweep and to none of its runs


@dataclass(frozen=True)
class Explanation:
    """Settings with their defaults, or the groups.

    Args:
        title:    the requested part.
        settings: what is explained; empty: the groups are listed.
        defaults: name of a setting → choice → value in the choice's file.
        choices:  of each group.
        chosen:   the choice of each group that a run has if none is given.
        text:     content of the choice's file, if it is no record of settings.
    """

    exit_code: ClassVar[int] = 0

    title: str
    settings: Sequence[Setting] = ()
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    chosen: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `config --json`."""
        groups = {group: {"choices": list(names), "default": self.chosen.get(group)} for group, names in self._groups}
        entries = [self._entry(one) for one in self.settings]
        return {"groups": groups, "settings": entries} | ({"text": self.text} if self.text else {})

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield a card of one setting, a table of several, or the groups."""
        if len(self.settings) == 1:
            yield from _card(self._entry(self.settings[0]), self.chosen)
            return
        for group, names in self._groups:
            default = f"  (default: {self.chosen[group]})" if group in self.chosen else ""
            yield Text.assemble((f"{group}=", "bold"), f"{' | '.join(names)}{default}")
        if self.settings:
            yield Text(f"\n{self.title}.…" if self.title in (*self.choices, SWEEP) else self.title, style="bold")
            prefix = f"{self.title.partition('=')[0]}." if self.title else ""  # shown once, above the table
            yield _table([self._entry(one) for one in self.settings], self.chosen, prefix)
        if self.text:
            yield Text(self.text)
        shown = [suggested_command("config", word) for word in ("optimizer", "reg.beta", SWEEP)]
        yield Text(f"\n`{shown[0]}` explains a group, `{shown[1]}` a setting, `{shown[2]}` the settings of a sweep.")

    @property
    def _groups(self) -> list[tuple[str, Sequence[str]]]:
        return list(self.choices.items())

    def _entry(self, one: Setting) -> dict[str, Any]:
        """Return the JSON document of one setting."""
        defaults = dict(self.defaults.get(one.name, {}))
        return {
            "name": one.name,
            "meaning": one.meaning,
            "type": one.type,
            "range": one.range,
            "choices": list(one.choices),
            "only_with": list(one.of),
            "defaults": defaults,
            "example": f"{one.name}={_spelled(_example(one, list(defaults.values())))}",
        }


def explain_config(word: str | None = None, config_dir: Path | None = None) -> Explanation:
    """Explain a group (`optimizer`), a choice (`optimizer=adam`), a part (`measure.gamma`) or a setting (`reg.beta`).

    Besides the settings of runs it knows those of a sweep: `sweep`, `sweep.trials`.

    Args:
        word: None: list the groups and the settings without a group.

    Raises:
        InputError: there is no such group, choice or setting.
    """
    groups, chosen = group_choices(config_dir), _chosen(config_dir)
    if not word:
        alone = [one for one in settings() if "." not in one.name]
        return Explanation("", alone, _defaults(alone, groups, config_dir), groups, chosen)
    group, _, choice = word.partition("=")
    if group.partition(".")[0] == SWEEP:
        return _of_a_sweep(group, config_dir)
    if choice:
        return _of_choice(group, choice, groups, config_dir)
    found = [one for one in settings() if one.name == word or one.name.startswith(f"{word}.")]
    if not found and word not in groups:
        raise no_such(word, [*groups, SWEEP, *(one.name for one in settings())])
    shown = {word: groups[word]} if word in groups else {}
    return Explanation(word, found, _defaults(found, groups, config_dir), shown, chosen)


def _of_a_sweep(word: str, config_dir: Path | None) -> Explanation:
    """Explain the settings of a sweep itself (`sweep`), or one of them (`sweep.trials`)."""
    known = settings_in(SweepConfig, SWEEP)
    found = [one for one in known if word in (SWEEP, one.name)]
    if not found:
        names = [one.name.removeprefix(f"{SWEEP}.") for one in known]
        raise InputError("a sweep has no such setting", received=word.removeprefix(f"{SWEEP}."), accepted=names)
    values = _flat(_file("", SWEEP, config_dir), f"{SWEEP}.")
    return Explanation(word, found, {one.name: {SWEEP: values.get(one.name)} for one in found}, chosen={SWEEP: SWEEP})


def _of_choice(group: str, choice: str, groups: Mapping[str, Sequence[str]], config_dir: Path | None) -> Explanation:
    if group not in groups:
        raise InputError("this setting is not a group and has no choices", received=group, accepted=groups)
    if choice not in groups[group]:
        raise InputError(f"{group} must be one of its choices", received=choice, accepted=groups[group])
    if not any(one.name.startswith(f"{group}.") for one in settings()):
        return Explanation(f"{group}={choice}", text=_text(group, choice, config_dir))
    values = _flat(_file(group, choice, config_dir), f"{group}.")
    known = settings_of(group, str(values.get(f"{group}.name")))
    defaults = {one.name: {choice: values[one.name]} for one in known if one.name in values}
    return Explanation(f"{group}={choice}", known, defaults, chosen={group: choice})


def _defaults(
    found: Sequence[Setting], groups: Mapping[str, Sequence[str]], config_dir: Path | None
) -> dict[str, dict[str, Any]]:
    """Return the values of settings in the files of all choices; under `config` what belongs to no group."""
    defaults: dict[str, dict[str, Any]] = {one.name: {} for one in found}
    for group in dict.fromkeys(one.name.partition(".")[0] for one in found):
        for choice in groups.get(group, ()):
            for name, value in _flat(_file(group, choice, config_dir), f"{group}.").items():
                if name in defaults:
                    defaults[name][choice] = value
    top = _file("", TOP, config_dir)
    for name in defaults:
        if name in top:
            defaults[name][TOP] = top[name]
    return defaults


def _chosen(config_dir: Path | None) -> dict[str, str]:
    """Return the choice of each group that a run has if none is given."""
    listed = _file("", TOP, config_dir).get("defaults", [])
    pairs = [
        pair for one in (listed if isinstance(listed, list) else []) if isinstance(one, dict) for pair in one.items()
    ]
    return {str(group): str(choice) for group, choice in pairs if choice and " " not in str(group)}


def _file(group: str, name: str, config_dir: Path | None) -> dict[str, Any]:
    """Return what the first file of that name holds; nothing if it is no mapping."""
    try:
        found = yaml.safe_load(_text(group, name, config_dir))
    except (ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(group: str, name: str, config_dir: Path | None) -> str:
    """Return the first file of that name; an empty text if it cannot be read."""
    paths = [folder / group / f"{name}.yaml" for folder in search_path(config_dir)]
    try:
        return next((path.read_text(encoding="utf-8") for path in paths if path.is_file()), "")
    except (OSError, ValueError):
        return ""


def _flat(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= {name: value} | (_flat(value, f"{name}.") if isinstance(value, dict) else {})
    return flat


def _example(one: Setting, defaults: Sequence[Any]) -> Any:
    """Return a value that the setting takes: a choice that is not the default, the default, or one by its type."""
    others = [word for word in one.choices if word not in map(_spelled, defaults)]
    if others:
        return others[0]
    given = next((value for value in defaults if value is not None and value != "???"), None)
    if given is not None:
        return given
    return {"whole number": 10, "number": 0.1, "true or false": True}.get(one.type.partition(",")[0], "…")


def _spelled(value: Any) -> str:
    """Return a value as an override spells it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "null"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_spelled, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _default_text(entry: Mapping[str, Any], chosen: Mapping[str, str]) -> str:
    """Return the default of the group's own choice; for a setting that it does not have, those of the others."""
    defaults = {choice: _spelled(value) for choice, value in entry["defaults"].items()}
    own = defaults.get(chosen.get(entry["name"].partition(".")[0], TOP), defaults.get(TOP))
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


def _table(entries: Sequence[Mapping[str, Any]], chosen: Mapping[str, str], prefix: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("setting", no_wrap=True)
    table.add_column("default", overflow="fold", max_width=18)
    table.add_column("type and meaning", overflow="fold")
    for entry in entries:
        words = [_type_text(entry), entry["meaning"]]
        only = f" (only {', '.join(entry['only_with'])})" if 0 < len(entry["only_with"]) < 8 else ""
        text = ". ".join(word for word in words if word) + only
        table.add_row(Text(entry["name"].removeprefix(prefix)), Text(_default_text(entry, chosen)), Text(text))
    return table


def _card(entry: Mapping[str, Any], chosen: Mapping[str, str]) -> Iterator[RenderableType]:
    others = {_spelled(value) for value in entry["defaults"].values()}
    by_choice = ", ".join(f"{choice} {_spelled(value)}" for choice, value in entry["defaults"].items())
    lines = {
        "meaning": entry["meaning"],
        "type": _type_text(entry),
        "default": by_choice if len(others) > 1 else _default_text(entry, chosen),
        "only with": ", ".join(entry["only_with"]),
        "example": entry["example"],
    }
    yield Text(entry["name"], style="bold")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, text in lines.items():
        if text:
            table.add_row(Text(f"  {name}"), Text(text))
    yield table
