"""An untrusted run directory: nothing in it is executed, nothing is written outside, nothing steers the screen."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cli import infomcr
from fork_server import ForkServer
from same_run import TINY

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.runs import Checkpoint, RunDirectory, new_status, save_checkpoint
from infomcr_cli.runs.status import State, finished
from infomcr_cli.tracking.client import connect
from infomcr_cli.tracking.store import store_of

pytestmark = pytest.mark.faults

EVIL_NAME = "[red]x[/red]<script>alert(1)<‮script>\x1b[2J\x07"


class Bomb:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self._mark}",)


def genuine(path: Path) -> RunDirectory:
    """A finished run with one checkpoint and one evaluation."""
    config = to_yaml(compose_run([*TINY, "schedule.epochs=1"]))
    status = finished(new_status("ab"), State.FINISHED)
    run = RunDirectory.create(path, config=config, overrides=[], status=status)
    save_checkpoint(run, "epoch-0001", Checkpoint(4, 1, {"a": np.ones(3, np.float32)}, train_loss=1.0))
    entry = {"step": 4, "train": {"loss": 1.0, "accuracy": 0.5}, "test": {"loss": 2.0, "accuracy": 0.4}}
    run.measures.write_text(json.dumps({"checkpoints": {"last": {**entry, "measures": {"gamma": {"value": 1.0}}}}}))
    return run


def change(run: RunDirectory, **groups: Any) -> None:
    config = yaml.safe_load(run.config.read_text())
    for key, value in groups.items():
        group, _, leaf = key.partition("__")
        if leaf:
            config[group][leaf] = value
        else:
            config[group] = value
    run.config.write_text(yaml.safe_dump(config))


def forge(run: RunDirectory, header: dict[str, Any], size: int = 0) -> None:
    import hashlib
    import struct

    text = json.dumps(header).encode()
    content = struct.pack("<Q", len(text)) + text + b"\0" * size
    (run.checkpoints / "epoch-0001.safetensors").write_bytes(content)
    line = f"{hashlib.sha256(content).hexdigest()}  epoch-0001.safetensors\n"
    (run.checkpoints / "epoch-0001.safetensors.sha256").write_text(line)


def sparse(path: Path, size: int) -> None:
    path.unlink(missing_ok=True)
    with open(path, "wb") as file:
        file.truncate(size)


def linked(path: Path, target: str) -> None:
    if path.is_dir():
        path.rename(path.with_name("moved"))
    path.unlink(missing_ok=True)
    path.symlink_to(target)


RECORD = {"infomcr": '{"step": 4, "epoch": 1, "train_loss": 1.0, "extra": {}}'}
Attack = Callable[[RunDirectory, Path], object]
ATTACKS: dict[str, Attack] = {
    "pickle as a checkpoint": lambda run, mark: (run.checkpoints / "epoch-0001.safetensors").write_bytes(
        pickle.dumps(Bomb(mark))
    ),
    "pickle beside the checkpoints": lambda run, mark: (run.checkpoints / "last.pkl").write_bytes(
        pickle.dumps(Bomb(mark))
    ),
    "npy of objects": lambda run, mark: np.save(
        run.checkpoints / "x.npy", np.array([Bomb(mark)], object), allow_pickle=True
    ),
    "keras file with a Lambda layer": lambda run, mark: (run.checkpoints / "model.keras").write_bytes(
        b"PK\x03\x04lambda"
    ),
    "_target_ in the model": lambda run, mark: change(
        run, model={"_target_": "os.system", "_args_": [f"touch {mark}"]}
    ),
    "_target_ beside the settings": lambda run, mark: change(
        run, hydra={"_target_": "os.system", "command": f"touch {mark}"}
    ),
    "interpolation of the environment": lambda run, mark: change(run, tracking__experiment="${oc.env:STRANGE_TOKEN}"),
    "YAML tag": lambda run, mark: run.config.write_text(f"!!python/object/apply:os.system ['touch {mark}']"),
    "YAML tag in overrides": lambda run, mark: run.overrides.write_text(
        f"- !!python/object/apply:os.system ['touch {mark}']"
    ),
    "YAML alias bomb": lambda run, mark: run.config.write_text(
        "a: &a [x,x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)},*{chr(97 + i)}]\n" for i in range(24))
    ),
    "YAML nested 10,000 deep": lambda run, mark: run.config.write_text("[" * 10_000),
    "config of a terabyte": lambda run, mark: sparse(run.config, 2**40),
    "checkpoint of a terabyte": lambda run, mark: sparse(run.checkpoints / "epoch-0001.safetensors", 2**40),
    "checkpoint of 60 GiB": lambda run, mark: sparse(run.checkpoints / "epoch-0001.safetensors", 60 * 2**30),
    "metrics of 900 GiB": lambda run, mark: sparse(run.metrics, 900 * 2**30),
    "shape of 2**62": lambda run, mark: forge(
        run, {"__metadata__": RECORD, "weights:a": {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 0]}}
    ),
    "object arrays": lambda run, mark: forge(
        run, {"__metadata__": RECORD, "weights:a": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}}, 8
    ),
    "symlinked config": lambda run, mark: linked(run.config, "/etc/passwd"),
    "symlinked metrics": lambda run, mark: linked(run.metrics, str(mark)),
    "symlinked checkpoints": lambda run, mark: linked(run.checkpoints, str(mark.parent)),
    "symlinked plots": lambda run, mark: linked(run.plots, str(mark.parent)),
    "symlinked lock": lambda run, mark: linked(run.path / ".lock", str(mark)),
    "a pipe for a status": lambda run, mark: (run.status.unlink(), os.mkfifo(run.status)),
    "NaN in measures": lambda run, mark: run.measures.write_text('{"checkpoints": {"last": {"train": {"loss": NaN}}}}'),
    "1e308 and 1e999 in measures": lambda run, mark: run.measures.write_text(
        '{"checkpoints": {"last": {"train": {"loss": 1e308}, "test": {"loss": -1e308}}}}'
    ),
    "1e999 in measures": lambda run, mark: run.measures.write_text(
        '{"checkpoints": {"last": {"train": {"loss": 1e999}}}}'
    ),
    "deep measures": lambda run, mark: run.measures.write_text("[" * 100_000),
    "markup in measures": lambda run, mark: run.measures.write_text(
        json.dumps(
            {
                "checkpoints": {
                    "last": {
                        "step": 4,
                        "train": {"loss": 1.0, "accuracy": 0.5},
                        "test": {"loss": 2.0, "accuracy": 0.4},
                        "measures": {EVIL_NAME: {"value": 1.0, "unit": EVIL_NAME}},
                    }
                }
            }
        )
    ),
    "markup in settings": lambda run, mark: change(run, tracking__experiment=EVIL_NAME, data__root=EVIL_NAME),
    "markup in a metric's name": lambda run, mark: run.metrics.write_text(
        json.dumps({"step": 1, "epoch": 1, EVIL_NAME: 1.0}) + "\n"
    ),
    "markup in the reason": lambda run, mark: run.status.write_text(
        json.dumps({"state": "FINISHED", "reason": EVIL_NAME, "host": EVIL_NAME, "uid": "0" * 32})
    ),
    "markup in the environment": lambda run, mark: (run.path / "environment.json").write_text(
        json.dumps({"commit": EVIL_NAME})
    ),
    "markup in a plot's name": lambda run, mark: (run.plots / "x\x1b[2J.png").write_bytes(b""),
    "status of 1e308 seconds": lambda run, mark: run.status.write_text('{"state": "FINISHED", "started": 1e308}'),
    "another run's MLflow id": lambda run, mark: run.status.write_text(
        json.dumps({"state": "FINISHED", "mlflow_run_id": "../../x"})
    ),
    "tracking URI of a file elsewhere": lambda run, mark: change(run, tracking__uri=f"sqlite:///{mark}"),
    "cache elsewhere": lambda run, mark: change(run, data__cache=str(mark)),
    "runs elsewhere": lambda run, mark: change(run, runs_dir=str(mark)),
}
COMMANDS = (
    ["eval"],
    ["compare", "--no-tracking"],
    ["sync"],
    ["train", "--resume"],
)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        yield server


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new SQLite store: creating one takes seconds, copying it none."""
    folder = tmp_path_factory.mktemp("template")
    connect(store_of(None, "infomcr", folder / "runs"))
    return folder / "mlflow" / "mlflow.db"


