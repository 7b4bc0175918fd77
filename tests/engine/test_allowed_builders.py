"""The user's word for a network of their own reaches every process that needs it, and nothing else gives it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from sweeper import Sweeper

from infomcr_cli.command_line.complete import complete_override
from infomcr_cli.config.allowed_builders import is_trusted
from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.grid import expand
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.search_path import own_conf
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.engine import ray_engine
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.messages import Task, job_of, read_task, task_of
from infomcr_cli.engine.plan import plan
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import recorded_run
from infomcr_cli.experiment.resolve_settings import resolved
from infomcr_cli.runs import State
from infomcr_cli.runs.identity import identity
from infomcr_cli.tracking.known_stores import add_known_store
from tests.conftest import CommandLine

OWN = ("model=builder", "model.builder=nets:net")


def recorded(*overrides: str) -> Any:
    return yaml.safe_load(to_yaml(compose_run([*OWN, *overrides])))


def task_on(config: RunConfig, folder: Path) -> Task:
    job = Job(identity(config), (), "", config, folder / "run")
    return task_of(job, evaluate=True, cwd=folder, log=folder / "log")


@pytest.mark.parametrize("extra", [(), ("schedule.match_compute=true", "reg=sam")])
def test_what_the_user_composes_is_trusted_in_one_run_and_in_each_of_a_sweep(extra: tuple[str, ...]) -> None:
    assert is_trusted(compose_run([*OWN, *extra]))
    sweep = expand(["model=builder", "model.builder=nets:f,nets:g", "seed=0,1", *extra])
    assert all(is_trusted(job.config) for job in plan(sweep))


def preset(folder: Path) -> Path:
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "mine.yaml").write_text("name: builder\nbuilder: nets:net\nsettings: {}\n")
    return folder


def test_a_builder_in_a_configuration_that_the_user_names_is_trusted(tmp_path: Path) -> None:
    assert is_trusted(compose_run(["model=mine"], preset(tmp_path)))
    assert all(is_trusted(point.config) for point in expand(["model=mine", "seed=0,1"], tmp_path))


def test_a_builder_that_only_conf_names_is_trusted_once_the_user_has_named_it_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("a", "b"):
        preset(tmp_path / place / "conf")
        (tmp_path / place / "nets.py").write_text("def net(): ...\n")
    monkeypatch.chdir(tmp_path / "a")
    unnamed = compose_run(["model=mine"])
    assert not is_trusted(unnamed)
    assert not any(is_trusted(point.config) for point in expand(["model=mine", "seed=0,1"]))
    with pytest.raises(InputError, match=r"add model\.builder=nets:net"):
        resolved(unnamed)
    assert is_trusted(resolved(compose_run(["model=mine", "model.builder=nets:net"])))
    assert is_trusted(resolved(compose_run(["model=mine", "+model.settings.width=3"])))
    (tmp_path / "a" / "nets.py").write_text("def net(): return 1\n")
    with pytest.raises(InputError, match="only a run directory or conf/ names"):
        resolved(compose_run(["model=mine"]))
    assert is_trusted(resolved(compose_run(["model=mine"], Path("conf"))))
    assert is_trusted(resolved(compose_run(["model=mine"])))
    monkeypatch.chdir(tmp_path / "b")
    with pytest.raises(InputError, match="only a run directory or conf/ names"):
        resolved(compose_run(["model=mine"]))


def test_a_choice_from_conf_is_no_word_for_the_function_of_a_recorded_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset(tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    assert not is_trusted(recorded_run(recorded(), ["model=mine"]))
    assert is_trusted(recorded_run(recorded(), ["model=mine"], Path("conf")))


def test_data_that_only_conf_names_runs_nothing(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "conf" / "data").mkdir(parents=True)
    text = (own_conf() / "data" / "builder.yaml").read_text().replace("???", "evil:load")
    (tmp_path / "conf" / "data" / "npz.yaml").write_text(text)
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath('executed').touch()\n")
    for command in ("train", "sweep"):
        answer = command_line(command, "data=npz", "data.root=data.npz", "tracking=off", "model=mlp")
        assert (answer.code, "add data.builder=evil:load" in answer.err) == (2, True), answer.err
    assert not Path("executed").exists()


def test_a_tracking_server_that_only_conf_names_is_used_once_the_user_has_named_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf" / "tracking").mkdir(parents=True)
    uri = "https://server.example"
    (tmp_path / "conf/tracking/mine.yaml").write_text(f"name: mlflow\nuri: {uri}\nexperiment: null\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"tracking\.uri must be given on the command line once"):
        resolved(compose_run(["tracking=mine"]))
    for config in (compose_run(["tracking=mine", f"tracking.uri={uri}"]), compose_run(["tracking=mine"], Path("conf"))):
        assert resolved(config).tracking.uri == uri
    add_known_store(uri)
    assert resolved(compose_run(["tracking=mine"])).tracking.uri == uri


def test_the_use_of_conf_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    preset(tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    assert "model=mine" in complete_override("model=")  # nothing is said between the words of a shell
    assert not caplog.records
    for _ in range(2):
        compose_run([])
    assert [record.getMessage() for record in caplog.records] == [f"Configuration in {tmp_path / 'conf'} is used too."]


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ((), False),
        (("data.batch_size=32",), False),
        (("model.settings={}",), False),
        (("model.builder=nets:net",), True),
    ],
)
def test_a_recorded_builder_is_trusted_only_where_it_is_named_again(overrides: tuple[str, ...], named: bool) -> None:
    assert is_trusted(recorded_run(recorded(), overrides)) == named


@pytest.mark.parametrize("key", ["_is_trusted", "is_trusted", "trusted", "__pydantic_private__"])
def test_no_file_can_allow_its_own_builder(key: str) -> None:
    settings = recorded()
    assert "trusted" not in yaml.safe_dump(settings)
    settings["model"][key] = True
    with pytest.raises(InputError, match="must be a setting that exists"):
        recorded_run(settings)


def test_allowing_a_builder_does_not_change_the_identity() -> None:
    assert identity(compose_run(OWN)) == identity(recorded_run(recorded()))


def test_allowing_a_builder_leaves_no_state_in_the_process() -> None:
    assert is_trusted(compose_run(OWN))
    assert not is_trusted(recorded_run(recorded()))


@pytest.mark.parametrize("named", [False, True])
def test_a_task_says_whether_the_user_named_the_builder(tmp_path: Path, named: bool) -> None:
    config = compose_run(OWN) if named else recorded_run(recorded())
    received = read_task(task_on(config, tmp_path).model_dump_json())
    assert is_trusted(received.config) == named
    # What a machine of a cluster passes on to the process of the job is what it received.
    passed_on = read_task(received.model_dump_json())
    assert is_trusted(passed_on.config) == is_trusted(job_of(passed_on).config) == named


@pytest.mark.parametrize("named", [False, True])
def test_an_allowed_builder_is_passed_on_to_the_process_of_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    given: list[Task] = []

    class Process:
        def __init__(self, environment: object) -> None: ...

        def give(self, job: Job, task: Task, limits: object) -> None:
            given.append(read_task(task.model_dump_json()))

        def poll(self) -> Outcome:
            return Outcome(job_of(given[0]), State.FINISHED)

    monkeypatch.setattr(ray_engine, "JobProcess", Process)
    monkeypatch.chdir(tmp_path)
    config = compose_run(OWN) if named else recorded_run(recorded())
    ray_engine.carry_out(task_on(config, tmp_path).model_dump_json(), {}, {})
    assert is_trusted(given[0].config) == named


def test_a_process_on_another_machine_finds_modules_where_this_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["own", "/elsewhere"]))
    assert ray_engine._python_path() == {"PYTHONPATH": os.pathsep.join([str(tmp_path / "own"), "/elsewhere"])}
    monkeypatch.delenv("PYTHONPATH")
    assert ray_engine._python_path() == {}


def test_a_job_finds_modules_where_the_sweep_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("own")
    assert str(tmp_path / "own") in task_on(compose_run(OWN), tmp_path).modules


NETS = """
import keras
from parts import head
print("a line of the user's own")
def net(input_shape, num_classes, l2, width=4):
    flat = [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(width, "relu")]
    return keras.Sequential([*flat, head(num_classes)])
