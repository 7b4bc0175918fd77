"""Every command that we print works as it is printed: taken from the message, split as a shell does, and run."""

from __future__ import annotations

import ast
import json
import logging
import os
import re
import shlex
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

import infomcr_cli
from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.runs import (
    Checkpoint,
    RunDirectory,
    State,
    finished,
    lock_run,
    new_status,
    read_status,
    save_checkpoint,
    write_status,
)
from infomcr_cli.sweep import SweepRequest, same_again
from infomcr_cli.tracking.background import Mirror
from infomcr_cli.tracking.store import store_of
from tests.cli import Answer
from tests.conftest import CommandLine

VERBS = "train|eval|sweep|compare|judge|measures|runs|sync|ui"
COMMAND = re.compile(rf"`(infomcr (?:{VERBS})\b[^`]*)`|(infomcr (?:{VERBS})\b.*)$", re.M)
SMALL = (
    *("data.train_size=128", "data.test_size=64", "data.batch_size=32", "tracking=off", "deterministic=false"),
    *("measure=fast", "measure.gamma.draws=2", "measure.gamma.draw_size=20"),
)
MLP = ("model=mlp", "model.depth=1", "model.width=8")
NET = """
import keras
def net(input_shape, num_classes, l2):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)])
"""
PLACE = 'my runs/it\'s $HOME "quoted"'


def commands_in(text: str) -> list[str]:
    return [(quoted or bare).strip() for quoted, bare in COMMAND.findall(text)]


def pasted(command_line: CommandLine, command: str, *more: str) -> Answer:
    """Run a printed command in this process as a shell would take it apart."""
    program, *words = shlex.split(command)
    assert program == "infomcr"
    return command_line(*words, *more)


def made(path: str | Path, *overrides: str, state: State | None = None, checkpoint: bool = True) -> RunDirectory:
    """Make a run directory as training leaves it."""
    config = compose_run([*SMALL, *overrides])
    status = new_status("a" * 64)
    run = RunDirectory.create(path, config=to_yaml(config), overrides=[*SMALL, *overrides], status=status)
    if checkpoint:
        save_checkpoint(run, "epoch-0001", Checkpoint(4, 1, {"w": np.zeros(2)}))
    if state is not None:
        write_status(run, finished(status, state, "SIGTERM"))
    return run


