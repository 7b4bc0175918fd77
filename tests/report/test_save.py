"""The record of a comparison in MLflow."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cli import CommandLine
from fake_runs import three_runs

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.report import judge
from infomcr_cli.report.save import comparison_note, tracked_metrics
from infomcr_cli.runs import RunDirectory
from infomcr_cli.tracking.store import Store


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three evaluated runs."""
    return three_runs(tmp_path / "runs")


def test_comparison_is_recorded_with_runs_metrics_and_artifacts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_runs(tmp_path)
    seen: dict[str, Any] = {}

    def log_comparison(
        store: Store,
        name: str,
        runs: list[RunDirectory],
        metrics: Any,
        artifacts: list[Path],
        parent: str | None,
        note: str,
    ) -> str:
        files = {path.name: path.read_bytes() for path in artifacts}
        seen.update(store=store, runs=[run.name for run in runs], metrics=metrics, files=files, note=note)
        return "abc"

    monkeypatch.setattr("infomcr_cli.tracking.parents.log_comparison", log_comparison)
    options = CompareRequest((str(tmp_path),), tracking=True, tracking_uri="http://127.0.0.1:1")
    document = compare(options).to_dict()
    assert document["mlflow_run_id"] == "abc"
    assert "3 runs, ranked against the gap `error`" in seen["note"]
    assert "| gamma |" in seen["note"]
    assert "| noise |" in seen["note"]
    assert seen["store"].uri == "http://127.0.0.1:1"
    assert seen["runs"] == ["run-0", "run-1", "run-2"]
    assert seen["metrics"]["comparison/tau/gamma"] == pytest.approx(1.0)
    assert {"table.csv", "comparison.html", "comparison.json", "measures.svg"} <= seen["files"].keys()
    json.loads(seen["files"]["comparison.json"])


def test_unreachable_store_gives_a_warning_and_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    three_runs(tmp_path)

    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route to http://user:secret@example.org")

    monkeypatch.setattr("infomcr_cli.tracking.parents.log_comparison", refuse)
    options = CompareRequest((str(tmp_path),), tracking=True, tracking_uri="http://127.0.0.1:1")
    assert compare(options).mlflow_run_id is None
    assert "Could not record" in caplog.text
    assert "secret" not in caplog.text


def test_signal_while_recording_ends_the_mlflow_run(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient

    three_runs(tmp_path)
    monkeypatch.setattr(MlflowClient, "log_artifact", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert command_line("compare", str(tmp_path), "--tracking-uri", uri, "--json").code == 143
    client = MlflowClient(uri)
    found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    assert [run.info.status for run in found] == ["KILLED"]


def test_run_without_a_store_gives_a_warning_and_the_comparison(runs: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = (runs / "run-0" / "config.yaml").read_text().replace("tracking:\n  name: 'off'\n", "")
    assert "tracking" not in config
    (runs / "run-0" / "config.yaml").write_text(config)
    assert compare(CompareRequest((str(runs),), tracking=True)).ranking.n == 3
    assert "Could not record" in caplog.text


def test_a_comparison_of_a_sweeps_folder_names_the_sweep_as_its_parent(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents: list[str | None] = []
    monkeypatch.setattr(
        "infomcr_cli.tracking.parents.log_comparison", lambda *_, parent, **__: parents.append(parent) or "id"
    )
    folder = tmp_path / "sweeps" / "grid"
    folder.mkdir(parents=True)
    jobs = [{"run": str(run)} for run in sorted(runs.iterdir())]
    for uid in ("0" * 32, "' OR '1'='1", None):
        (folder / "sweep.json").write_text(json.dumps({"uid": uid, "jobs": jobs}))
        compare(CompareRequest((str(folder),), tracking=True, tracking_uri="http://127.0.0.1:1"))
    compare(CompareRequest((str(runs),), tracking=True, tracking_uri="http://127.0.0.1:1"))
    assert parents == ["0" * 32, None, None, None]


def test_note_shows_oriented_statistics_as_the_metrics_do_and_marks_mixed_conventions() -> None:
    frame = pd.DataFrame({"lr": range(6), "gap": np.arange(6) / 10})
    frame["margin"] = -frame["gap"]
    ranking = judge(frame, gap="gap", axes=["lr"], n_test=10_000, directions={"margin": "higher"})
    ranking = replace(ranking, measures=tuple(replace(one, mixed=True) for one in ranking.measures))
    comparison: Any = SimpleNamespace(included=range(6), gap="error", ranking=ranking, conflicts=["margin: draws"])
    note, metrics = comparison_note(comparison), tracked_metrics(comparison)
    (line,) = [one for one in note.splitlines() if "margin" in one]
    assert metrics["comparison/tau/margin.mixed_conventions"] == 1.0
    assert metrics["comparison/sign_error/margin.mixed_conventions"] == 0.0
    assert line.startswith("| margin* | 1.000 | 1.000 | 1.000 |")
    assert line.endswith("| 0.000 |")
    assert "*: values of different conventions" in note
