"""The command `config`: what the groups and settings of a run mean, from the schema and the files of configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from rich.console import RenderableType
from rich.text import Text

from infomcr_cli.config.compose import no_such
from infomcr_cli.config.default_values import (
    TOP,
    default_choices,
    default_values,
    text_of_choice,
    values_of_choice,
    values_of_sweep,
)
from infomcr_cli.config.reference import Setting, settings, settings_in, settings_of
from infomcr_cli.config.schema.sweep import SweepConfig
from infomcr_cli.config.search_path import group_choices
from infomcr_cli.console.settings import setting_details, settings_table, spelled_value
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.errors import InputError

SWEEP = "sweep"  # the group of what belongs to a sweep and to none of its runs


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
            yield from setting_details(self._entry(self.settings[0]), self.chosen, top=TOP)
            return
        for group, names in self._groups:
            default = f"  (default: {self.chosen[group]})" if group in self.chosen else ""
            yield Text.assemble((f"{group}=", "bold"), f"{' | '.join(names)}{default}")
        if self.settings:
            yield Text(f"\n{self.title}.…" if self.title in (*self.choices, SWEEP) else self.title, style="bold")
            prefix = f"{self.title.partition('=')[0]}." if self.title else ""  # shown once, above the table
            yield settings_table([self._entry(one) for one in self.settings], self.chosen, prefix, top=TOP)
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
            "example": f"{one.name}={spelled_value(_example(one, list(defaults.values())))}",
        }


def explain_config(word: str | None = None, config_dir: Path | None = None) -> Explanation:
    """Explain a group (`optimizer`), a choice (`optimizer=adam`), a part (`measure.gamma`) or a setting (`reg.beta`).

    Besides the settings of runs it knows those of a sweep: `sweep`, `sweep.trials`.

    Args:
        word: None: list the groups and the settings without a group.

    Raises:
        InputError: there is no such group, choice or setting.
    """
    groups, chosen = group_choices(config_dir), default_choices(config_dir)
    if not word:
        alone = [one for one in settings() if "." not in one.name]
        return Explanation("", alone, default_values(alone, groups, config_dir), groups, chosen)
    group, _, choice = word.partition("=")
    if group.partition(".")[0] == SWEEP:
        return _of_a_sweep(group, config_dir)
    if choice:
        return _of_choice(group, choice, groups, config_dir)
    found = [one for one in settings() if one.name == word or one.name.startswith(f"{word}.")]
    if not found and word not in groups:
        raise no_such(word, [*groups, SWEEP, *(one.name for one in settings())])
    shown = {word: groups[word]} if word in groups else {}
    return Explanation(word, found, default_values(found, groups, config_dir), shown, chosen)


def _of_a_sweep(word: str, config_dir: Path | None) -> Explanation:
    """Explain the settings of a sweep itself (`sweep`), or one of them (`sweep.trials`)."""
    known = settings_in(SweepConfig, SWEEP)
    found = [one for one in known if word in (SWEEP, one.name)]
    if not found:
        names = [one.name.removeprefix(f"{SWEEP}.") for one in known]
        raise InputError("a sweep has no such setting", received=word.removeprefix(f"{SWEEP}."), accepted=names)
    values = values_of_sweep(config_dir)
    return Explanation(word, found, {one.name: {SWEEP: values.get(one.name)} for one in found}, chosen={SWEEP: SWEEP})


def _of_choice(group: str, choice: str, groups: Mapping[str, Sequence[str]], config_dir: Path | None) -> Explanation:
    if group not in groups:
        raise InputError("this setting is not a group and has no choices", received=group, accepted=groups)
    if choice not in groups[group]:
        raise InputError(f"{group} must be one of its choices", received=choice, accepted=groups[group])
    if not any(one.name.startswith(f"{group}.") for one in settings()):
        return Explanation(f"{group}={choice}", text=text_of_choice(group, choice, config_dir))
    values = values_of_choice(group, choice, config_dir)
    known = settings_of(group, str(values.get(f"{group}.name")))
    defaults = {one.name: {choice: values[one.name]} for one in known if one.name in values}
    return Explanation(f"{group}={choice}", known, defaults, chosen={group: choice})


def _example(one: Setting, defaults: Sequence[Any]) -> Any:
    """Return a value that the setting takes: a choice that is not the default, the default, or one by its type."""
    others = [word for word in one.choices if word not in map(spelled_value, defaults)]
    if others:
        return others[0]
    given = next((value for value in defaults if value is not None and value != "???"), None)
    if given is not None:
        return given
    return {"whole number": 10, "number": 0.1, "true or false": True}.get(one.type.partition(",")[0], "…")
