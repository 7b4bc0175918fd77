"""Whether a run is measured as a sweep wants it: by the same measures, each by the same convention."""

from __future__ import annotations

from collections.abc import Mapping

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.measures.base import Measure, chosen_measures
from infomcr_cli.runs import RunDirectory
from infomcr_cli.runs.measures_file import MeasureRecord, last_evaluation


def is_measured(run: RunDirectory, step: int, config: MeasureConfig) -> bool:
    """Return whether measures.json holds all requested measures of the last checkpoint, taken at `step` or later.

    Raises:
        InputError: measures.json is no JSON document, or a name is no measure.
    """
    evaluation = last_evaluation(run, step)
    if evaluation is None or evaluation.n_train is None:
        return False
    images, measures = evaluation.n_train, evaluation.measures
    return all(_matches(measures.get(one.name), one, config, images) for one in chosen_measures(config.names))


def _matches(found: MeasureRecord | None, measure: Measure, config: MeasureConfig, images: int) -> bool:
    """Return whether a recorded value has the requested convention; a measure that failed has no value."""
    if found is None or "error" in (found.model_extra or {}):
        return False
    recorded, expected = found.convention, measure.convention(config, images)
    return isinstance(recorded, Mapping) and all(
        key in recorded and recorded[key] == value for key, value in expected.items()
    )
