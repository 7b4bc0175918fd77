"""measures.json: what was measured of a checkpoint stays until it is measured anew or the checkpoint is another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infomcr_cli.runs import RunDirectory
from infomcr_cli.runs.measures_file import last_evaluation, record_measures


def evaluation(measures: dict[str, float], step: int = 8, loss: float = 0.25) -> dict[str, Any]:
    return {"step": step, "train": {"loss": loss}, "test": {"loss": 1.0}, "measures": measures}


def recorded(run: RunDirectory, name: str = "last") -> Any:
    return json.loads(run.measures.read_text())["checkpoints"][name]["measures"]


def test_measures_of_the_same_weights_are_added(run: RunDirectory) -> None:
    record_measures(run, "last", evaluation({"gamma": 1.0, "margin": 2.0}))
    record_measures(run, "best", evaluation({"gamma": 3.0}))
    record_measures(run, "last", evaluation({"gamma": 4.0, "sharpness": 5.0}))
    assert recorded(run) == {"gamma": 4.0, "margin": 2.0, "sharpness": 5.0}
    assert recorded(run, "best") == {"gamma": 3.0}


@pytest.mark.parametrize("other", [{"step": 9}, {"loss": 0.5}])
def test_measures_of_other_weights_are_gone(run: RunDirectory, other: dict[str, Any]) -> None:
    record_measures(run, "last", evaluation({"gamma": 1.0, "margin": 2.0}))
    record_measures(run, "last", evaluation({"gamma": 4.0}, **other))
    assert recorded(run) == {"gamma": 4.0}


def test_an_evaluation_from_before_the_last_step_is_none(run: RunDirectory) -> None:
    assert last_evaluation(run, 0) is None
    record_measures(run, "last", evaluation({"gamma": 1.0}))
    assert (last_evaluation(run, 8) or {})["measures"] == {"gamma": 1.0}
    assert last_evaluation(run, 9) is None
