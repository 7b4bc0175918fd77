"""Shell completion: config groups, choices, settings and their values, and run directories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

RUN_FILE = "status.json"  # which every run directory has
MOST_FOLDERS = 1000
OF_A_MEASURED_RUN = ("measure", "device", "data.root", "tracking")


def complete_override(incomplete: str) -> list[str]:
    """Complete `GROUP=CHOICE`, setting names, and the values of a setting after its `=`."""
    from infomcr_cli.config.search_path import group_choices

    choices = group_choices(None)
    begun = _broken_by_bash()
    if begun is not None:
        key, value = begun
        return [one for one in choices.get(key) or _values(key) if one.startswith(value)]
    key, equals, value = incomplete.partition("=")
    if equals and key not in choices:
        return [f"{key}={one}" for one in _values(key) if one.startswith(value)]
    offers = [f"{group}={name}" for group, names in choices.items() for name in names]
    if not equals:
        from infomcr_cli.config.reference import settings

        offers += [f"{setting.name}=" for setting in settings()]
    return [offer for offer in offers if offer.startswith(incomplete)]


def complete_sweep(incomplete: str) -> list[str]:
    """Complete overrides and the settings of a sweep."""
    begun = _broken_by_bash()
    if begun is not None:
        key, value = begun
        choices = _sweep_settings().get(key, ())
        return [one for one in choices if one.startswith(value)] or complete_override(incomplete)
    offers = [f"{name}={one}" for name, choices in _sweep_settings().items() for one in (*choices, "")]
    offers = [one for one in offers if one.startswith(incomplete) and one != incomplete]
    return [*complete_override(incomplete), *offers]


def complete_config(incomplete: str) -> list[str]:
    """Complete the argument of `config`: groups, choices and settings."""
    from infomcr_cli.config.search_path import group_choices

    of_a_sweep = ("sweep", *_sweep_settings())
    offers = [*group_choices(None), *(offer.removesuffix("=") for offer in complete_override(incomplete)), *of_a_sweep]
    return [offer for offer in dict.fromkeys(offers) if _broken_by_bash() or offer.startswith(incomplete)]


def complete_run(incomplete: str) -> list[str]:
    """Complete run directories and folders that may contain some; an empty word completes to the runs in runs/."""
    folder, _, begun = incomplete.rpartition("/")
    place = Path(folder or ("/" if incomplete.startswith("/") else "."))
    if not incomplete and Path("runs").is_dir():
        folder, place = "runs", Path("runs")
    head = f"{folder}/" if folder or incomplete.startswith("/") else ""
    return [f"{head}{name}" for name in _folders(place) if name.startswith(begun)]


def complete_run_or_override(incomplete: str) -> list[str]:
    """Complete run directories, then the overrides that `eval` and similar commands accept."""
    overrides = complete_override(incomplete)
    if _broken_by_bash() is not None:
        return overrides
    return [*complete_run(incomplete), *(one for one in overrides if one.startswith(OF_A_MEASURED_RUN))]


def _folders(place: Path) -> Iterator[str]:
    """Yield the names of run directories, and those of other folders with a slash; skip hidden ones."""
    try:
        found = sorted(entry.name for entry in os.scandir(place) if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return
    for name in found[:MOST_FOLDERS]:
        yield name if (place / name / RUN_FILE).is_file() else f"{name}/"


def _sweep_settings() -> dict[str, tuple[str, ...]]:
    """Return the settings of a sweep with the choices of each."""
    from infomcr_cli.config.reference import words_of
    from infomcr_cli.config.schema.sweep import SweepConfig

    return {f"sweep.{name}": words_of(field) for name, field in SweepConfig.model_fields.items()}


def _values(key: str) -> list[str]:
    from infomcr_cli.config.reference import settings

    return list(next((setting.choices for setting in settings() if setting.name == key), ()))


def _broken_by_bash() -> tuple[str, str] | None:
    """Return the parts before and after `=` if bash split the word there, since it completes only the second."""
    words, at = os.environ.get("COMP_WORDS", "").split("\n"), os.environ.get("COMP_CWORD", "")
    reached = words[: int(at) + 1] if at.isdecimal() else []
    match reached:
        case [*_, key, "="]:
            return key, ""
        case [*_, key, "=", begun]:
            return key, begun
    return None
