"""Untrusted runs: numbers that no float or JSON holds, letters that XML forbids; commands go on or name the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli import CommandLine
from fake_runs import CONVENTION, REG_ON, config_with, evaluation, write_run

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.console.text import printable
from infomcr_cli.landscape import LandscapeResult
from infomcr_cli.landscapes.folder import can_be_shown
from infomcr_cli.report.audit import MeasuredValue, audited_measures
from infomcr_cli.report.axes import json_value
from infomcr_cli.report.notes import note_on_losses
from infomcr_cli.report.run_conditions import Condition
from infomcr_cli.report_run import ReportRequest, report_run
from infomcr_cli.runs.measures_file import MeasureRecord
from infomcr_cli.spectrum import SpectrumResult

HUGE = 10**400


def runs_with(folder: Path, *, count: int = 2, config: dict[str, Any] | None = None, **gamma: Any) -> Path:
    """Runs that differ in the learning rate; the last one has the settings and the entries of gamma."""
    for index in range(count):
        found = evaluation(0.1 + index / 10, {"gamma": -300.0 - index}, train_loss=0.01 * 10**index)
        is_last = index == count - 1
        found["measures"]["gamma"] |= {"draws": [-1.0, -2.0, -3.0 + index]} | (gamma if is_last else {})
        rates = {"optimizer__learning_rate": 0.1 + index}
        write_run(folder / f"r{index}", config_with(**rates, **((config or {}) if is_last else {})), {"last": found})
    return folder


@pytest.mark.parametrize(
    "entries",
    [
        {"draws": [1.0, HUGE, 3.0]},
        {"draws": 5},
        {"draws": ["a", None, True]},
        {"interval": [1, HUGE]},
        {"rank": HUGE},
        {"convention": CONVENTION | {"draw_size": HUGE}},
    ],
)
def test_odd_entries_of_gamma_are_shown_as_missing(tmp_path: Path, entries: dict[str, Any]) -> None:
    folder = runs_with(tmp_path / "runs", **entries)
    comparison = compare(CompareRequest((str(folder),), allow_mixed=True))
    json.dumps(comparison.to_dict(), allow_nan=False)
    assert len(comparison.included) == 2
    assert report_run(ReportRequest(folder / "r1", tmp_path / "page.html", tracking=False)).evaluated is not None


def test_numbers_of_a_record_are_finite_or_none() -> None:
    record = MeasureRecord.model_validate({"value": 1.0, "draws": [1, 2.5, HUGE, "a", True, None], "rank": 3})
    assert record.numbers("draws") == [1.0, 2.5, None, None, None, None]
    assert record.numbers("rank") == record.numbers("interval") == []


def test_note_on_losses_ignores_a_size_that_no_draw_has(tmp_path: Path) -> None:
    sizes = {}
    for size in (100, HUGE):
        convention = CONVENTION | {"draw_size": size}
        for index in range(2):
            found = evaluation(0.1, {"gamma": -1.0}, convention=convention, train_loss=0.01 * 10**index)
            config = config_with(optimizer__l2=index / 10)
            write_run(tmp_path / str(size)[:4] / f"r{index}", config, {"last": found})
        comparison = compare(CompareRequest((str(tmp_path / str(size)[:4]),)))
        sizes[size] = note_on_losses(comparison.included)
    assert "by about 69 nats" in sizes[100][0]
    assert sizes[HUGE][0] == sizes[100][0].replace(" by about 69 nats if every loss is halved", "")


def test_a_step_beyond_all_counts_makes_a_run_unreadable(tmp_path: Path) -> None:
    folder = runs_with(tmp_path / "runs", count=3)
    path = folder / "r2" / "measures.json"
    document = json.loads(path.read_text())
    document["checkpoints"]["last"]["step"] = HUGE
    path.write_text(json.dumps(document))
    comparison = compare(CompareRequest((str(folder),), html=tmp_path / "page.html"))
    assert [run.name for run in comparison.included] == ["r0", "r1"]
    assert [Path(run).name for run in comparison.ranking.left_out.runs] == ["r2"]


def test_seeds_of_huge_values_have_no_test(tmp_path: Path) -> None:
    for index in range(4):
        found = evaluation(0.1, {"gamma": (index + 1) * 1e200})
        config = config_with(reg="on" if index % 2 else "off", seed=index // 2)
        write_run(tmp_path / f"r{index}", config, {"last": found})
    comparison = compare(CompareRequest((str(tmp_path),)))
    assert comparison.answers[0].gamma is None
    json.dumps(comparison.to_dict(), allow_nan=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "2024-01-01"])
def test_settings_that_json_cannot_hold_are_text(tmp_path: Path, command_line: CommandLine, value: Any) -> None:
    import datetime

    value = datetime.date.fromisoformat(value) if isinstance(value, str) else value
    folder = runs_with(tmp_path / "runs", config={"optimizer__l2": value, "reg": "on"})
    for words in (
        ("compare", folder, "--no-tracking"),
        ("report", folder / "r1", "--no-tracking"),
        ("runs", "--runs-dir", folder, "--columns", "optimizer.l2"),
    ):
        answer = command_line(*map(str, words), "--json")
        assert answer.code == 0, answer.err
        assert str(value) in json.dumps(json.loads(answer.out))
    assert json_value({"a": [value, 1.5, REG_ON]}) == {"a": [str(value), 1.5, REG_ON]}


def test_integers_beyond_floats_are_compared_with_conditions() -> None:
    assert Condition("data.batch_size", ">", "3").holds(HUGE)
    assert Condition("data.batch_size", "<", "3").holds(-HUGE)
    assert not Condition("data.batch_size", "<", "3").holds(HUGE)


def test_letters_that_xml_forbids_are_replaced(tmp_path: Path) -> None:
    folder = runs_with(tmp_path / "runs", count=4, config={"model__name": "a\uffffb\ufffec"})
    compare(CompareRequest((str(folder),), html=tmp_path / "page.html"))
    assert printable("a\uffffb\ufffec\U0001f600") == "a\ufffdb\ufffdc\U0001f600"


def test_spread_beyond_floats_is_none() -> None:
    measured = {"m": MeasuredValue(1e200)}
    changed = {"seed": [{"m": MeasuredValue(3e200)}]}
    assert audited_measures(measured, changed, [])["m"].changes["seed"].spread is None


@pytest.mark.parametrize("document", [None, [], {}, {"runs": 3}, {"runs": [{"name": "a"}], "files": []}, {"runs": []}])
def test_documents_of_landscapes_that_cannot_be_shown_are_computed_again(document: Any) -> None:
    assert not can_be_shown(lambda: LandscapeResult(document).renderables(80))
    assert not can_be_shown(lambda: SpectrumResult(document).renderables(80))


def test_a_whole_document_of_a_landscape_is_kept() -> None:
    run = {"name": "a", "loss": 0.1, "error": 0.2, "surface": {"loss": [0.1, None], "error": [0.2, 0.3]}}
    assert can_be_shown(lambda: LandscapeResult({"runs": [run], "files": ["a"]}).renderables(80))
