"""measures.json: what was measured at each checkpoint of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.documents import dump_json, parse_json
from infomcr_cli.runs.lock import flocked

FORMAT = 1


def record_measures(run: RunDirectory, name: str, evaluation: Mapping[str, Any]) -> None:
    """Add one checkpoint's evaluation to measures.json; those of other checkpoints stay.

    What was measured before of the very same weights stays too, unless it is measured anew: hours of work, perhaps.

    Args: name: the checkpoint as it was asked for: "last", "best" or its own name.
    """
    with flocked(run.path / ".measures.lock"):
        recorded = _recorded(run)
        added = {"checkpoint": name, **evaluation}
        added["measures"] = {**_of_the_same(recorded.get(name), added), **evaluation.get("measures", {})}
        document = {"format": FORMAT, "checkpoints": {**recorded, name: added}}
        run.write("measures.json", dump_json(document))


def last_evaluation(run: RunDirectory, step: int) -> Mapping[str, Any] | None:
    """Return what measures.json holds of the last checkpoint; None where that was taken before `step`.

    Raises: InputError: measures.json is no JSON document.
    """
    last = _recorded(run).get("last")
    measured_at = last.get("step") if isinstance(last, dict) else None
    return last if isinstance(measured_at, int) and measured_at >= step else None


def _of_the_same(before: Any, now: Mapping[str, Any]) -> Mapping[str, Any]:
    """The measures of an evaluation whose step and scores are those of another one, to the last digit."""
    if not isinstance(before, dict) or any(before.get(key) != now.get(key) for key in ("step", "train", "test")):
        return {}
    measures = before.get("measures")
    return measures if isinstance(measures, dict) else {}


def _recorded(run: RunDirectory) -> dict[str, Any]:
    try:
        document = parse_json(run.read("measures.json"), f"measures.json of {run.name}")
    except FileNotFoundError:
        return {}
    recorded = document.get("checkpoints") if isinstance(document, dict) else None
    return recorded if isinstance(recorded, dict) else {}
