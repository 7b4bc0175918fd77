"""The axes of a comparison: the settings that make the weights and differ between the runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from infomcr_cli.console.text import printable
from infomcr_cli.judging.ties import level_of, parse_number
from infomcr_cli.report.columns import REPLICATE
from infomcr_cli.report.evaluated_run import ComparedRun
from infomcr_cli.report.settings import setting_text
from infomcr_cli.runs.checkpoint import trained_on

ABSENT = "–"
SHOWN = 60  # characters of a value
DATA_ROOT = "data.root"


@dataclass(frozen=True)
class Axis:
    """One hyperparameter that was varied.

    Attributes:
        name:   the setting that names the axis.
        keys:   all settings that change together with it, itself included.
        labels: the value of each run, safe to print. Different values have different labels; numbers that agree to
                12 significant digits are one value.
    """

    name: str
    keys: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The distinct values: numbers in order, then the rest."""

        def key(text: str) -> tuple[bool, float, str]:
            number = parse_number(text)
            return number is None, number or 0.0, text

        return tuple(sorted(set(self.labels), key=key))


def find_axes(settings: Sequence[Mapping[str, Any]]) -> tuple[Axis, ...]:
    """Return the axes of some runs; the seed numbers replicates and is never one.

    Settings that always change together cannot be separated and make one axis, unless each run has its own value. A
    choice of a group (`reg.name`) that another setting of the group determines (`reg.beta`) is not an axis, nor is a
    setting that differs only because the choice does (`optimizer.momentum`, which Adam does not have).

    Args:
        settings: for each run its flat settings that make the weights.
    """
    names = sorted({name for one in settings for name in one if name != REPLICATE}, key=_choices_first)
    columns = {name: _one_text_per_value([setting_text(one, name) for one in settings]) for name in names}
    varied = {name: labels_of(column) for name, column in columns.items() if len(set(column)) > 1}
    together: dict[Any, list[str]] = {}
    for name, column in varied.items():
        together.setdefault(_partition(name, column), []).append(name)
    axes = [Axis(keys[0], tuple(keys), varied[keys[0]]) for keys in together.values()]
    axes = [axis for axis in axes if not any(_determines(other, axis) for other in axes)]
    return tuple(axis for axis in axes if not any(_belongs_to(axis, choice) for choice in axes))


def labels_of(column: Sequence[str | None]) -> tuple[str, ...]:
    """Return texts as they are shown: cut at 60 characters, None as `ABSENT`.

    Texts that differ only in what is cut or masked are numbered, so there are as many labels as texts.

    Examples:
        >>> labels_of(["on", None, "on"])
        ('on', '–', 'on')
    """
    shown = {text: ABSENT if text is None else printable(text, SHOWN) for text in dict.fromkeys(column)}
    alike: dict[str, list[str | None]] = {}
    for text, name in shown.items():
        alike.setdefault(name, []).append(text)
    numbered = {text: f"{name} ({alike[name].index(text) + 1})" for text, name in shown.items() if len(alike[name]) > 1}
    return tuple((shown | numbered)[text] for text in column)


def with_data_axis(runs: Sequence[ComparedRun]) -> list[ComparedRun]:
    """Return the runs with `data.root` among the settings that make the weights, if they differ in their data.

    Two places hold one data set if a run at the one was trained on the same images as a run at the other, or if it is
    not known what was trained on there.
    """
    places = dict.fromkeys(run.config.get(DATA_ROOT) for run in runs)
    if len(places) < 2:
        return list(runs)
    found: dict[Any, set[str]] = {place: set() for place in places}  # place -> fingerprints of its data
    for run in runs:
        found[run.config.get(DATA_ROOT)] |= {fingerprint for fingerprint in [trained_on(run.directory)] if fingerprint}
    names: dict[Any, Any] = {}  # place -> the first place with the same data
    for place, prints in found.items():
        same = (name for name in dict.fromkeys(names.values()) if not prints or prints & found[name] or not found[name])
        names[place] = next(same, place)
    if len(set(names.values())) < 2:
        return list(runs)
    return [replace(run, settings={**run.settings, DATA_ROOT: names[run.config.get(DATA_ROOT)]}) for run in runs]


def _one_text_per_value(column: Sequence[str | None]) -> tuple[str | None, ...]:
    """Return the column with one text for each value: 0.3 also for 0.30000000000000004, the first of the two."""
    level = level_of(column)
    first = {level[text]: text for text in reversed(column)}
    return tuple(first[level[text]] for text in column)


def _choices_first(name: str) -> tuple[str, bool, str]:
    group, _, rest = name.partition(".")
    return group, rest != "name", rest


def _partition(name: str, column: tuple[str, ...]) -> Any:
    """Return how a setting divides the runs; settings of different groups that differ in every run stay separate."""
    first = {value: index for index, value in reversed(list(enumerate(column)))}
    parts = tuple(first[value] for value in column)
    return (parts, name.partition(".")[0]) if len(first) == len(column) > 2 else parts


def _determines(fine: Axis, coarse: Axis) -> bool:
    group, _, rest = coarse.name.partition(".")
    if fine is coarse or rest != "name" or not fine.name.startswith(f"{group}."):
        return False
    return _is_function(coarse.labels, fine.labels)


def _belongs_to(axis: Axis, choice: Axis) -> bool:
    """Return whether all settings of an axis are of the group of a choice, and follow from it."""
    group, _, rest = choice.name.partition(".")
    if axis is choice or rest != "name" or any(not key.startswith(f"{group}.") for key in axis.keys):
        return False
    return _is_function(axis.labels, choice.labels)


def _is_function(values: Sequence[str], arguments: Sequence[str]) -> bool:
    return len(set(zip(arguments, values, strict=True))) == len(set(arguments))
