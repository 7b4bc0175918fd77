"""The settings of a run that exists, and what a later command may change in them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from infomcr_cli.config.allowed_builders import named_groups, trusted
from infomcr_cli.config.compose import composed_group, dotted, no_such, validate
from infomcr_cli.config.flat_settings import flatten
from infomcr_cli.config.overrides import check_choices, parse, refuse_all_but_values, refuse_sweeps, spelled
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.search_path import group_choices
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.known_builders import with_known_builders
from infomcr_cli.experiment.resolve_settings import whole_setting
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.identity import identity_settings, origin
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.tracking.moved_runs import read_settings


def recorded_run(settings: Any, arguments: Sequence[str] = (), config_dir: Path | None = None) -> RunConfig:
    """Return the run that a run directory describes, with overrides applied to it.

    Args:
        settings: what its config.yaml holds: plain settings, nothing of which is executed.

    Raises:
        InputError: they do not fit the schema, or an override does not.
    """
    changed = copy.deepcopy(settings)
    if isinstance(changed, dict) and isinstance(changed.get("data"), dict):
        # Where to write is for whoever types the command to say, not for a directory that may come from anyone.
        changed["data"]["cache"] = None
    changed = _with_later_settings(changed, _checked(changed))
    overrides = parse(arguments)
    refuse_sweeps(overrides)
    refuse_all_but_values(overrides)
    choices = group_choices(config_dir)
    check_choices(overrides, choices)
    for override in sorted(overrides, key=lambda override: override.key_or_group not in choices):  # groups first
        key = override.key_or_group
        value = whole_setting(key, override.value())
        if key == "experiment":
            raise InputError("an experiment cannot be changed after a run has started", received=override.input_line)
        if key in choices:
            # With its own settings, for one of them may have no default.
            own = [other.input_line for other in overrides if other.key_or_group.startswith(f"{key}.")]
            changed[key] = composed_group(key, [override.input_line, *own], config_dir)
            changed.setdefault("choices", {})[key] = str(override.get_value_element_as_str())
        else:
            _refuse_matching(settings, key, value)
            _set(changed, key, value)
    # The directory's own word does not count.
    return trusted(validate(changed), named_groups((override.key_or_group for override in overrides), config_dir))


def _with_later_settings(settings: Any, config: RunConfig) -> Any:
    """Return recorded settings with the defaults of those that came after the run was recorded: they can be set too."""

    def filled(settings: Any, whole: Any) -> Any:
        if not isinstance(settings, dict) or not isinstance(whole, dict):
            return settings
        return {**whole, **{key: filled(value, whole.get(key)) for key, value in settings.items()}}

    return filled(settings, config.model_dump(mode="json"))


def _checked(settings: Any) -> RunConfig:
    """Return the recorded run; an error names the file: what does not fit in it was not typed on this command line."""
    try:
        return validate(settings)
    except InputError as error:
        advice = error.advice or "Another version may have written it: environment.json says which."
        rule = f"config.yaml of the run: {error.rule}"
        raise InputError(rule, received=error.received, accepted=error.accepted, advice=advice) from None


def measured_run(
    run: RunDirectory, arguments: Sequence[str], config_dir: Path | None = None, *, done: str = "measured"
) -> RunConfig:
    """Return the settings with which a run's weights are loaded and measured.

    Functions of the user's own count as named if they are in `arguments`, or were for this very run before.

    Args:
        done: what is done with it, for the message.

    Raises:
        InputError: the settings do not fit the schema, or an override would change what makes the weights.
    """
    settings = read_settings(run)
    before, after = recorded_run(settings), recorded_run(settings, arguments, config_dir)
    changed = differences(before, after)
    if changed:
        raise InputError(
            f"a run must be {done} with the settings that determined its weights",
            received=", ".join(f"{key}: {old} → {new}" for key, (old, new) in changed.items()),
            advice="Overrides may change measure, tracking, device and data.root.",
        )
    return with_known_builders(run, after)


def differences(before: RunConfig, after: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Return the identity settings on which two runs differ: dotted name → (before, after)."""
    old, new = (flatten(identity_settings(config)) for config in (before, after))
    if before.start and after.start and origin(before.start) == origin(after.start):
        new["start"] = old["start"]
    return {key: (old.get(key), new.get(key)) for key in sorted({*old, *new}) if old.get(key) != new.get(key)}


