"""The settings of a run that exists, and what a later command may change in them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infomcr_cli.config.compose import composed_group, dotted, no_such, validate
from infomcr_cli.config.data_trust import with_trusted_data
from infomcr_cli.config.identity import differences
from infomcr_cli.config.model_schema import BuilderConfig
from infomcr_cli.config.overrides import check_choices, parse, refuse_sweeps
from infomcr_cli.config.places import group_choices
from infomcr_cli.config.schema import RunConfig
from infomcr_cli.errors import InputError
from infomcr_cli.models.builder import trust_builder


def recorded_run(settings: Any, arguments: Sequence[str] = (), config_dir: Path | None = None) -> RunConfig:
    """Return the run that a run directory describes, with overrides applied to it.

    Args:    settings: what its config.yaml holds: plain settings, nothing of which is executed.
    Raises:  InputError: they do not fit the schema, or an override does not.
    """
    changed = copy.deepcopy(settings)
    if isinstance(changed, dict) and isinstance(changed.get("data"), dict):
        # Where to write is for whoever types the command to say, not for a directory that may be a stranger's.
        changed["data"]["cache"] = None
    _check_recorded(changed)
    overrides = parse(arguments)
    refuse_sweeps(overrides)
    choices = group_choices(config_dir)
    check_choices(overrides, choices)
    for override in overrides:
        key, value = override.key_or_group, override.value()
        if key in choices:
            changed[key] = composed_group(key, override.input_line, config_dir)
            changed.setdefault("choices", {})[key] = str(override.get_value_element_as_str())
        else:
            _refuse_matching(changed, key, value)
            _set(changed, key, value)
    config = validate(changed)
    if isinstance(config.model, BuilderConfig) and {o.key_or_group for o in overrides} & {"model", "model.builder"}:
        trust_builder(config.model.builder)  # named again on the command line; the directory's own word does not count
    return with_trusted_data(config, {override.key_or_group for override in overrides})


def _check_recorded(settings: Any) -> None:
    """Raise InputError that names the file: what does not fit in it was not typed on this command line."""
    try:
        validate(settings)
    except InputError as error:
        advice = error.advice or "Another version may have written it: environment.json says which."
        rule = f"config.yaml of the run: {error.rule}"
        raise InputError(rule, received=error.received, accepted=error.accepted, advice=advice) from None


def resumed_run(settings: Any, arguments: Sequence[str], config_dir: Path | None, name: str) -> RunConfig:
    """Return the settings under which a run goes on.

    Raises: InputError: an override would change what makes its weights; the difference is shown.
    """
    before, after = recorded_run(settings), recorded_run(settings, arguments, config_dir)
    changed = differences(before, after)
    if changed:
        shown = ", ".join(f"{key}: {old} → {new}" for key, (old, new) in changed.items())
        raise InputError(
            "a run is resumed with the settings that make its weights",
            received=shown,
            advice=f"For a new run from this one's weights: infomcr train start={name} {' '.join(arguments)}, "
            f"after the settings that {name}/overrides.yaml lists.",
        )
    return after


def _refuse_matching(settings: Any, key: str, value: Any) -> None:
    """Refuse to match the compute of a run that exists: its epochs were settled when it began."""
    schedule = settings.get("schedule") if isinstance(settings, dict) else None
    recorded = schedule.get("match_compute", False) if isinstance(schedule, dict) else False
    if key == "schedule.match_compute" and value is not recorded:
        raise InputError("schedule.match_compute is settled when a run begins", received=str(value).lower())


def _set(settings: Any, key: str, value: Any) -> None:
    *groups, leaf = key.split(".")
    place = settings
    for group in groups:
        place = place.get(group) if isinstance(place, dict) else None
    if not isinstance(place, dict) or leaf not in place:
        raise no_such(key, list(dotted(settings)))
    place[leaf] = value
