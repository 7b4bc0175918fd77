"""`runs` says what is so; `--repair` closes what is lost; `sync` and the recorded store trust the user only."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from infomcr_cli.errors import InputError
from infomcr_cli.list_runs import list_runs
from infomcr_cli.runs import RunDirectory, State, new_status, read_status, write_status
from infomcr_cli.sync import sync
from infomcr_cli.tracking.known_stores import add_known_store, is_known, store_of_run

CONFIG = "tracking: {name: %s, uri: %s, experiment: infomcr}\nmodel: {name: wrn}\n"


def lose(run: RunDirectory) -> None:
    write_status(run, new_status("ab").model_copy(update={"started": time.time() - 60, "pid": 1, "step": 7}))


def test_a_lost_run_is_listed_and_closed_here_and_in_mlflow(run: RunDirectory) -> None:
    from infomcr_cli.tracking.client import connect

    lose(run)
    root = run.path.parent
    (root / "notes.txt").write_text("no run")
    (root / ".creating-old").mkdir()
    os.utime(root / ".creating-old", (0, 0))
    (listed,) = list_runs(root).runs
    assert (listed.state, listed.step, listed.choices["model"]) == (State.LOST, 7, "wrn")
    assert not listed.repaired
    assert not listed.closed
    (repaired,) = list_runs(root, repair=True).runs
    assert repaired.repaired
    assert repaired.problem is None
    assert '"LOST"' in run.status.read_text()
    store = store_of_run(run)
    assert store is not None
    assert connect(store).get_run(str(read_status(run).mlflow_run_id)).info.status == "FAILED"
    assert not (root / ".creating-old").exists()
    (again,) = list_runs(root, repair=True).runs
    assert (again.state, again.repaired, again.closed) == (State.LOST, False, True)


def test_the_next_repair_completes_one_that_did_not_reach_mlflow(run: RunDirectory) -> None:
    from infomcr_cli.tracking.client import connect

    sync([str(run.path)])
    lose(run)
    root = run.path.parent
    (failed,) = list_runs(root, repair=True, tracking_uri="http://127.0.0.1:9").runs
    assert failed.repaired
    assert failed.problem
    (again,) = list_runs(root, repair=True).runs
    assert (again.repaired, again.problem) == (False, None)
    store = store_of_run(run)
    assert store is not None
    assert connect(store).get_run(str(read_status(run).mlflow_run_id)).info.status == "FAILED"


def test_no_uri_repairs_nothing(run: RunDirectory) -> None:
    lose(run)
    with pytest.raises(InputError, match="ftp"):
        list_runs(run.path.parent, repair=True, tracking_uri="ftp://x")
    assert '"RUNNING"' in run.status.read_text()


def test_a_broken_run_is_listed_with_its_problem(run: RunDirectory) -> None:
    run.status.write_text("\x1b[31m")
    (listed,) = list_runs(run.path.parent).runs
    assert listed.state is None
    assert "status.json" in str(listed.problem)
    assert "\x1b" not in str(listed.problem)


@pytest.mark.parametrize("name", ["config.yaml", "status.json"])
def test_a_run_that_lost_a_file_is_listed_with_its_problem(run: RunDirectory, name: str) -> None:
    (run.path / name).unlink()
    (listed,) = list_runs(run.path.parent).runs
    assert (listed.run, listed.state) == ("a", None)
    assert name in str(listed.problem)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder"):
        list_runs(tmp_path / "nowhere")
    with pytest.raises(InputError, match="run"):
        sync([str(tmp_path / "nowhere")])


def test_a_recorded_store_is_followed_only_if_the_user_gave_it(
    run: RunDirectory, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/elsewhere.db"
    run.config.write_text(CONFIG % ("mlflow", uri))
    with caplog.at_level(logging.WARNING):
        assert store_of_run(run) is None
    assert "have never used" in caplog.text
    assert sync([str(run.path)]).runs[0].mlflow_run_id is None
    assert not (tmp_path / "elsewhere.db").exists()
    add_known_store(uri)
    assert is_known(uri)
    followed = store_of_run(run)
    assert followed is not None
    assert followed.uri == uri


def test_a_password_must_be_given_again(run: RunDirectory, caplog: pytest.LogCaptureFixture) -> None:
    add_known_store("http://ann:pw@host")
    run.config.write_text(CONFIG % ("mlflow", "'http://***@host'"))
    with caplog.at_level(logging.WARNING):
        assert store_of_run(run) is None
    assert "password" in caplog.text
    given = store_of_run(run, "http://ann:pw@host")
    assert given is not None
    assert given.uri == "http://ann:pw@host"
    assert "pw" not in repr(given)


def test_untracked_runs_have_no_store(run: RunDirectory) -> None:
    run.config.write_text(CONFIG % ("'off'", "null"))
    assert store_of_run(run) is None


def test_a_server_that_is_down_is_a_problem_not_a_crash(run: RunDirectory) -> None:
    (synced,) = sync([str(run.path)], tracking_uri="http://ann:s3cr3t@127.0.0.1:9").runs
    assert synced.mlflow_run_id is None
    assert synced.problem
    assert "s3cr3t" not in str(synced)


def test_a_read_only_home_does_not_stop_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFOMCR_STATE", "/proc/nowhere")
    add_known_store("http://host")
    assert not is_known("http://host")
