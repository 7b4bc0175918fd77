"""A function that the user named for a run need not be named again; nothing else is called."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infomcr_cli.config.allowed_builders import trusted_groups
from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.engine.audit_jobs import audit_sweeps
from infomcr_cli.engine.job import Job
from infomcr_cli.engine.messages import task_of
from infomcr_cli.engine.run_job import _directory
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.known_builders import remember_builders
from infomcr_cli.experiment.recorded_settings import measured_run
from infomcr_cli.models.module_source import is_module, source_digest
from infomcr_cli.runs import RunDirectory, new_status
from infomcr_cli.runs.identity import identity
from tests.conftest import CommandLine

OWN = ("model=builder", "model.builder=own.nets:net", "+model.settings.width=3")
ACTS = "from pathlib import Path\nPath('executed').touch()\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with a package whose import would leave a file."""
    monkeypatch.chdir(tmp_path)
    Path("own").mkdir()
    for name in ("own/__init__.py", "own/nets.py", "data_of_mine.py"):
        Path(name).write_text(ACTS)


def made(path: str, config: RunConfig) -> RunDirectory:
    return RunDirectory.create(path, config=to_yaml(config), overrides=[], status=new_status("a" * 64))


def named_run(path: str = "runs/a", *overrides: str) -> RunDirectory:
    """A run whose functions the user named when it was made."""
    config = compose_run([*(overrides or OWN)])
    run = made(path, config)
    remember_builders(run, config)
    return run


def known(run: RunDirectory, *overrides: str) -> tuple[str, ...]:
    found = trusted_groups(measured_run(run, overrides))
    assert not Path("executed").exists()
    return found


def test_a_function_that_was_named_once_is_known_for_its_run() -> None:
    run = named_run()
    assert known(run) == ("model",)
    assert known(RunDirectory.open("runs/../runs/a")) == ("model",)


def test_a_function_named_for_a_later_command_is_known_from_then_on() -> None:
    run = made("runs/a", compose_run(OWN))
    assert known(run) == ()
    assert known(run, "model.builder=own.nets:net") == ("model",)
    assert known(run) == ("model",)


def test_functions_for_data_are_known_too() -> None:
    run = named_run("runs/a", "data=builder", "data.builder=data_of_mine:load", *OWN)
    assert set(known(run)) == {"model", "data"}
    Path("data_of_mine.py").write_text("changed = True\n")
    assert known(run) == ("model",)


def test_the_runs_of_a_sweep_are_known() -> None:
    config, folder = compose_run(OWN), Path.cwd()
    job = Job(identity(config), (), "", config, folder / "runs" / "a")
    run, is_new = _directory(task_of(job, evaluate=True, cwd=folder, log=folder / "log"))
    assert is_new
    assert known(run) == ("model",)


def test_overrides_that_a_directory_records_are_no_word_of_the_user() -> None:
    """An audit trains a run again from them."""
    config = compose_run(OWN)
    run = RunDirectory.create("runs/a", config=to_yaml(config), overrides=OWN, status=new_status("a" * 64))
    with pytest.raises(InputError, match=r"model\.builder must be given on the command line"):
        audit_sweeps(run, measured_run(run, []), seeds=1, orders=0, more_epochs=())
    named = measured_run(run, ["model.builder=own.nets:net"])
    assert "model.builder=own.nets:net" in audit_sweeps(run, named, seeds=1, orders=0, more_epochs=())["seed"]


def test_no_other_directory_is_known() -> None:
    """Neither a unnamed's run of the same settings, nor a copy, nor a run that takes the place of the known one."""
    run = named_run()
    assert known(made("runs/b", compose_run(OWN))) == ()
    shutil.copytree("runs/a", "theirs/a")
    assert known(RunDirectory.open("theirs/a")) == ()
    shutil.rmtree("runs/a")
    assert known(made("runs/a", compose_run(OWN))) == ()
    assert run.path == RunDirectory.open("runs/a").path