def resumed_run(
    settings: Any, arguments: Sequence[str], config_dir: Path | None, name: str, recorded: Sequence[str] = ()
) -> RunConfig:
    """Return the settings to resume a run with.

    Args:
        name:     the run as the user named it.
        recorded: the overrides that it was made with.

    Raises:
        InputError: an override would change what makes its weights; the difference is shown.
    """
    before, after = recorded_run(settings), recorded_run(settings, arguments, config_dir)
    changed = differences(before, after)
    if changed:
        shown = ", ".join(f"{key}: {old} → {new}" for key, (old, new) in changed.items())
        raise InputError(
            "a run must be resumed with the settings that determine its weights",
            received=shown,
            advice=f"For a new run from this one's weights: {_new_run(name, arguments, recorded, config_dir)}",
        )
    return after


def resumed_run_settings(path: Path, overrides: Sequence[str], config_dir: Path | None = None) -> RunConfig:
    """Return the settings to resume a run with.

    Raises:
        InputError: the run or an override cannot be used; nothing has been changed.
    """
    run = RunDirectory.open(path)
    config = resumed_run(read_settings(run), overrides, config_dir, str(path), _recorded_overrides(run))
    if config.imported is not None:
        advice = f"Measure it: {suggested_command('eval', path)}"
        raise InputError("an imported run was trained elsewhere and cannot be resumed", received=path, advice=advice)
    return with_known_builders(run, config)


def _recorded_overrides(run: RunDirectory) -> list[str]:
    """Return the recorded overrides of a run; empty if they are missing or not readable."""
    try:
        overrides = parse_yaml(run.read("overrides.yaml"), f"overrides.yaml of {run.name}")
    except (InputError, OSError):
        return []
    return [text for text in overrides if isinstance(text, str)] if isinstance(overrides, list) else []


_MADE_OF = ("data", "model", "augment", "optimizer", "schedule", "reg", "seed", "precision", "experiment")


def _new_run(name: str, arguments: Sequence[str], recorded: Sequence[str], config_dir: Path | None) -> str:
    """Return the command for a run that begins with the weights of another and differs from it by `arguments`.

    What the other was made with is taken over as far as it makes weights.
    """
    given = {override.key_or_group for override in parse(arguments)} | {"start", "data.cache"}
    kept = [text for text in recorded if _is_kept(text, given)]
    return suggested_command("train", spelled("start", name), *arguments, *kept, config_dir=config_dir)


def _is_kept(text: str, given: AbstractSet[str]) -> bool:
    """Return whether a recorded override is kept: neither it nor its group is given now. A record may hold anything."""
    try:
        (override,) = parse([text])
    except InputError:
        return False
    parts = override.key_or_group.split(".")
    return parts[0] in _MADE_OF and given.isdisjoint(".".join(parts[: depth + 1]) for depth in range(len(parts)))


def _refuse_matching(settings: Any, key: str, value: Any) -> None:
    """Refuse to match the compute of a run that exists: its epochs are fixed."""
    schedule = settings.get("schedule") if isinstance(settings, dict) else None
    recorded = schedule.get("match_compute", False) if isinstance(schedule, dict) else False
    if key == "schedule.match_compute" and value is not recorded:
        raise InputError(
            "schedule.match_compute cannot be changed after a run has started", received=str(value).lower()
        )


def _set(settings: Any, key: str, value: Any) -> None:
    *groups, leaf = key.split(".")
    place = settings
    for group in groups:
        place = place.get(group) if isinstance(place, dict) else None
    if not isinstance(place, dict) or leaf not in place:
        raise no_such(key, list(dotted(settings)))
    place[leaf] = value