@pytest.fixture
def own_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A function in the working folder."""
    name = f"nets_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(NET)
    monkeypatch.setattr("sys.path", [str(tmp_path), *os.sys.path])  # type: ignore[attr-defined]
    return f"{name}:net"


def configured(folder: Path) -> Path:
    """Make a folder of configuration with a choice of its own."""
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "mine.yaml").write_text("defaults: [mlp, _self_]\nwidth: 5\n")
    return folder


@pytest.mark.parametrize("words", [("train",), ("train", "-m")])
def test_several_values_are_answered_with_the_sweep_that_they_are(
    command_line: CommandLine, tmp_path: Path, words: Sequence[str]
) -> None:
    folder = configured(tmp_path / "my conf")
    values = ("model=mine", "seed=0,1", "runs_dir='my runs/$HOME'", "--config-dir", str(folder))
    answer = command_line(*words, *values)
    assert answer.code == 2
    (command,) = commands_in(answer.err)
    listed = pasted(command_line, command, "--dry-run", "--json")
    assert listed.code == 0, listed.err
    jobs = json.loads(listed.out)["jobs"]
    assert [job["overrides"][:2] for job in jobs] == [["model=mine", "seed=0"], ["model=mine", "seed=1"]]


def test_a_run_with_other_weights_in_mind_is_answered_with_the_command_for_a_new_one(
    command_line: CommandLine, tmp_path: Path
) -> None:
    made(tmp_path / PLACE, *MLP, "optimizer.learning_rate=0.05", "tracking.experiment='a b'")
    changes = ("seed=5", "model=resnet", "data.cache=null")
    answer = command_line("train", "--resume", PLACE, *changes)
    assert answer.code == 2
    (command,) = commands_in(answer.err)
    printed = pasted(command_line, command, "--print-config", "--json")
    assert printed.code == 0, printed.err
    config = json.loads(printed.out)
    assert (config["start"], config["seed"], config["model"]["name"]) == (str(tmp_path / PLACE), 5, "resnet")
    assert (config["data"]["train_size"], config["optimizer"]["learning_rate"]) == (128, 0.05)


def test_a_record_that_holds_anything_spoils_no_proposal(command_line: CommandLine, tmp_path: Path) -> None:
    run = made(tmp_path / "run", *MLP)
    run.overrides.write_text(yaml.safe_dump(["(", "runs_dir=/x", "=", 3, "reg=on", "a: b"]))
    (command,) = commands_in(command_line("train", "--resume", "run", "seed=5").err)
    assert command == "infomcr train start=run seed=5 reg=on"
    run.overrides.write_text("no list")
    (command,) = commands_in(command_line("train", "--resume", "run", "seed=5").err)
    assert command == "infomcr train start=run seed=5"


def test_an_interrupted_run_of_an_own_network_goes_on_by_the_printed_command(
    command_line: CommandLine, tmp_path: Path, own_network: str
) -> None:
    def interrupt() -> None:
        while not (tmp_path / PLACE / "metrics.jsonl").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    own = ("model=builder", f"model.builder={own_network}", "schedule.epochs=300")
    answer = command_line("train", *own, *SMALL, "--run-dir", PLACE)
    assert answer.code == 143, answer.err
    (command,) = commands_in(answer.err)
    keras.utils.clear_session()  # as in a process of its own: Keras numbers the layers of a process
    resumed = pasted(command_line, command)
    assert resumed.code == 0, resumed.err
    assert read_status(RunDirectory.open(tmp_path / PLACE)).epoch == 300


def test_the_list_of_runs_says_how_lost_ones_go_on_and_how_they_are_closed(
    command_line: CommandLine, tmp_path: Path, own_network: str
) -> None:
    folder = tmp_path / "my runs"
    made(folder / "a b", *MLP, "schedule.epochs=1", checkpoint=False)
    own = ("model=builder", f"model.builder={own_network}", "schedule.epochs=1")
    made(folder / "own", *own, checkpoint=False)
    _lose(folder)
    answer = command_line("runs", "--runs-dir", "my runs")
    repair, *ways_on = commands_in(answer.out)
    assert len(ways_on) == 2
    for command in ways_on:
        resumed = pasted(command_line, command)
        assert resumed.code == 0, resumed.err
    made(folder / "c", *MLP)
    _lose(folder)
    assert pasted(command_line, repair).code == 0
    assert "lost." not in command_line("runs", "--runs-dir", "my runs").out
    document = json.loads(command_line("runs", "--runs-dir", "my runs", "--json").out)
    assert [run["resume"] is not None for run in document["runs"]] == [False, True, False]


def _lose(folder: Path) -> None:
    """Let the process of each run that is not finished be gone."""
    for run in map(RunDirectory, folder.iterdir()):
        status = read_status(run)
        if status.state is not State.FINISHED:
            gone = status.model_copy(update={"state": State.RUNNING, "pid": 2**22 + 1, "reason": None})
            run.status.write_bytes(gone.model_dump_json().encode())


def test_a_comparison_says_how_the_runs_that_it_misses_are_measured(
    command_line: CommandLine, tmp_path: Path, own_network: str
) -> None:
    own = ("model=builder", f"model.builder={own_network}")
    for name, model in (("a b", MLP), ("it's", own), ("c", MLP)):
        answer = command_line("train", *model, *SMALL, "schedule.epochs=1", "--run-dir", f"my runs/{name}")
        assert answer.code == 0, answer.err
    made(tmp_path / "my runs" / "never begun", *MLP, state=State.KILLED, checkpoint=False)
    notes = json.loads(command_line("compare", "my runs", "--json", "--no-tracking").out)["notes"]
    commands = commands_in("\n".join(notes))
    assert len(commands) == 2
    for command in commands:
        measured = pasted(command_line, command, "--json")
        assert measured.code == 0, measured.err
    document = json.loads(command_line("compare", "my runs", "--json", "--no-tracking").out)
    assert document["unevaluated"] == ["never begun"]
    assert commands_in("\n".join(document["notes"])) == []


@pytest.mark.parametrize("uri", [None, "elsewhere"])
def test_a_store_that_lacks_a_run_is_filled_by_the_printed_command(
    command_line: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    uri: str | None,
) -> None:
    run = made(tmp_path / PLACE, *MLP, "tracking=mlflow", state=State.FINISHED)
    store = store_of(uri and f"sqlite:///{tmp_path}/{uri}/mlflow.db", "infomcr", run.path.parent)
    with monkeypatch.context() as broken, caplog.at_level(logging.WARNING):
        broken.setattr("infomcr_cli.tracking.client.connect", _gone)
        assert not Mirror(run, store).close()
    (command,) = commands_in(caplog.text)
    answer = pasted(command_line, command, "--json")
    assert answer.code == 0, answer.err
    (synced,) = json.loads(answer.out)["runs"]
    assert (synced["store"], synced["problem"]) == (store.uri, None)


def _gone(store: object) -> None:
    raise OSError("no route to it")


def test_a_password_is_left_out_of_a_suggested_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("infomcr_cli.tracking.client.connect", _gone)
    run = made(tmp_path / "run", *MLP)
    with caplog.at_level(logging.WARNING), lock_run(run):
        Mirror(run, store_of("postgresql://me:hunter2@127.0.0.1:9/x", "infomcr", tmp_path)).close()
    assert "with the store's password in --tracking-uri" in caplog.text
    assert "hunter2" not in caplog.text
    assert (
        same_again(SweepRequest(("tracking.uri=postgresql://me:hunter2@h/x",)))
        == "Run the same command again to continue."
    )


def test_the_command_of_a_sweep_is_the_one_that_was_typed() -> None:
    request = SweepRequest(
        ("seed=0,1", "data.root='a b'"), fail_fast=True, retry_failed=True, config_dir=Path("my conf")
    )
    said = same_again(request).removeprefix("Continue with: ")
    words = ["--config-dir", "my conf", "--fail-fast", "--retry-failed", "seed=0,1", "data.root='a b'"]
    assert shlex.split(said) == ["infomcr", "sweep", *words]


@pytest.mark.parametrize("words", [("eval", "nothing"), ("eval", "seed=1"), ("compare", "no*thing")])
def test_the_list_of_runs_is_named_where_there_are_runs(
    command_line: CommandLine, tmp_path: Path, words: Sequence[str]
) -> None:
    assert commands_in(command_line(*words).err) == []
    made(tmp_path / "runs" / "a", *MLP)
    (command,) = commands_in(command_line(*words).err)
    assert "a" in pasted(command_line, command).out


def test_the_list_of_runs_of_another_folder_is_named(command_line: CommandLine, tmp_path: Path) -> None:
    made(tmp_path / "my runs" / "a", *MLP)
    (command,) = commands_in(command_line("eval", "my runs/completely different").err)
    assert pasted(command_line, command).code == 0


def test_the_list_of_measures_is_had_as_printed(command_line: CommandLine) -> None:
    for said in (command_line("measures").out, command_line("train", "measure.names=[]").err):
        for command in commands_in(" ".join(said.split())):
            assert pasted(command_line, command).code == 0


COMPLETE = ("`infomcr measures`", "`infomcr measures --json`")
NAMED = (
    "as `infomcr eval` writes it",
    "apply only to infomcr sweep",
    "need a run of `infomcr train`",
    "while `infomcr ui` is running",
    "infomcr sweep for several values",
)


def test_no_message_spells_a_command_with_a_gap_in_it() -> None:
    """What a message proposes is made by `proposed`, or stands in it whole."""
    for file in Path(infomcr_cli.__file__).parent.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        documents = {id(node.body[0].value) for node in ast.walk(tree) if _begins_with_text(node)}  # type: ignore[attr-defined]
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
                rest = node.value
                for allowed in (*COMPLETE, *NAMED):
                    rest = rest.replace(allowed, "")
                assert not re.search(rf"infomcr ({VERBS})\b", rest), f"{file.name}:{node.lineno}: {node.value}"


def _begins_with_text(node: ast.AST) -> bool:
    body = getattr(node, "body", None)
    return isinstance(body, list) and bool(body) and isinstance(body[0], ast.Expr)
