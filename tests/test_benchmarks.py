"""Documents of benchmarks: what they say of the machine, and what `compare` finds in two of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.compare import changes, report, seconds_of
from benchmarks.machine import machine
from benchmarks.measures import table

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
