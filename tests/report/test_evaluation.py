"""What a terminal shows of one evaluation."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from infomcr_cli import evaluate
from infomcr_cli.errors import InputError
from infomcr_cli.report.terminal import evaluation_renderables
from infomcr_cli.runs import RunDirectory, new_status
from infomcr_cli.runs.measures_file import Evaluation


def shown(measures: dict[str, Any]) -> str:
    score = {"loss": 0.5, "accuracy": 0.75}
    gap = {"error": 0.0, "loss": 0.0}
    return rendered({"train": score, "test": score, "gap": gap, "measures": measures})


def rendered(evaluation: dict[str, Any]) -> str:
    console = Console(width=100, record=True, file=io.StringIO())
    for renderable in evaluation_renderables("a[b]", Evaluation.model_validate({"checkpoint": "last", **evaluation})):
        console.print(renderable)
    return console.export_text()


def test_measure_without_a_value_shows_the_reason() -> None:
    text = shown({"margin": {"value": None, "unit": "logits", "reason": "the margin is [red]not\x1b positive"}})
    assert "margin: the margin is [red]not" in text
    assert "\x1b" not in text
    assert "a[b]  last" in text


def test_estimated_measure_is_shown_with_its_95_percent_half_width() -> None:
    estimated = {"value": 1.0, "unit": "nats", "std_error": 0.5, "interval": [-0.388, 2.388]}
    lines = shown({"noise_scale": estimated, "margin": {"value": 2.0, "unit": "logits"}}).splitlines()
    assert next(line.split() for line in lines if "noise_scale" in line) == [
        "noise_scale",
        "1.0",
        "±",
        "0.5",
        "1.4",
        "nats",
    ]
    assert next(line.split() for line in lines if "margin" in line) == ["margin", "2", "–", "logits"]


def test_rank_deficient_draws_get_a_note() -> None:
    text = shown({"gamma": {"value": -1.0, "unit": "nats", "std_error": 0.5, "draws": [-1.0, None], "rank": [9, 8]}})
    assert "1 of 2 draws are rank-deficient (lowest rank 8)" in text


def test_a_count_is_shown_in_full_and_the_gap_with_its_binomial_error() -> None:
    text = shown({"parameter_count": {"value": 77560.0, "unit": "weights"}})
    assert next(line.split() for line in text.splitlines() if "parameter_count" in line)[1] == "77,560"
    score = {"loss": 0.5, "accuracy": 0.9}
    evaluation = {"train": {**score, "accuracy": 1.0}, "test": score, "gap": {"error": 0.1, "loss": 0.25}}
    # sqrt(0.9 * 0.1 / 400) is 1.5 %.
    assert "gap +10.0 ± 1.5 % error, +0.2500 nats" in rendered({**evaluation, "n_train": 1000, "n_test": 400})


def test_damaged_measures_are_refused_before_the_measuring(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "a", config=b"{}\n", overrides=[], status=new_status("ab"))
    evaluate._check_files(run, ["epoch-0001"], "last")
    run.measures.write_text("{")
    with pytest.raises(InputError, match=r"measures\.json of a"):
        evaluate._check_files(run, ["epoch-0001"], "last")
