"""Whether a run is measured as a sweep asks for it: by the same measures, each by the same convention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infomcr_cli.config.measure_schema import GammaConfig, MeasureConfig
from infomcr_cli.measures.registry import Measure, chosen_measures
from infomcr_cli.runs import RunDirectory
from infomcr_cli.runs.measures import last_evaluation

_NO_CONVENTION = {"gamma.memory"}  # how a number is come by, not what it is


def is_measured(run: RunDirectory, step: int, config: MeasureConfig) -> bool:
    """Return whether measures.json holds all that is asked for of the last checkpoint, taken at `step` or later.

    Raises: InputError: measures.json is no JSON document, or a name is no measure.
    """
    evaluation = last_evaluation(run, step)
    if evaluation is None:
        return False
    found = evaluation.get("measures")
    images = evaluation.get("n_train")
    if not isinstance(found, dict) or not isinstance(images, int):
        return False
    return all(_is_as_asked(found.get(one.name), one, config, images) for one in chosen_measures(config.names))


def convention_asked_for(measure: Measure, config: MeasureConfig, images: int) -> dict[str, Any]:
    """Return what the settings say of a measure's convention, under the names by which it is recorded.

    Args: images: of the training set; no more than there are can be taken.
    """
    settings = {name: _setting(config, name) for name in measure.settings if name not in _NO_CONVENTION}
    if "samples" in settings:
        settings["samples"] = min(settings["samples"], images)
    gamma = {name.removeprefix("gamma."): value for name, value in settings.items() if name.startswith("gamma.")}
    others = {name: value for name, value in settings.items() if not name.startswith("gamma.")}
    return {**others, **gamma, **_as_taken(config.gamma, images)} if gamma else others


def _as_taken(gamma: GammaConfig, images: int) -> dict[str, Any]:
    """What becomes of the settings of the draws, which all measures of the Gram matrix share, on so many images."""
    samples = min(gamma.samples, images)
    return {
        "samples": samples,
        "draws": min(gamma.draws, samples // gamma.draw_size),
        "chunk_size": gamma.chunk_size if gamma.batch_norm == "batch" else None,
        "target_se": gamma.target_se,
    }


def _setting(config: MeasureConfig, name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _is_as_asked(found: Any, measure: Measure, config: MeasureConfig, images: int) -> bool:
    if not isinstance(found, Mapping):
        return False
    recorded = found.get("convention")
    asked = convention_asked_for(measure, config, images)
    return isinstance(recorded, Mapping) and all(
        key in recorded and recorded[key] == value for key, value in asked.items()
    )
