"""Tags and notes are kept in the run directory, shown by `runs`, and mirrored in MLflow."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infomcr_cli.annotate import note_run, tag_run
from infomcr_cli.errors import InputError
from infomcr_cli.list_runs import RunQuery, list_runs
from infomcr_cli.runs import RunDirectory, read_status
from infomcr_cli.runs.annotations import MAX_NOTE, read_annotations
from infomcr_cli.tracking.client import connect
from infomcr_cli.tracking.known_stores import store_of_run
from infomcr_cli.tracking.sync import sync_run
from tests.conftest import CommandLine


def tags_in_mlflow(run: RunDirectory) -> dict[str, Any]:
    store = store_of_run(run)
    assert store is not None
    synced = sync_run(run, store)
    assert synced.problem is None
    return dict(connect(store).get_run(str(synced.mlflow_run_id)).data.tags)


def test_tags_are_added_replaced_and_removed(done: RunDirectory) -> None:
    tag_run(done.path, ["good", "quality=low"])
    tag_run(done.path, ["quality=high=est"])
    assert read_annotations(done).tags == {"good": "true", "quality": "high=est"}
    result = tag_run(done.path, ["new"], ["good"])
    assert result.to_dict()["tags"] == {"quality": "high=est", "new": "true"}
    assert tag_run(done.path, []).annotations.tags_text == "new quality=high=est"


def test_a_note_is_replaced_shown_and_removed(done: RunDirectory) -> None:
    tag_run(done.path, ["good"])
    note_run(done.path, "diverged\nat first")
    assert note_run(done.path, None).annotations.note == "diverged\nat first"
    note_run(done.path, "")
    assert note_run(done.path, None).to_dict()["note"] is None
    assert read_annotations(done).tags == {"good": "true"}  # tags are not the note's business


@pytest.mark.parametrize(
    "word",
    [
        *("", "=x", "a\nb", "mlflow.user=me", "infomcr.uid=1", "-x", "a" * 101, f"a={'x' * 501}"),
        *("good/", "a//b", "a/../b", "v1/./x"),
    ],
)
def test_what_is_no_tag_is_refused_and_nothing_is_written(done: RunDirectory, word: str) -> None:
    with pytest.raises(InputError, match="tag"):
        tag_run(done.path, ["good", word])
    assert read_annotations(done).tags == {}


def test_a_run_with_tags_that_mlflow_refuses_is_mirrored_without_them(done: RunDirectory) -> None:
    (done.path / "annotations.json").write_text(json.dumps({"tags": {"good/": "true", "v1/x": "3", "a//b": "1"}}))
    found = tags_in_mlflow(done)
    assert found["v1/x"] == "3"
    assert not {"good/", "a//b"} & found.keys()


def test_a_run_whose_annotations_are_damaged_has_its_state_in_mlflow(done: RunDirectory) -> None:
    (done.path / "annotations.json").write_text("{")
    store = store_of_run(done)
    assert store is not None
    assert "annotations.json" in str(sync_run(done, store).problem)
    client = connect(store)
    (found,) = client.search_runs([client.get_experiment_by_name(store.experiment).experiment_id])
    assert found.info.status == "FINISHED"


def test_a_tag_to_remove_must_be_there(done: RunDirectory) -> None:
    tag_run(done.path, ["good"])
    with pytest.raises(InputError, match="Did you mean 'good'"):
        tag_run(done.path, [], ["god"])


def test_a_note_that_is_too_long_is_refused(done: RunDirectory) -> None:
    with pytest.raises(InputError, match="at most"):
        note_run(done.path, "x" * (MAX_NOTE + 1))


def test_a_secret_does_not_reach_the_directory(done: RunDirectory) -> None:
    note_run(done.path, "logged to http://ann:secret@host")
    tag_run(done.path, ["uri=http://ann:secret@host"])
    assert "secret" not in (done.path / "annotations.json").read_text()


def test_control_characters_do_not_reach_the_terminal(done: RunDirectory) -> None:
    content = {"tags": {"a\x1b[31m": "b\x1b"}, "note": "c\x1b"}
    (done.path / "annotations.json").write_text(json.dumps(content))
    assert "\x1b" not in str(read_annotations(done))


@pytest.mark.parametrize("content", ["{", "[]", '{"tags": []}', '{"tags": {"a": 1}}', '{"note": 1}'])
def test_a_broken_file_is_listed_with_its_problem(done: RunDirectory, content: str) -> None:
    (done.path / "annotations.json").write_text(content)
    (listed,) = list_runs(done.path.parent).runs
    assert "annotations.json" in str(listed.problem)


def test_runs_shows_tags_and_finds_runs_by_them(done: RunDirectory, command_line: CommandLine) -> None:
    place = ("--runs-dir", str(done.path.parent))
    assert "tags" not in command_line("runs", *place).out
    assert command_line("tag", str(done.path), "good", "quality=3").code == 0
    assert command_line("note", str(done.path), "flat minimum").code == 0
    out = command_line("runs", *place).out
    assert "good quality=3" in out
    assert "flat minimum" in out
    root = done.path.parent
    for condition, count in (("tag.good=true", 1), ("tag.quality>2", 1), ("tag.bad=true", 0), ("tag.good=null", 0)):
        assert len(list_runs(root, query=RunQuery([condition])).runs) == count
    (found,) = json.loads(command_line("runs", *place, "--json").out)["runs"]
    assert (found["tags"], found["note"]) == ({"good": "true", "quality": "3"}, "flat minimum")


def test_sync_mirrors_tags_and_notes_and_takes_away_what_was_removed(done: RunDirectory) -> None:
    tag_run(done.path, ["good", "quality=low"])
    note_run(done.path, "flat minimum")
    before = tags_in_mlflow(done)
    assert (before["good"], before["quality"], before["infomcr.note"]) == ("true", "low", "flat minimum")
    store = store_of_run(done)
    assert store is not None
    connect(store).set_tag(str(read_status(done).mlflow_run_id), "mine", "kept")  # given in MLflow
    tag_run(done.path, ["quality=high"], ["good"])
    note_run(done.path, "")
    after = tags_in_mlflow(done)
    assert after["quality"] == "high"
    assert after["mine"] == "kept"
    assert "good" not in after
    assert "infomcr.note" not in after
    tag_run(done.path, [], ["quality"])
    last = tags_in_mlflow(done)
    assert not {"quality", "infomcr.own_tags"} & last.keys()
