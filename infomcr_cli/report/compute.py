"""The compute of a run: forward and backward passes of its training, from its recorded settings and steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from infomcr_cli.config.compute import passes_until
from infomcr_cli.config.schema.fields import Count
from infomcr_cli.config.schema.regularizer import RegConfig
from infomcr_cli.config.schema.run import ScheduleConfig

UNIT = "epochs of plain SGD"


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