def outside(folder: Path, run: Path) -> set[str]:
    """Return everything that lies beside the run and its MLflow store."""
    places = (run, folder / "mlflow", folder / "state")
    return {str(path) for path in folder.rglob("*") if not any(path.is_relative_to(place) for place in places)}


@pytest.fixture
def no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever gets as far as measuring was read and found harmless; computing on it is not what is tested here."""
    import sys
    import types

    session = types.ModuleType("infomcr_cli.measures.evaluate")
    session.measure_run = lambda run, config, names, console: [load(run, name) for name in names][:0]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "infomcr_cli.measures.evaluate", session)


def load(run: RunDirectory, name: str) -> object:
    from infomcr_cli.runs import load_checkpoint

    return load_checkpoint(run, name)


def test_hostile_run_directories(
    tmp_path: Path,
    no_measuring: None,
    empty_store: Path,
    observed: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STRANGE_TOKEN", "t0k3n-of-the-user")
    tried = executed = 0
    for place, (attack, plant) in enumerate(ATTACKS.items()):
        folder = tmp_path / str(place)
        mark = folder / "elsewhere" / "mark"
        mark.parent.mkdir(parents=True)
        (folder / "mlflow").mkdir()
        shutil.copyfile(empty_store, folder / "mlflow" / "mlflow.db")
        monkeypatch.setenv("INFOMCR_STATE", str(folder / "state"))
        run = genuine(folder / "runs" / "a")
        plant(run, mark)
        before = outside(folder, run.path)
        for command in (*COMMANDS, ["runs", "--repair"]):
            arguments = command if command[0] == "runs" else [*command, "runs/a"]
            answer = infomcr(arguments, folder)
            tried += 1
            assert answer.code in (0, 1, 2), (attack, command, answer)
            assert "Traceback" not in answer.text, (attack, command, answer)
            assert "\x1b" not in answer.text, (attack, command, answer)
            assert "‮" not in answer.text, (attack, command)
            assert "t0k3n" not in answer.text
        executed += mark.exists()
        assert outside(folder, run.path) == before, attack
    assert executed == 0
    observed("hostile run directories", hostile_inputs_tried=tried, hostile_inputs_executed=executed)


def test_an_untrusted_tracking_server_is_never_called(
    tmp_path: Path, listener: socket.socket, no_measuring: None, observed: Callable[..., None]
) -> None:
    run = genuine(tmp_path / "runs" / "a")
    change(run, tracking__uri=f"http://127.0.0.1:{listener.getsockname()[1]}")
    for command in COMMANDS:
        infomcr([*command, "runs/a"], tmp_path)
    with pytest.raises(TimeoutError):
        listener.accept()
    observed("an untrusted tracking URI", hostile_inputs_tried=len(COMMANDS), hostile_inputs_executed=0)


def test_names_that_leave_the_directory(tmp_path: Path, observed: Callable[..., None]) -> None:
    genuine(tmp_path / "runs" / "a")
    names = ("../../secret", "/etc/passwd", "..", "a/../../b", "\x1b[2J", "epoch-0001/../x")
    for name in names:
        answer = infomcr(["eval", "runs/a", "--checkpoint", name], tmp_path)
        assert answer.code == 2
        assert "\x1b" not in answer.text
    observed("names of checkpoints that lead out", hostile_inputs_tried=len(names), hostile_inputs_executed=0)


def test_a_page_shows_untrusted_names_as_text(tmp_path: Path, observed: Callable[..., None]) -> None:
    for place, name in enumerate(("a", "<b>bold<b>", "[red]x")):
        run = genuine(tmp_path / "runs" / name)
        change(run, seed=place)
        ATTACKS["markup in measures"](run, tmp_path)
    answer = infomcr(["compare", "runs/*", "--no-tracking", "--html", "page.html"], tmp_path)
    assert answer.code == 0, answer
    assert "\x1b" not in answer.text
    page = (tmp_path / "page.html").read_text()
    assert "<script>alert" not in page
    assert "<b>bold" not in page
    assert "\x1b" not in page
    observed("markup in names, terminal and HTML", hostile_inputs_tried=3, hostile_inputs_executed=0)


@pytest.mark.slow
def test_weights_that_do_not_fit_are_refused(
    fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]
) -> None:
    run = genuine(tmp_path / "runs" / "a")
    status = json.loads(run.status.read_text()) | {"state": "KILLED"}
    run.status.write_text(json.dumps(status))
    for command in (["eval", "runs/a"], ["train", "--resume", "runs/a", "tracking=off"]):
        child = fork_server.run(command, cwd=tmp_path)
        assert child.code in (1, 2), child.stderr
        assert "Traceback" not in child.stderr
    observed("weights that fit no network", hostile_inputs_tried=2, hostile_inputs_executed=0)


LEAKY = """
import os
from infomcr_cli.training.callbacks import RunCallback
def on_step(self, *args):
    raise RuntimeError("http://ann:s3cr3t-pw@host " + os.environ["MLFLOW_TRACKING_TOKEN"])
