"""Documents of benchmarks: what they say of the machine, and what `compare` finds in two of them."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.compare import changes, report, seconds_of
from benchmarks.document import known_suites, write_document
from benchmarks.machine import machine
from benchmarks.measures import table
from benchmarks.rows import FASTER, MEMORY, SLOWER, Row, compared, finish, rows_of
from benchmarks.timing import Side

DOCUMENT = {
    "machine": {"processor": "A", "cores": 2, "time": "now"},
    "measures": {
        "gamma": {"seconds": 9.0, "processor_seconds": 4.0},
        "margin": {"seconds": 0.0, "processor_seconds": 0.001},
    },
    "turns": [{"name": "plain", "seconds": [3.0, 1.0, 2.0]}],
    "images": 1000,
}


def altered(factor: float) -> Any:
    """The same document with other times."""
    other = json.loads(json.dumps(DOCUMENT))
    other["measures"]["gamma"]["processor_seconds"] *= factor
    other["measures"]["margin"]["processor_seconds"] *= 10 * factor
    return other


def test_times_are_those_of_the_processors_and_medians_of_turns() -> None:
    assert dict(seconds_of(DOCUMENT)) == {"measures/gamma": 4.0, "measures/margin": 0.001, "turns/plain": 2.0}


@pytest.mark.parametrize(("factor", "count"), [(1.05, 0), (2.0, 1), (0.5, 1)])
def test_only_what_changed_by_a_tenth_and_takes_time_is_said(factor: float, count: int) -> None:
    found = changes(DOCUMENT, altered(factor))
    assert [one.name for one in found] == ["measures/gamma"] * count
    assert all(one.ratio == pytest.approx(factor) for one in found)


def test_report_says_what_became_slower_and_how_the_machines_differ() -> None:
    other = altered(2.0)
    other["machine"]["processor"] = "B"
    lines = report(DOCUMENT, other).splitlines()
    assert lines[0] == "other processor: A, B"
    assert lines[1] == "slower:"
    assert lines[2].split() == ["measures/gamma", "4.00", "s", "8.00", "s", "2.00", "x"]
    assert lines[3] == "faster: nothing"


def test_compare_reads_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text(json.dumps(DOCUMENT))
    second.write_text(json.dumps(altered(3.0)))
    assert main(["compare", str(first), str(second)]) == 0
    assert "3.00 x" in capsys.readouterr().out
    assert main(["compare", str(first)]) == 2
    assert main(["compare", str(first), str(tmp_path / "absent.json")]) == 2
    assert main(["no_such_suite"]) == 2


def test_record_of_the_machine_has_processor_versions_and_instruction_sets() -> None:
    found = machine()
    assert found["cores"] >= 1
    assert found["processor"]
    assert {"numpy", "tensorflow"} <= found["packages"].keys()
    assert isinstance(found["instruction_sets"], list)


def test_table_of_measures_names_those_that_take_nothing_in_one_line() -> None:
    together, estimate = ({"seconds": s, "processor_seconds": p} for s, p in ((9.0, 4.0), (8.0, 5.0)))
    lines = table({**DOCUMENT, "together": together, "estimate": estimate}).splitlines()
    assert lines[2:5] == ["| gamma | 9.0 | 4.0 |", "| all together | 9.0 | 4.0 |", "| forecast | 8.0 | 5.0 |"]
    assert lines[-1] == "Less than 0.05 s each: margin."


def _row(name: str, *ratios: float, meaning: str, **options: Any) -> Row:
    return Row(name, ratios=ratios, meaning=meaning, **options)


ROWS = (
    _row("a draw", 2.0, 1.5, 3.0, meaning=FASTER, seconds=[1.0], against="peer", other_seconds=[2.0], target=1.4),
    Row("a step", [2.2], [4.0], against="plain", other_seconds=[1.0], ratios=[2.2], meaning=SLOWER, target=2.05),
    _row("its memory", 2.0, meaning=MEMORY, peak_bytes=2 * 10**9, against="plain", other_peak_bytes=10**9),
    Row("eval", [5.0, 6.0], [7.0, 8.0], target=8.0),
)  # fmt: skip


def test_target_is_a_least_ratio_where_ours_is_faster_and_else_a_most() -> None:
    assert [row.is_reached for row in ROWS] == [True, False, True, True]
    assert [row.value for row in ROWS] == [2.0, 2.2, 2.0, 5.5]
    assert ROWS[1].line().endswith("at most 2.05: missed")


def test_memory_beyond_its_limit_is_a_missed_target() -> None:
    below, above = (Row("a draw", [1.0], peak_bytes=peak, target=2.0, most_bytes=10**9) for peak in (10**9, 10**9 + 1))
    assert (below.limit(), below.is_reached) == ("at most 2 s, at most 1 GB", True)
    assert (above.limit(), above.is_reached) == ("at most 2 s, at most 1 GB: missed", False)


def test_ratio_of_two_sides_is_taken_turn_by_turn() -> None:
    ours, other = Side("ours", [], [1.0, 2.0], 5), Side("peer", [], [3.0, 5.0], 7)
    faster, slower = (compared("a draw", ours, other, meaning) for meaning in (FASTER, SLOWER))
    assert faster.ratios == [3.0, 2.5]
    assert slower.ratios == [1 / 3, 0.4]
    assert (faster.peak_bytes, faster.other_peak_bytes) == (5, 7)


def test_rows_are_read_as_they_were_written_and_a_missed_target_is_a_failure(tmp_path: Path) -> None:
    assert finish(ROWS, tmp_path / "rows.json") == 1
    assert finish(ROWS[:1], None) == 0
    document = json.loads((tmp_path / "rows.json").read_text())
    assert [row.line() for row in rows_of(document)] == [row.line() for row in ROWS]
    assert dict(seconds_of(document))["rows/eval"] == 7.5, "the median of the processors"


def test_document_has_one_table_for_each_machine_the_newest_first(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    for number, processor in enumerate(("old", "new")):
        time = f"2026-11-0{number + 1}T00:00:00"
        record = {**machine(), "processor": processor, "time": time, "instruction_sets": ["avx2"]}
        suites = {name: {"time": time} for name in ("gamma", "start")}
        finish(ROWS[:3], tmp_path / "gamma.json")
        finish(ROWS[3:], tmp_path / "start.json")
        for name, suite in suites.items():
            suite["found"] = json.loads((tmp_path / f"{name}.json").read_text())
        (tmp_path / f"benchmarks/{processor}.json").write_text(json.dumps({"machine": record, "suites": suites}))
    path = tmp_path / "benchmarks.md"
    path.write_text("# Kept\n<!-- generated: machines -->\nold\n<!-- end -->\n")
    write_document(path, tmp_path / "benchmarks")
    text = path.read_text()
    assert [line.split(",")[0] for line in text.splitlines() if line.startswith("#")] == ["# Kept", "## new", "## old"]
    step = "| a step | 2.20 s (4.00 s of the processors) | plain | 1.00 s | 2.20 times as long |"
    assert f"{step} at most 2.05: **missed** |" in text
    assert "| its memory | 2.00 GB | plain | 1.00 GB | 2.00 times the memory |  |" in text
    assert text.count("(benchmarks/new.json)") == 1
    write_document(path, tmp_path / "benchmarks")
    assert path.read_text() == text


def test_suites_are_added_to_a_file_of_the_same_machine_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, here = tmp_path / "bench.json", machine()
    assert known_suites(path, here) == {}
    path.write_text(json.dumps({"machine": here, "suites": {"gamma": {}}}))
    assert known_suites(path, here) == {"gamma": {}}
    path.write_text(json.dumps({"machine": {**here, "cores": 99}, "suites": {"gamma": {}}}))
    assert main(["ranking", "--json", str(path)]) == 2
    assert "another cores: 99" in capsys.readouterr().err


def test_file_holds_each_suite_as_soon_as_it_has_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bench.json"

    def run(suite: str, found: dict[str, Any]) -> bool:
        if suite == "layers":
            raise KeyboardInterrupt
        found[suite] = {"went_well": True}
        return True

    monkeypatch.setattr("benchmarks.__main__._run", run)
    with pytest.raises(KeyboardInterrupt):
        main(["gamma", "layers", "--json", str(path)])
    assert list(json.loads(path.read_text(encoding="utf-8"))["suites"]) == ["gamma"]


def test_hours_of_the_full_study_follow_from_the_measured_steps() -> None:
    root = Path(__file__).parents[1]
    document = json.loads((root / "docs/benchmarks/avx512-bf16.json").read_text())
    rows = {row["name"]: row for row in document["suites"]["training_step"]["found"]["rows"]}
    names = ("off", "on", "sam")
    plain, on, sam = (median(rows[f"a step, reg={name}, deterministic=true"]["seconds"]) for name in names)
    hours = [200 * 390 / 3600 * seconds for seconds in (plain, 0.3 * plain + 0.7 * on, 2.4 * plain, sam)]
    preset = " ".join((root / "conf/experiment/wrn_cifar10_paper.yaml").read_text().replace("#", "").split())
    said = ("off {:.0f} hours", "= {:.0f} hours", "plain steps) {:.0f} hours", "SAM {:.0f} hours")
    assert [text for text in map(str.format, said, hours) if text not in preset] == []
    method = " ".join((root / "docs/method.md").read_text().split())
    assert all(f"about {one:.0f} hours" in method for one in hours[:2])
