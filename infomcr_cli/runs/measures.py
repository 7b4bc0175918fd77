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

    Args: name: the checkpoint as it was asked for: "last", "best" or its own name.
    """
    with flocked(run.path / ".measures.lock"):
        document = {"format": FORMAT, "checkpoints": {**_recorded(run), name: {"checkpoint": name, **evaluation}}}
        run.write("measures.json", dump_json(document))


def is_measured(run: RunDirectory, step: int) -> bool:
    """Return whether measures.json holds an evaluation of the last checkpoint, taken at `step` or later.

    Raises: InputError: measures.json is no JSON document.
    """
    last = _recorded(run).get("last")
    measured_at = last.get("step") if isinstance(last, dict) else None
    return isinstance(measured_at, int) and measured_at >= step


def _recorded(run: RunDirectory) -> dict[str, Any]:
    try:
        document = parse_json(run.read("measures.json"), f"measures.json of {run.name}")
    except FileNotFoundError:
        return {}
    recorded = document.get("checkpoints") if isinstance(document, dict) else None
    return recorded if isinstance(recorded, dict) else {}
