"""Read the `sweep.…` overrides, which belong to the sweep and not to its runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import ChoiceSweep, Override, QuotedString
from pydantic import ValidationError

from infomcr_cli.config.overrides import parse, refuse_sweeps
from infomcr_cli.config.schema.sweep import SweepConfig
from infomcr_cli.config.search_path import search_path
from infomcr_cli.config.validation_errors import validation_errors
from infomcr_cli.errors import InputError

_LISTS = ("objective", "directions")
OF_A_SEARCH = (
    *("search", "trials", "objective", "directions", "sampler", "search_seed", "pruner", "pruner_warmup"),
    "allow_test",
)


@dataclass(frozen=True)
class SweepArguments:
    """The settings of a sweep, and the overrides for its runs."""

    sweep: SweepConfig
    overrides: tuple[str, ...]


def split_arguments(arguments: Sequence[str], config_dir: Path | None = None) -> SweepArguments:
    """Separate the `sweep.…` overrides from the others and apply them to conf/sweep.yaml.

    Raises:
        InputError: one of them is not a setting of a sweep, or out of range.
    """
    own = tuple(argument for argument in arguments if argument.lstrip("+~").startswith("sweep."))
    parsed = parse(own)
    refuse_sweeps([one for one in parsed if not _is_list(one)])
    settings = _defaults(config_dir)
    for override in parsed:
        name = override.key_or_group.removeprefix("sweep.")
        if name not in settings:
            raise InputError("a sweep has no such setting", received=name, accepted=settings)
        value = override.value()
        if isinstance(value, ChoiceSweep):  # a,b gives a list: `refuse_sweeps` lets it pass for lists only
            value = [one.text if isinstance(one, QuotedString) else str(one) for one in value.list]
        settings[name] = value
    for name in ("exclude", "objective", "directions"):
        settings[name] = [settings[name]] if isinstance(settings[name], str) else settings[name]
    _check_search(settings, [one.key_or_group.removeprefix("sweep.") for one in parsed])
    try:
        # By way of JSON: in strict mode pydantic takes a list for a tuple only from JSON.
        sweep = SweepConfig.model_validate_json(json.dumps(settings))
    except ValidationError as error:
        raise validation_errors(error, "sweep.") from None
    return SweepArguments(sweep, tuple(a for a in arguments if a not in own))


def _is_list(override: Override) -> bool:
    """Return whether an override KEY=a,b gives the items of a setting that is a list."""
    return override.key_or_group.removeprefix("sweep.") in _LISTS and isinstance(override.value(), ChoiceSweep)


def _check_search(settings: dict[str, Any], given: Sequence[str]) -> None:
    """Raise InputError if a setting of a search is given without `sweep.search`."""
    alone = next((name for name in given if name in OF_A_SEARCH and name != "search"), None)
    if alone is not None and settings["search"] is None:
        raise InputError(
            f"sweep.{alone} is a setting of a search",
            received=f"sweep.{alone} without sweep.search",
            advice="Add sweep.search=optuna.",
        )


def _defaults(config_dir: Path | None) -> dict[str, Any]:
    """Return the settings in all files sweep.yaml; those of the user's folder take precedence over infomcr's."""
    files = [path for folder in search_path(config_dir) if (path := folder / "sweep.yaml").is_file()]
    return {name: value for file in reversed(files) for name, value in _read(file).items()}


def _read(file: Path) -> dict[str, Any]:
    try:
        settings: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError("sweep.yaml must be plain YAML", received=str(file), advice=str(error)) from None
    if not isinstance(settings, dict):
        raise InputError("sweep.yaml must contain settings of a sweep", received=str(file))
    return settings
