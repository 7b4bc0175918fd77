"""The audit's numbers by hand, its table, its file and its plot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fake_runs import evaluation, three_runs

from infomcr_cli.errors import InputError
from infomcr_cli.report.audit import (
    Audit,
    MeasuredValue,
    audit_table,
    audited_measures,
    fragility_of,
    read_audit_file,
    spread,
)
from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.report.plots.audit import save_audit_plot
from infomcr_cli.runs.measures_file import Evaluation

CONVENTION = {"samples": 10}


def minimum(values: dict[str, float], convention: object = CONVENTION) -> EvaluatedRun:
    found = Evaluation.model_validate(evaluation(0.1, values, convention=convention))
    return EvaluatedRun("run", None, "FINISHED", {}, {}, {}, evaluation=found)  # type: ignore[arg-type]


def values(**found: float | None) -> dict[str, MeasuredValue]:
    return {name: MeasuredValue(value, "nats", "lower", CONVENTION) for name, value in found.items()}


MINIMA = [minimum({"gamma": g, "flat": 2.0}) for g in (0.0, 2.0, 4.0)]


def audited(minima: list[EvaluatedRun] = MINIMA) -> Audit:
    changed = {
        "rescaling": [values(gamma=1.0, flat=3.0), values(gamma=1.0, flat=2.0)],
        "seed": [values(gamma=5.0, flat=None)],
    }
    found = audited_measures(values(gamma=1.0, flat=2.0), changed, minima)
    return Audit(
        run="a run",
        checkpoint="last",
        changes={kind: {"count": len(of)} for kind, of in changed.items()},
        measures=found,
    )


def test_fragility_is_the_spread_of_a_change_over_that_between_minima():
    gamma = audited().measures["gamma"]
    assert gamma.between_minima == pytest.approx(2.0)
    assert gamma.changes["rescaling"].spread == 0.0
    assert gamma.changes["rescaling"].ratio == 0.0
    assert gamma.changes["seed"].spread == pytest.approx(np.std([1.0, 5.0], ddof=1))
    assert gamma.changes["seed"].ratio == pytest.approx(np.sqrt(8) / 2)
    assert gamma.fragility == pytest.approx(np.sqrt(2))


def test_minima_that_do_not_differ_are_no_scale():
    flat = audited().measures["flat"]
    assert (flat.between_minima, flat.fragility) == (None, None)
    assert flat.changes["rescaling"].spread == pytest.approx(np.std([2.0, 3.0, 2.0], ddof=1))


def test_a_change_without_a_value_has_no_spread():
    changed = audited().measures["flat"].changes["seed"]
    assert (changed.values, changed.spread) == ([None], None)


def test_minima_of_another_convention_are_not_mixed_in():
    others = [minimum({"gamma": 100.0 * g}, {"samples": 20}) for g in range(5)]
    assert audited([*MINIMA, *others]).measures["gamma"].between_minima == pytest.approx(2.0)
    assert audited(others).measures["gamma"].between_minima is None


def test_without_a_comparison_there_are_spreads_and_no_ratios():
    gamma = audited([]).measures["gamma"]
    assert gamma.changes["seed"].spread is not None
    assert (gamma.changes["seed"].ratio, gamma.minima) == (None, 0)


def test_spread_needs_two_finite_values():
    assert spread([1.0]) is None
    assert spread([1.0, None]) is None
    assert spread([1.0, float("inf")]) is None


def test_table_begins_with_the_steadiest_measure():
    table = audit_table(audited())
    assert table.head == ("measure", "value", "unit", "between minima", "rescaling", "seed")
    assert table.rows[0] == ("gamma", "1", "nats", "2", "0 (0.00)", "2.83 (1.41)")
    assert table.rows[1][0] == "flat"


def test_file_is_read_as_it_was_written(tmp_path: Path):
    file = tmp_path / "audit.json"
    file.write_text(audited().model_dump_json())
    assert read_audit_file(file) == audited()


@pytest.mark.parametrize("content", ["{", "[]", '{"run": 3}', '{"run": "a", "checkpoint": "last", "changes": []}'])
def test_a_file_that_is_no_audit_is_refused(content: str, tmp_path: Path):
    file = tmp_path / "audit.json"
    file.write_text(content)
    with pytest.raises(InputError, match=r"audit\.json"):
        read_audit_file(file)
    with pytest.raises(InputError, match="readable"):
        read_audit_file(tmp_path / "none.json")


def test_fragility_of_several_audits_is_their_mean():
    assert fragility_of([audited(), audited()]) == {"gamma": pytest.approx(np.sqrt(2))}
    assert fragility_of([audited([])]) == {}
    assert fragility_of([]) == {}


def test_compare_shows_the_fragility_of_an_audit_that_is_found_or_named(tmp_path: Path, command_line):
    three_runs(tmp_path)
    (tmp_path / "run-1" / "audit.json").write_text(audited().model_dump_json())
    runs = [str(tmp_path / f"run-{index}") for index in range(3)]
    found = command_line("compare", *runs, "--no-tracking")
    assert found.code == 0
    assert "fragility" in found.out
    document = json.loads(command_line("compare", *runs, "--no-tracking", "--json").out)
    assert document["fragility"] == {"gamma": pytest.approx(np.sqrt(2))}
    other = tmp_path / "other.json"
    other.write_text(audited([]).model_dump_json())
    document = json.loads(command_line("compare", *runs, "--no-tracking", "--json", "--audit", str(other)).out)
    assert document["fragility"] == {}
    (tmp_path / "run-1" / "audit.json").write_text("{")
    assert "fragility" not in command_line("compare", *runs, "--no-tracking").out
    assert command_line("compare", *runs, "--no-tracking", "--audit", str(tmp_path / "run-1" / "audit.json")).code == 2


def test_plot_shows_measures_with_a_ratio_and_is_the_same_each_time(tmp_path: Path):
    files = save_audit_plot(audited(), tmp_path)
    assert [file.name for file in files] == ["audit.svg", "audit.png"]
    before = [file.read_bytes() for file in files]
    assert [file.read_bytes() for file in save_audit_plot(audited(), tmp_path)] == before
    assert save_audit_plot(audited([]), tmp_path / "none") == []


def test_an_audit_that_cannot_be_read_is_refused_before_anything_is_ranked(
    tmp_path: Path, command_line, monkeypatch: pytest.MonkeyPatch
):
    three_runs(tmp_path)
    monkeypatch.setattr("infomcr_cli.report.comparison.compare_runs", lambda *_, **__: pytest.fail("it was ranked"))
    (tmp_path / "audit.json").write_text("{}")
    runs = [str(tmp_path / f"run-{index}") for index in range(3)]
    assert command_line("compare", *runs, "--no-tracking", "--audit", str(tmp_path / "audit.json")).code == 2
