"""How a run is named and described in MLflow, and what becomes of it there if its directory is renamed or deleted."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, finished, new_status, read_status, write_status
from infomcr_cli.sync import PruneRequest, sync
from infomcr_cli.tracking import prune
from infomcr_cli.tracking.client import connect
from infomcr_cli.tracking.parents import log_comparison, start_parent
from infomcr_cli.tracking.prune import DeletedRun
from infomcr_cli.tracking.store import Store, store_of
from infomcr_cli.tracking.sync import mirror
from tests.conftest import CommandLine

CONFIG = b"""
data: {name: digits, root: /a/place, batch_size: 16}
model: {name: wrn, depth: 10}
reg: {name: "off"}
measure: {batch_size: 500}
engine: {jobs: 2}
choices: {model: wrn}
seed: 0
device: auto
tracking: {name: mlflow, uri: null, experiment: infomcr}
"""


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., RunDirectory]:
    """Make a run directory that has ended, of a sweep if it has a label."""

    def make(name: str, label: str | None = None, overrides: Sequence[str] = ("seed=0",)) -> RunDirectory:
        status = new_status("0123456789abcdef").model_copy(update={"label": label})
        path = tmp_path / "runs" / name
        run = RunDirectory.create(path, config=CONFIG, overrides=list(overrides), status=status)
        write_status(run, finished(read_status(run), State.FINISHED))
        return run

    return make


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The store beside the runs."""
    return store_of(None, "infomcr", tmp_path / "runs")


def yes(gone: Sequence[DeletedRun]) -> bool:
    return True


def recorded(store: Store) -> list[Any]:
    client = connect(store)
    return list(client.search_runs([client.get_experiment_by_name("infomcr").experiment_id]))


def test_parameters_are_the_settings_that_make_the_weights(make_run: Callable[..., RunDirectory], store: Store) -> None:
    params = connect(store).get_run(mirror(make_run("a"), store)).data.params
    assert params == {
        "data.name": "digits", "data.batch_size": "16", "model.name": "wrn", "model.depth": "10", "reg.name": "off",
        "seed": "0",
    }  # fmt: skip


def test_a_run_of_a_sweep_is_named_by_what_differs_in_it(make_run: Callable[..., RunDirectory], store: Store) -> None:
    mirror(make_run("wrn-off-123", "reg=off seed=2"), store)
    mirror(make_run("mine"), store)
    assert {run.info.run_name for run in recorded(store)} == {"reg=off seed=2", "mine"}


def test_user_source_and_description_are_filled_once_and_a_user_may_edit_them(
    make_run: Callable[..., RunDirectory], store: Store
) -> None:
    run = make_run("a", overrides=["model.depth=10", "tracking.uri=http://ann:s3cr3t-pw@host", "data.root=/a b"])
    client = connect(store)
    run_id = mirror(run, store)
    tags = client.get_run(run_id).data.tags
    assert tags["mlflow.user"]
    assert tags["mlflow.source.name"] == "infomcr train"
    assert tags["infomcr.host"] == socket.gethostname()
    assert tags["mlflow.note.content"].startswith("wrn on digits, regularizer off.\n\n    infomcr train model.depth=10")
    assert "'data.root=/a b'" in tags["mlflow.note.content"]
    assert "s3cr3t" not in str(tags)
    client.set_tag(run_id, "mlflow.note.content", "the good one")
    mirror(run, store)
    assert client.get_run(run_id).data.tags["mlflow.note.content"] == "the good one"


def test_the_reason_of_a_stop_goes_once_the_run_has_finished(
    make_run: Callable[..., RunDirectory], store: Store
) -> None:
    run = make_run("a")
    for state, reason in ((State.KILLED, "SIGINT"), (State.FINISHED, None)):
        write_status(run, finished(read_status(run), state, reason))
        assert connect(store).get_run(mirror(run, store)).data.tags.get("infomcr.reason") == reason


@pytest.mark.parametrize("label", [None, "reg=on"])
def test_a_renamed_run_is_renamed_in_mlflow(
    make_run: Callable[..., RunDirectory], store: Store, label: str | None
) -> None:
    run = make_run("small", label)
    sync([str(run.path)])
    moved = run.path.rename(run.path.with_name("renamed"))
    for _ in range(2):
        sync([str(moved)])
        (found,) = recorded(store)
        assert found.info.run_name == "renamed"
        assert found.data.tags["infomcr.directory"] == str(moved)
    connect(store).update_run(found.info.run_id, name="a name of mine")
    sync([str(moved.rename(moved.with_name("again")))])
    assert recorded(store)[0].info.run_name == "a name of mine"


