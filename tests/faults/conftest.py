"""Children to kill, an unbroken run to compare with, and the table of what was observed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("same_run")
from fork_server import ForkServer  # noqa: E402

TOTALS = (
    "kills_survived",
    "metrics_lost",
    "damages_found",
    "bad_inputs",
    "hostile_inputs_tried",
    "hostile_inputs_executed",
)


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    own = ForkServer(tmp_path_factory.mktemp("fork_server"))
    yield own
    own.close()


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFOMCR_STATE", str(tmp_path / "state"))


@pytest.fixture
def observed(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Note what a test saw; `make test-faults` prints it."""

    def note(fault: str, **figures: object) -> None:
        record_property("observed", json.dumps([fault, figures], default=str))

    return note


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]
    notes = [json.loads(value) for report in reports for key, value in report.user_properties if key == "observed"]
    if not notes:
        return
    terminalreporter.section("what was observed")
    width = max(len(fault) for fault, _ in notes)
    for fault, figures in sorted(notes, key=lambda note: str(note[0])):
        said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
        terminalreporter.write_line(f"{fault:<{width}}  {said}")
    totals = {name: sum(int(f.get(name, 0)) for _, f in notes) for name in TOTALS}
    terminalreporter.write_line(
        f"{'in all':<{width}}  " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in totals.items())
    )
