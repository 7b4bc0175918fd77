"""The process that does the MLflow part of a command: what it records, what it says, how it ends."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from infomcr_cli.runs import RunDirectory
from infomcr_cli.tracking.client import connect
from infomcr_cli.tracking.process import MlflowProcess, MlflowProcessError
from infomcr_cli.tracking.store import Store, store_of

SLOW = """
import sys, time
from pathlib import Path
if sys.argv[:1] == ["-m"]:
    from infomcr_cli.tracking import parents

    def slow(*_):
        Path(__file__).with_name("recording").touch()
        time.sleep(60)

    parents.log_numbers = slow
"""


@pytest.fixture(autouse=True)
def _separate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infomcr_cli.tracking.process.is_mlflow_imported", lambda: False)


@pytest.fixture
def store(run: RunDirectory) -> Store:
    return store_of(None, "infomcr", run.path.parent)


def states(store: Store) -> list[str]:
    client = connect(store)
    found = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return [one.info.status for one in found]


def test_the_process_records_mirrors_and_passes_on_warnings_and_errors(
    done: RunDirectory,
    store: Store,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "table.csv").write_text("a\n1\n")
    refused = Store("sqlite:////proc/none/mlflow.db?password=hunter22", "infomcr")
    with MlflowProcess(is_separate=True) as mlflow:
        mlflow.prepare(done)
        assert not tmp_path.joinpath("mlflow").exists()  # until there is something to record
        mlflow.mirror_results(done)
        artifacts = [tmp_path / "table.csv"]
        run_id = mlflow.log_comparison(store, "two", [done], {"tau": 0.5}, artifacts, note="a note")
        with pytest.raises(MlflowProcessError) as error:
            mlflow.log_comparison(refused, "two", [done], {}, [])
        (done.path / "measures.json").write_text("{")
        with caplog.at_level(logging.WARNING):
            mlflow.mirror_results(done)
    assert "hunter22" not in str(error.value)
    assert "measures.json" in caplog.text
    assert capfd.readouterr().out == ""
    client = connect(store)
    recorded = client.get_run(run_id)
    assert (recorded.info.status, recorded.data.metrics) == ("FINISHED", {"tau": 0.5})
    assert [one.path for one in client.list_artifacts(run_id)] == ["compared.txt", "table.csv"]
    assert states(store) == ["FINISHED", "FINISHED"]


def test_an_interrupted_command_ends_its_run_in_mlflow_as_killed(
    done: RunDirectory, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW)
    monkeypatch.syspath_prepend(tmp_path)

    def interrupt() -> None:
        while not (tmp_path / "recording").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt), MlflowProcess(is_separate=True) as mlflow:
        mlflow.log_comparison(store, "two", [done], {}, [])
    assert states(store) == ["KILLED"]


def test_a_process_that_died_is_named_and_a_mirror_goes_on_without_it(done: RunDirectory, store: Store) -> None:
    with MlflowProcess(is_separate=True) as mlflow:
        assert mlflow._process is not None
        mlflow._process.kill()
        with pytest.raises(MlflowProcessError, match="exited with code -9"):
            mlflow.log_comparison(store, "two", [done], {}, [])
        mlflow.mirror_results(done)
    assert states(store) == ["FINISHED"]
