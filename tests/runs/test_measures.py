"""measures.json: values of a checkpoint stay until they are measured again or the weights are others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory
from infomcr_cli.runs.measures_file import Evaluation, last_evaluation, record_evaluation


def evaluation(measures: dict[str, float], step: int = 8, loss: float = 0.25) -> Evaluation:
    values = {name: {"value": value} for name, value in measures.items()}
    scores = {"train": {"loss": loss}, "test": {"loss": 1.0}}
    return Evaluation.model_validate({"step": step, **scores, "measures": values})


def recorded(run: RunDirectory, name: str = "last") -> Any:
    measures = json.loads(run.measures.read_text())["checkpoints"][name]["measures"]
    return {measure: entry["value"] for measure, entry in measures.items()}


def test_measures_of_the_same_weights_are_added(run: RunDirectory) -> None:
    record_evaluation(run, "last", evaluation({"gamma": 1.0, "margin": 2.0}))
    record_evaluation(run, "best", evaluation({"gamma": 3.0}))
    record_evaluation(run, "last", evaluation({"gamma": 4.0, "sharpness": 5.0}))
    assert recorded(run) == {"gamma": 4.0, "margin": 2.0, "sharpness": 5.0}
    assert recorded(run, "best") == {"gamma": 3.0}


@pytest.mark.parametrize("other", [{"step": 9}, {"loss": 0.5}])
def test_recording_measures_of_other_weights_removes_the_earlier_ones(run: RunDirectory, other: dict[str, Any]) -> None:
    record_evaluation(run, "last", evaluation({"gamma": 1.0, "margin": 2.0}))
    record_evaluation(run, "last", evaluation({"gamma": 4.0}, **other))
    assert recorded(run) == {"gamma": 4.0}


def test_an_evaluation_from_before_the_last_step_is_ignored(run: RunDirectory) -> None:
    assert last_evaluation(run, 0) is None
    record_evaluation(run, "last", evaluation({"gamma": 1.0}))
    found = last_evaluation(run, 8)
    assert found is not None
    assert found.measures["gamma"].value == 1.0
    assert last_evaluation(run, 9) is None


def test_an_evaluation_is_written_as_it_was_given_unknown_keys_included(run: RunDirectory) -> None:
    measure = {
        "value": 1.5,
        "std_error": None,
        "unit": "nats",
        "convention": {"draws": 3},
        "draws": [1, 2.5, None],
        "x": "y",
    }
    given = {
        "step": 8,
        "train": {"loss": 0.5, "accuracy": 0.25},
        "measures": {"gamma": measure},
        "later": [1, {"a": 2}],
    }
    record_evaluation(run, "last", Evaluation.model_validate(given))
    written = json.loads(run.measures.read_text())["checkpoints"]["last"]
    assert written == {"checkpoint": "last", **given}


@pytest.mark.parametrize("value", ["x", 2**70, [1.0]])
def test_a_value_that_is_not_a_number_is_refused_by_its_place(run: RunDirectory, value: Any) -> None:
    document = {"format": 1, "checkpoints": {"last": {"step": 8, "measures": {"gamma": {"value": value}}}}}
    run.measures.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"measures\.json .* checkpoints\.last\.measures\.gamma\.value"):
        last_evaluation(run, 8)