def test_a_copy_of_the_source_in_another_folder_is_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its source is the same, but what it imports may lie beside it and be another."""
    run = named_run()
    shutil.copytree("own", "theirs/own")
    monkeypatch.chdir(tmp_path / "theirs")
    assert known(run) == ()
    monkeypatch.chdir(tmp_path)
    assert known(run) == ("model",)


def test_another_user_knows_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = named_run()
    monkeypatch.setenv("INFOMCR_STATE", str(tmp_path / "another"))
    assert known(run) == ()


@pytest.mark.parametrize("changed", ["own/nets.py", "own/__init__.py"])
def test_a_changed_source_is_said_and_not_known(changed: str, caplog: pytest.LogCaptureFixture) -> None:
    run = named_run()
    before = Path(changed).read_text()
    Path(changed).write_text(f"{before}changed = 1\n")
    with caplog.at_level(logging.WARNING, "infomcr.runs"):
        assert known(run) == ()
    assert "The source of model.builder=own.nets:net has changed since you named it." in caplog.text
    assert known(run, "model.builder=own.nets:net") == ("model",)
    assert known(run) == ("model",)
    Path(changed).write_text(before)
    assert known(run) == ("model",)  # this source was named as well


@pytest.mark.parametrize(
    "change", [{"settings": {"width": 4}}, {"builder": "own.nets:other"}, {"builder": "os:system"}]
)
def test_other_settings_in_the_directory_are_not_known(change: dict[str, Any]) -> None:
    run = named_run()
    settings = yaml.safe_load(run.read_config())
    settings["model"] |= change
    run.config.write_text(yaml.safe_dump(settings))
    assert known(run) == ()


def test_a_module_of_the_same_name_elsewhere_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = named_run()
    other = tmp_path / "other"
    (other / "own").mkdir(parents=True)
    for name in ("__init__.py", "nets.py"):
        (other / "own" / name).write_text(f"{ACTS}another = True\n")
    monkeypatch.chdir(other)
    assert known(run) == ()


def test_a_folder_that_cannot_be_written_to_costs_the_memory_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("INFOMCR_STATE", str(tmp_path / "file"))
    run = named_run()
    assert known(run) == ()
    assert known(run, "model.builder=own.nets:net") == ("model",)


def test_modules_are_found_and_read_without_an_import() -> None:
    assert is_module("own.nets")
    assert not is_module("own.other")
    Path("own/__init__.py").write_text("__path__.append('elsewhere')\n")
    assert is_module("own.other")
    assert not is_module("nowhere.nets")
    assert source_digest("own.nets") != source_digest("own")
    assert source_digest("nowhere") is None
    assert source_digest("sys") is None
    Path("bare").mkdir()
    Path("bare/nets.py").write_text("x = 1\n")
    assert source_digest("bare.nets") is not None  # in a folder without __init__.py
    assert "own" not in sys.modules


NET = """
import keras
def net(input_shape, num_classes, l2):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(num_classes)])
"""
SMALL = ("data=digits", "data.train_size=64", "data.test_size=32", "data.batch_size=32", "deterministic=false")
MEASURE = ("measure=fast", "measure.names=margin", "measure.samples=32")


def test_commands_on_a_run_of_one_s_own_need_no_second_word(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = f"net_{tmp_path.name.replace('-', '_')}"
    Path(f"{module}.py").write_text(NET)
    named = ("model=builder", f"model.builder={module}:net")
    trained = command_line("train", *named, *SMALL, "schedule.epochs=1", "tracking=off", "--run-dir", "a")
    assert trained.code == 0, trained.err
    assert command_line("eval", "a", *MEASURE).code == 0
    assert command_line("export", "a", "a.keras").code == 0
    assert command_line("train", "--resume", "a").code == 0
    shutil.copytree("a", "b")
    refused = command_line("eval", "b", *MEASURE)
    assert (refused.code, "model.builder must be given on the command line" in refused.err) == (2, True)
    with open(f"{module}.py", "a") as file:
        file.write("# another line\n")
    refused = command_line("eval", "a", *MEASURE)
    assert (refused.code, "model.builder must be given on the command line" in refused.err) == (2, True)
    assert f"The source of model.builder={module}:net has changed" in refused.err + caplog.text
    assert command_line("eval", "a", *MEASURE, named[1]).code == 0
    answer = command_line("eval", "a", *MEASURE, "--json")
    assert json.loads(answer.out)["runs"][0]["measures"]["margin"]["value"] is not None
