"""Whether a run is measured as a sweep asks for it: by the same measures, each by the same convention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.measures.base import Measure, chosen_measures
from infomcr_cli.runs import RunDirectory
from infomcr_cli.runs.measures_file import last_evaluation


def is_measured(run: RunDirectory, step: int, config: MeasureConfig) -> bool:
    """Return whether measures.json holds all that is asked for of the last checkpoint, taken at `step` or later.

    Raises:
        InputError: measures.json is no JSON document, or a name is no measure.
    """
    evaluation = last_evaluation(run, step)
    if evaluation is None:
        return False
    found = evaluation.get("measures")
    images = evaluation.get("n_train")
    if not isinstance(found, dict) or not isinstance(images, int):
        return False
    return all(_matches(found.get(one.name), one, config, images) for one in chosen_measures(config.names))


def _matches(found: Any, measure: Measure, config: MeasureConfig, images: int) -> bool:
    """Whether a recorded value is of the convention asked for; one that an error kept from being had is none."""
    if not isinstance(found, Mapping) or "error" in found:
        return False
    recorded = found.get("convention")
    asked = measure.convention(config, images)
    return isinstance(recorded, Mapping) and all(
        key in recorded and recorded[key] == value for key, value in asked.items()
    )