"""


SCRIPT = """
import sys
from infomcr_cli import cli
sys.path.append("far away")
cli.main()
"""


def test_a_sweep_trains_and_measures_networks_of_the_user_s_own(real: Sweeper) -> None:
    """In a package of the working folder that imports from places that PYTHONPATH and the user's own script name."""
    package, elsewhere = real.folder / "own", real.folder / "some where"
    package.mkdir()
    elsewhere.mkdir()
    (package / "nets.py").write_text(NETS)
    (real.folder / "far away").mkdir()
    (real.folder / "far away" / "layers.py").write_text("import keras\nhead = keras.layers.Dense\n")
    (elsewhere / "parts.py").write_text("from layers import head\n")
    (real.folder / "script.py").write_text(SCRIPT)
    real.program = (sys.executable, "script.py")
    sizes = ("data.train_size=128", "data.test_size=64", "data.batch_size=32", "schedule.epochs=1")
    measures = ("measure=fast", "measure.gamma.draws=2", "measure.gamma.draw_size=20")
    own = ("model=builder", "model.builder=own.nets:net", "+model.settings.width=30,40")
    path = os.pathsep.join(["some where", os.environ.get("PYTHONPATH", "")])
    words = (*own, *sizes, *measures, "tracking=off", "engine.jobs=2")
    code, document, err = real.run(*words, PYTHONPATH=path)
    assert (code, document["finished"]) == (0, 2), err
    for run in real.runs().values():
        measured = json.loads((run / "measures.json").read_text())["checkpoints"]["last"]["measures"]
        assert measured["gamma"]["value"] is not None
        assert "trusted" not in (run / "config.yaml").read_text()
    assert real.run(*words, PYTHONPATH=path)[1]["skipped"] == 2
