"""Settings of recorded runs as flat names and texts: which of them make the weights, and the compute that they cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from infomcr_cli.config import flat_settings
from infomcr_cli.config.compute import passes_until
from infomcr_cli.config.schema.fields import Count
from infomcr_cli.config.schema.regularizer import RegConfig
from infomcr_cli.config.schema.run import RunConfig, ScheduleConfig
from infomcr_cli.console.text import printable
from infomcr_cli.runs.identity import dotted_fields, is_within, mark_of

UNIT = "epochs of plain SGD"  # of compute
_IMPORTED = "imported.settings."


def flatten(config: Any) -> dict[str, Any]:
    """Return nested mappings as dotted names that are safe to print; lists stay whole."""
    return flat_settings.flatten(config, key_text=lambda key: printable(str(key), 100))


def weight_settings(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat settings that make the weights: no paths, device, tracking and the like.

    A setting that older runs do not have is left out if it is at its default. What the user said about the training of
    an imported run stands under the names that the user gave it.
    """
    groups, defaults = RunConfig.model_fields.keys(), _later_defaults()
    known = {
        name: value
        for name, value in flat.items()
        if name.partition(".")[0] in groups and not is_within(name, _no_axes())
    }
    known = {name: value for name, value in known.items() if name not in defaults or value != defaults[name]}
    is_imported = any(name.startswith("imported.") for name in flat)
    return _with_settings_of_import(known) if is_imported else known


def _with_settings_of_import(known: Mapping[str, Any]) -> dict[str, Any]:
    """The seed of an imported run is that of its measures; the one of its training is a setting like any other."""
    given = {name.removeprefix(_IMPORTED): value for name, value in known.items() if name.startswith(_IMPORTED)}
    rest = {name: value for name, value in known.items() if not name.startswith("imported.") and name != "seed"}
    return {**rest, **given}


def setting_text(settings: Mapping[str, Any], name: str) -> str | None:
    """Return the whole value of a setting as text, its default for one that older runs do not have; else None."""
    if name in settings:
        return full_text(settings[name])
    is_later = name in _later_defaults() and f"{name.partition('.')[0]}.name" in settings
    return full_text(_later_defaults()[name]) if is_later else None


def full_text(value: Any) -> str:
    """Return the whole of a value as text, strings bare, the rest as JSON: to compare by, not safe to print."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


@cache
def _no_axes() -> frozenset[str]:
    """Return the settings that are not part of a run's identity, or that only name it."""
    fields = dotted_fields()
    return frozenset(name for name, field in fields if False in (mark_of(field, "identity"), mark_of(field, "axis")))


@cache
def _later_defaults() -> Mapping[str, Any]:
    """Return the settings that older runs do not have, with their defaults."""
    return {name: field.default for name, field in dotted_fields() if mark_of(field, "identity") == "unless default"}


@dataclass(frozen=True)
class Compute:
    """Forward and backward passes of the training of a run, up to a checkpoint.

    Attributes:
        epochs: in epochs of plain SGD, which passes once over each batch.
        images: in images, each counted as often as it passed.
    """

    epochs: float
    images: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"value": self.epochs, "unit": UNIT, "image_passes": self.images}


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    batch_size: Count


class _Settings(BaseModel):
    """The part of config.yaml that decides what training costs."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    data: _Data
    schedule: ScheduleConfig
    reg: RegConfig


def compute_until(config: Mapping[str, Any], *, step: int | None, n_train: int | None) -> Compute | None:
    """Return what a run cost up to a step; None if its record is incomplete or contradicts itself.

    Args:
        config:  the content of config.yaml, which may be malformed.
        step:    number of training steps.
        n_train: number of training images; the incomplete last batch of an epoch is dropped.
    """
    try:
        settings = _Settings.model_validate_json(
            json.dumps({name: config.get(name) for name in _Settings.model_fields})
        )
    except (TypeError, ValueError, RecursionError):
        return None
    steps_per_epoch = (n_train or 0) // settings.data.batch_size
    steps = settings.schedule.epochs * steps_per_epoch
    if step is None or steps == 0 or not 0 <= step <= steps:
        return None
    passes = passes_until(step, steps, settings.reg, settings.schedule)
    return Compute(passes / steps_per_epoch, passes * settings.data.batch_size)