def test_prune_deletes_in_mlflow_what_was_deleted_here_and_nothing_else(
    make_run: Callable[..., RunDirectory], store: Store
) -> None:
    kept, gone, renamed = (make_run(name) for name in ("kept", "gone", "before"))
    sync([str(run.path) for run in (kept, gone, renamed)])
    start_parent(store, "a sweep", "f" * 32, {"infomcr.kind": "sweep", "infomcr.directory": "/nowhere/at/all"})
    renamed.path.rename(renamed.path.with_name("after"))
    shutil.rmtree(gone.path)
    result = sync([str(kept.path)], prune=PruneRequest(yes))
    assert [run.name for run in result.deleted or ()] == ["gone"]
    assert {run.info.run_name for run in recorded(store)} == {"kept", "before", "a sweep"}
    again = sync([], prune=PruneRequest(yes, kept.path.parent))
    assert again.to_dict() == {"runs": [], "deleted": [], "problems": []}
    assert list(again.renderables(80)) == ["Nothing was deleted in MLflow."]


@pytest.mark.parametrize("why", ["refused", "another machine", "the folder of runs is not there"])
def test_prune_leaves_a_run_in_mlflow_if(
    make_run: Callable[..., RunDirectory], store: Store, why: str, tmp_path: Path
) -> None:
    run = make_run("a")
    run_id = mirror(run, store)
    if why == "another machine":
        connect(store).set_tag(run_id, "infomcr.host", "elsewhere")
    shutil.rmtree(run.path.parent if why.startswith("the folder") else run.path)
    counts: list[int] = []

    def answer(gone: Sequence[DeletedRun]) -> bool:
        counts.append(len(gone))
        return why != "refused"

    assert sync([], tracking_uri=store.uri, prune=PruneRequest(answer)).deleted == ()
    assert counts == ([1] if why == "refused" else [])
    assert len(recorded(store)) == 1


def test_prune_of_a_store_out_of_reach_is_a_problem_without_its_password(command_line: CommandLine) -> None:
    answer = command_line("sync", "--prune", "--yes", "--tracking-uri", "http://ann:hunter2-s3cret@127.0.0.1:9")
    assert answer.code == 1
    assert "http://***@127.0.0.1:9 could not be searched for deleted runs" in answer.text
    assert "hunter2" not in answer.text
    assert "Traceback" not in answer.text


def test_prune_that_fails_midway_reports_what_was_deleted(
    make_run: Callable[..., RunDirectory], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [make_run(name) for name in ("a", "b", "c")]
    sync([str(run.path) for run in runs])
    for run in runs:
        shutil.rmtree(run.path)
    left = iter([True])

    def delete_models(client: Any, run_id: str) -> None:
        if not next(left, False):
            raise ConnectionError("gone")

    monkeypatch.setattr(prune, "delete_models", delete_models)
    result = sync([], prune=PruneRequest(yes, runs[0].path.parent))
    assert result.exit_code == 1
    assert len(result.deleted or ()) == 1
    assert len(recorded(store)) == 2
    assert "2 of 3 runs could not be deleted in sqlite:" in result.problems[0]


def test_prune_makes_no_store(tmp_path: Path) -> None:
    assert sync([], prune=PruneRequest(yes, tmp_path / "runs")).deleted == ()
    assert not list(tmp_path.iterdir())


def test_sync_of_nothing_says_what_to_name() -> None:
    with pytest.raises(InputError, match="such as runs"):
        sync([])


def test_a_comparison_is_a_child_of_its_sweep(make_run: Callable[..., RunDirectory], store: Store) -> None:
    run = make_run("a", "seed=0")
    parent = start_parent(store, "grid", "d" * 32, {"infomcr.kind": "sweep"})
    client = connect(store)
    for uid, found in (("d" * 32, parent), (None, None), ("e" * 32, None)):
        run_id = log_comparison(store, "comparison", [run], {"comparison/tau/gamma": 0.5}, [], parent=uid)
        tags = client.get_run(run_id).data.tags
        assert tags.get("mlflow.parentRunId") == found
        assert tags["mlflow.source.name"] == "infomcr compare"
    assert client.get_run(parent).data.tags["mlflow.source.name"] == "infomcr sweep"


def test_standard_errors_are_metrics(make_run: Callable[..., RunDirectory], store: Store) -> None:
    run = make_run("a")
    run.measures.write_text(
        '{"checkpoints": {"last": {"step": 3, "measures": {"gamma": {"value": -378.2, "std_error": 8.1},'
        ' "margin": {"value": 1.0, "std_error": null}}}}}'
    )
    metrics = connect(store).get_run(mirror(run, store)).data.metrics
    assert metrics == {"eval/gamma": -378.2, "eval/gamma_std_error": 8.1, "eval/margin": 1.0}
