"""Overrides → one resolved, validated run."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import ValidationError
from yaml import YAMLError

from infomcr_cli.config import overrides as grammar
from infomcr_cli.config.allowed_builders import marked_as_named
from infomcr_cli.config.compute import matched
from infomcr_cli.config.reference import settings_of
from infomcr_cli.config.schema.fields import Record
from infomcr_cli.config.schema.imported import with_stand_ins
from infomcr_cli.config.schema.regularizer import RegConfig
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.search_path import group_choices, own_conf, say_what_is_used, search_path, searching
from infomcr_cli.config.validation_errors import validation_errors
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.errors import OTHER_WORDS, InputError, nearest_name

# ValueError: also a file that is not UTF-8; IsADirectoryError: a folder where a file should be.
_NOT_COMPOSED = (HydraException, OmegaConfBaseException, YAMLError, ValueError, IsADirectoryError)


def compose_run(arguments: Sequence[str], config_dir: Path | None = None) -> RunConfig:
    """Return the run that Hydra overrides describe.

    Args:
        arguments: overrides such as "model=wrn" or "data.batch_size=64".
        config_dir: a folder of YAML that comes before infomcr's own; None: `conf/` where there is one.

    Raises:
        InputError: a name is unknown, a value is out of range, or settings do not fit together.

    Example: compose_run(["reg=on"]).reg.beta is 10.0.
    """
    parsed = grammar.parse(arguments)
    sweep = suggested_command("sweep", *arguments, config_dir=config_dir)
    grammar.refuse_sweeps(parsed, f"For several values, use {sweep}")
    grammar.check_choices(parsed, group_choices(config_dir))
    config = with_matched_epochs(
        validate(composed(arguments, parsed, config_dir)), lambda: reference_config(config_dir)
    )
    return marked_as_named(config, (override.key_or_group for override in parsed), config_dir)


def with_matched_epochs(config: RunConfig, matched_to: Callable[[], RegConfig]) -> RunConfig:
    """Return a run with `schedule.match_compute` turned into epochs.

    Args:
        matched_to: gives the regularizer whose cost is matched.

    Raises:
        InputError: the settings do not fit together.
    """
    if not config.schedule.match_compute:
        return config
    schedule = matched(config.schedule, config.reg, matched_to())
    return validate({**config.model_dump(mode="json"), "schedule": schedule.model_dump(mode="json")})


class _Reference(Record):
    reg: RegConfig


def reference_config(config_dir: Path | None = None) -> RegConfig:
    """Return the regularizer whose cost is matched: `reg=on` as configured in its file.

    Raises:
        InputError: the user's own file of that name is no regularizer.
    """
    try:
        return _Reference.model_validate_json(json.dumps({"reg": composed_group("reg", ["reg=on"], config_dir)})).reg
    except ValidationError as error:
        raise validation_errors(error) from None


def validate(settings: Any) -> RunConfig:
    """Return the run that plain settings (dicts, lists, numbers, strings) describe.

    Raises:
        InputError: they do not fit the schema; every misfit is named.
    """
    try:
        # In JSON a list may stand for a tuple, and nothing else is stretched.
        return RunConfig.model_validate_json(json.dumps(with_stand_ins(settings)))
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, ValidationError):
            raise validation_errors(error) from None
        raise InputError("a configuration may contain only plain settings", advice=str(error)) from None


def composed_group(group: str, arguments: Sequence[str], config_dir: Path | None = None) -> Any:
    """Return the plain settings of one group as `arguments` choose and change it."""
    return composed(arguments, grammar.parse(arguments), config_dir)[group]


def composed(arguments: Sequence[str], parsed: Sequence[Override], config_dir: Path | None) -> dict[str, Any]:
    """Return the plain settings that Hydra composes.

    Raises:
        InputError: Hydra refuses an argument, or cannot read a file of the user's own.
    """
    say_what_is_used(config_dir)
    GlobalHydra.instance().clear()
    with searching(search_path(config_dir)), initialize_config_dir(config_dir=str(own_conf()), version_base="1.3"):
        try:
            return _plain(compose("config", overrides=list(arguments), return_hydra_config=True))
        except _NOT_COMPOSED as error:
            raise _diagnose(error, parsed, config_dir) from None


def _plain(config: DictConfig) -> dict[str, Any]:
    """Resolve a composed configuration to dicts and lists, with the choice of each group under `choices`."""
    choices: Any = OmegaConf.to_container(config.hydra.runtime.choices)
    OmegaConf.set_struct(config, False)
    config.pop("hydra")
    settings: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return {**settings, "choices": {group: choice for group, choice in choices.items() if choice and "/" not in group}}


def _diagnose(error: Exception, parsed: Sequence[Override], config_dir: Path | None) -> InputError:
    """Name the setting that is at fault; Hydra's own message where it is none that we know."""
    groups = group_choices(config_dir)
    for override in parsed:
        if override.key_or_group in groups and (override.is_add() or override.is_force_add()):
            advice = f"Write {str(override.input_line).lstrip('+')}."
            raise InputError("a group is chosen without +", received=override.input_line, advice=advice)
    try:
        choices = [str(override.input_line) for override in parsed if override.key_or_group in groups]
        config = compose("config", overrides=choices)
    except _NOT_COMPOSED:  # it is the choice of a group that is at fault
        return InputError("the configuration cannot be composed", advice=" ".join(str(error).split()))
    known = _dotted(config)
    for override in parsed:
        if not (override.is_add() or override.key_or_group in known or override.key_or_group in groups):
            if _is_left_out(override.key_or_group, config):
                rule = f"the chosen {override.key_or_group.partition('.')[0]} leaves out this setting"
                return InputError(rule, received=override.input_line, advice=f"Add it with +{override.input_line}.")
            return no_such(override.key_or_group, known, config_dir)
    key = getattr(error, "full_key", None)
    if key and isinstance(error, MissingMandatoryValue):
        return InputError(f"{key} must be given", advice=f"Add {key}=VALUE.")
    return InputError("the configuration cannot be composed", advice=" ".join(str(error).split()))