RunCallback.on_step = on_step
"""


def test_secrets_stay_secret(fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]) -> None:
    secrets = {"MLFLOW_TRACKING_TOKEN": "t0k3n-in-the-environment", "AWS_SECRET_ACCESS_KEY": "k3y-in-the-environment"}
    uri = "tracking.uri='http://ann:s3cr3t-pw@127.0.0.1:9/?token=qu3ry-token'"
    command = ["train", *TINY, "schedule.epochs=1", uri, "--run-dir", "runs/a"]
    child = fork_server.run(command, cwd=tmp_path, environment=secrets)
    assert child.code == 0, child.stderr
    shown = fork_server.run(["train", uri, "--print-config"], cwd=tmp_path, environment=secrets)
    failing = LEAKY
    failed = fork_server.run([*command[:-1], "runs/b"], cwd=tmp_path, environment=secrets, sabotage=failing)
    assert failed.code == 1
    synced = fork_server.run(
        ["sync", "runs/a", "--tracking-uri", "http://ann:s3cr3t-pw@127.0.0.1:9"], cwd=tmp_path, environment=secrets
    )
    assert synced.code == 1
    kept = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    said = "".join(one.stdout + one.stderr for one in (child, shown, failed, synced))
    for secret in (*secrets.values(), "s3cr3t-pw", "qu3ry-token"):
        assert secret not in kept, secret
        assert secret not in said, secret
    observed("secrets in URI and environment", looked_through=f"{len(kept) + len(said)} characters", found=0)
