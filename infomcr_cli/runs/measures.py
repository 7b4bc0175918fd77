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


def evaluated_checkpoints(run: RunDirectory) -> frozenset[str]:
    """Return the names under which measures.json holds an evaluation.

    Raises: InputError: measures.json is not what this program writes.
    """
    return frozenset(_recorded(run))


def _recorded(run: RunDirectory) -> dict[str, Any]:
    try:
        document = parse_json(run.read("measures.json"), f"measures.json of {run.name}")
    except FileNotFoundError:
        return {}
    recorded = document.get("checkpoints") if isinstance(document, dict) else None
    return recorded if isinstance(recorded, dict) else {}