def _is_left_out(key: str, config: DictConfig) -> bool:
    """Return whether the schema has a setting that the file of the choice, one of the user's own, does not have."""
    group = key.partition(".")[0]
    chosen = OmegaConf.select(config, f"{group}.name") if group in RunConfig.model_fields else None
    return chosen is not None and key in {one.name for one in settings_of(group, str(chosen))}


def dotted(settings: Any, prefix: str = "") -> Iterator[str]:
    """Yield the names of all settings and groups, such as `data.batch_size`."""
    for key, value in settings.items() if isinstance(settings, dict) else ():
        if str(key).isprintable():  # the directory may come from anyone
            yield f"{prefix}{key}"
            yield from dotted(value, f"{prefix}{key}.")


def no_such(key: str, known: Sequence[str], config_dir: Path | None = None) -> InputError:
    """Return the error for a setting that does not exist, with the nearest one that does."""
    group, _, leaf = key.rpartition(".")
    if key.partition(".")[0] == "sweep":
        return InputError("settings under sweep. apply only to infomcr sweep", received=key)
    family = [name.removeprefix(f"{group}.") for name in known if name.rpartition(".")[0] == group]
    near = _same_leaf(key, known) or nearest_name(key, known)
    advice = _elsewhere(group, leaf, config_dir) or (f"Did you mean {near!r}?" if near else None)
    return InputError(f"{group or 'a run'} has no such setting", received=key, accepted=family, advice=advice)


def _same_leaf(key: str, known: Sequence[str]) -> str | None:
    """Return the setting of that name, or of the one that other tools use for it, in another group."""
    leaf = key.rpartition(".")[2]
    leaves = {leaf, OTHER_WORDS.get(leaf.lower())} - {"name"}  # which every group has
    same = [name for name in known if name.rpartition(".")[2] in leaves]
    return next(iter(difflib.get_close_matches(key, same, n=1, cutoff=0)), None)


def _elsewhere(group: str, leaf: str, config_dir: Path | None) -> str | None:
    """Say which other choices of the group have a setting, such as reg.beta while reg=off; None: none has it."""
    files = [file for folder in search_path(config_dir) for file in (folder / group).glob("*.yaml") if group]
    choices = sorted({f"{group}={file.stem}" for file in files if leaf in _settings_in(file)})
    return f"It is a setting of {', '.join(choices)}." if choices else None


def _settings_in(file: Path) -> Any:
    """Return what a file of a choice holds; nothing if it cannot be read."""
    try:
        return OmegaConf.load(file) or {}
    except (YAMLError, OmegaConfBaseException, ValueError, OSError):
        return {}


def _dotted(config: DictConfig, prefix: str = "") -> list[str]:
    keys: list[str] = []
    for key, value in config.items_ex(resolve=False):
        path = prefix + str(key)
        keys += [path, *_dotted(value, f"{path}.")] if isinstance(value, DictConfig) else [path]
    return keys
