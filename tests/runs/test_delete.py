"""`delete` moves runs to the trash and deletes them in MLflow; what is there can come back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from infomcr_cli.delete_runs import DeleteResult, RunToDelete, delete_runs
from infomcr_cli.errors import InputError
from infomcr_cli.list_runs import list_runs
from infomcr_cli.runs import RunDirectory, State, finished, lock_run, new_status, read_status, write_status
from infomcr_cli.runs.trash import move_to_trash
from infomcr_cli.sync import sync
from infomcr_cli.tracking.client import connect
from infomcr_cli.tracking.known_stores import store_of_run
from infomcr_cli.tracking.sync import sync_run
from tests.conftest import CommandLine


def delete(*paths: Path, confirmed: bool = True, tracking_uri: str | None = None) -> DeleteResult:
    return delete_runs([str(path) for path in paths], confirm=lambda going: confirmed, tracking_uri=tracking_uri)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def client_of(run: RunDirectory) -> Any:
    store = store_of_run(run)
    assert store is not None
    return connect(store)


def test_a_deleted_run_is_whole_in_the_trash_and_is_listed_no_more(done: RunDirectory) -> None:
    before, root = files_of(done.path), done.path.parent
    (removed,) = delete(done.path).runs
    assert removed.trash == str(root / ".trash" / "a")
    assert removed.problem is None
    after = files_of(root / ".trash" / "a")
    after.pop(".lock", None)
    assert after == before
    assert list_runs(root).runs == ()


def test_its_run_in_mlflow_is_deleted_softly_and_comes_back_with_it(done: RunDirectory) -> None:
    (synced,) = sync([str(done.path)]).runs
    client = client_of(done)
    (removed,) = delete(done.path).runs
    assert removed.mlflow_run_id == synced.mlflow_run_id
    assert client.get_run(synced.mlflow_run_id).info.lifecycle_stage == "deleted"
    (done.path.parent / ".trash" / "a").rename(done.path)
    again = sync_run(done, store_of_run(done))
    assert again.problem is None
    assert client.get_run(str(again.mlflow_run_id)).info.lifecycle_stage == "active"
    assert [run.run for run in list_runs(done.path.parent).runs] == ["a"]


def test_a_deleted_copy_leaves_the_run_in_mlflow_to_the_original(done: RunDirectory) -> None:
    (synced,) = sync([str(done.path)]).runs
    copy = done.path.parent.parent / "runs-backup" / "a"
    shutil.copytree(done.path, copy)
    result = delete(copy)
    assert result.exit_code == 0
    assert str(done.path) in str(result.runs[0].note)
    client = client_of(done)
    assert client.get_run(synced.mlflow_run_id).info.lifecycle_stage == "active"
    assert delete(done.path).runs[0].mlflow_run_id == synced.mlflow_run_id
    assert client.get_run(synced.mlflow_run_id).info.lifecycle_stage == "deleted"


def test_a_run_that_was_never_mirrored_makes_no_store(done: RunDirectory) -> None:
    (removed,) = delete(done.path).runs
    assert (removed.mlflow_run_id, removed.problem) == (None, None)
    assert not (done.path.parent.parent / "mlflow").exists()


def test_a_store_that_is_not_known_is_left_alone_and_that_is_said(done: RunDirectory) -> None:
    sync([str(done.path)])
    done.config.write_text(done.config.read_text().replace("uri: null", "uri: http://elsewhere"))
    (removed,) = delete(done.path).runs
    assert removed.trash is not None
    assert "--tracking-uri" in str(removed.problem)


def test_a_store_out_of_reach_is_said_and_the_run_is_in_the_trash(done: RunDirectory) -> None:
    result = delete(done.path, tracking_uri="http://127.0.0.1:9")
    assert result.exit_code == 1
    assert result.runs[0].trash is not None
    assert "sync --prune" in str(result.runs[0].problem)


def test_a_running_run_is_refused_and_none_of_the_others_goes(done: RunDirectory) -> None:
    other = RunDirectory.create(
        done.path.parent / "b", config=done.read_config(), overrides=[], status=new_status("cd" * 32)
    )
    with lock_run(other), pytest.raises(InputError, match="running"):
        delete(done.path, other.path)
    assert done.path.is_dir()
    assert other.path.is_dir()


def test_a_damaged_run_of_an_audit_goes_with_its_run(done: RunDirectory) -> None:
    shutil.copytree(done.path, done.path / "audit" / "b")
    (done.path / "audit" / "b" / "status.json").write_text("{")
    assert delete(done.path).runs[0].trash is not None


def test_a_run_on_which_a_process_works_is_not_moved(done: RunDirectory) -> None:
    with lock_run(done):
        (removed,) = delete(done.path).runs
    assert removed.trash is None
    assert "one process at a time" in str(removed.problem)
    assert done.path.is_dir()


def test_a_lost_run_can_be_deleted(run: RunDirectory) -> None:
    write_status(run, new_status("ab").model_copy(update={"started": 1e9, "pid": 1}))
    assert read_status(run).state is State.LOST
    assert delete(run.path).runs[0].trash is not None


def test_a_folder_whose_runs_are_all_in_the_trash_has_none_to_compare(done: RunDirectory) -> None:
    from infomcr_cli.report.gather import gather

    delete(done.path)
    with pytest.raises(InputError):
        gather([str(done.path.parent)])


def test_what_is_not_confirmed_stays(done: RunDirectory) -> None:
    shown: list[str] = []

    def refuse(going: Sequence[RunToDelete]) -> bool:
        shown.extend(one.line for one in going)
        return False

    assert delete_runs([str(done.path)], confirm=refuse).runs == ()
    assert "FINISHED" in shown[0]
    assert "MB" in shown[0]
    assert done.path.is_dir()


def test_two_runs_of_a_name_keep_their_places_in_the_trash(done: RunDirectory) -> None:
    config, path = done.read_config(), done.path
    delete(path)
    again = RunDirectory.create(path, config=config, overrides=[], status=finished(new_status("ef"), State.FINISHED))
    assert move_to_trash(again) == path.parent / ".trash" / "a-2"
    with pytest.raises(InputError, match="already in the trash"):
        delete(path.parent / ".trash" / "a")


def test_a_run_named_twice_goes_once(done: RunDirectory) -> None:
    assert len(delete(done.path, Path(f"{done.path}/.")).runs) == 1


def test_without_a_terminal_yes_must_be_given(done: RunDirectory, command_line: CommandLine) -> None:
    refused = command_line("delete", str(done.path))
    assert refused.code == 2
    assert "--yes" in refused.err
    assert done.path.is_dir()
    answer = command_line("delete", str(done.path), "--yes", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["deleted"][0]["run"] == "a"
    assert command_line("delete", str(done.path), "--yes").code == 2


def test_a_run_that_is_being_audited_by_training_is_not_moved(done: RunDirectory) -> None:
    inner = RunDirectory.create(done.path / "audit" / "b", config=b"{}\n", overrides=[], status=new_status("cd" * 32))
    with lock_run(inner), pytest.raises(InputError, match="running"):
        delete(done.path)
    assert done.path.is_dir()
