"""A network of the user's own through the whole command line, and every way in which its code can be broken."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cli import CommandLine

NETWORK = """
import keras
from keras import layers as L

class Net(keras.Model):
    def __init__(self, units):
        super().__init__()
        self.conv, self.norm, self.flat = L.Conv2D(4, 3), L.BatchNormalization(), L.Flatten()
        self.drop, self.out = L.Dropout(0.1), L.Dense(units, activity_regularizer=keras.regularizers.L2(1e-3))
    def call(self, x, training=False):
        print("traced")
        x = keras.ops.relu(self.norm(self.conv(x), training=training))
        return self.out(self.drop(self.flat(x), training=training))

def net(input_shape, num_classes, l2):
    return Net(num_classes)
"""
BROKEN = {
    "no such module": (None, "There is no module"),
    "a module that does not import": ("import keras\nimport no_such_package\n", "no_such_package"),
    "a syntax error": ("def net(:\n", "SyntaxError"),
    "a module that leaves": ("raise SystemExit(0)\n", "SystemExit"),
    "no such function": ("def other(): pass\n", "no function net"),
    "a builder that raises": (f"{NETWORK}\ndef net(**_):\n    return 1 / 0\n", "ZeroDivisionError"),
    "a builder that leaves": ("import sys\ndef net(**_):\n    sys.exit(0)\n", "SystemExit"),
    "a call that raises": (NETWORK.replace("self.flat(x)", "self.flat(y)"), "NameError"),
    "other arguments": ("def net(shape, classes): pass\n", "def net(*, input_shape, num_classes, l2)"),
    "no model": ("def net(**_): pass\n", "keras.Model"),
    "probabilities": (NETWORK.replace("L.Dense(units,", "L.Dense(units, 'softmax',"), "logits, not probabilities"),
}
MEASURE = ("measure.gamma.samples=20", "measure.gamma.draws=2", "measure.gamma.draw_size=10", "measure.samples=32")
TINY = ("data=digits", "data.train_size=64", "data.test_size=32", "data.batch_size=32", "schedule.epochs=2", *MEASURE)


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The override that names the builder; its module is not there yet."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    return f"model.builder=net_{tmp_path.name.replace('-', '_')}:net"


def write(named: str, content: str | None) -> None:
    """Let the module hold this, or be gone, and be imported anew."""
    module = named.partition("=")[2].partition(":")[0]
    file = Path(f"{module}.py")
    file.write_text(content) if content is not None else file.unlink(missing_ok=True)
    sys.modules.pop(module, None)
    sys.path_importer_cache.pop(str(Path.cwd()), None)
    for compiled in Path.cwd().glob("__pycache__/*"):
        compiled.unlink()


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_builder_is_refused_before_anything_is_made(command_line: CommandLine, named: str, fault: str) -> None:
    content, message = BROKEN[fault]
    write(named, content)
    answer = command_line("train", "model=builder", named, *TINY, "--json")
    assert answer.code == 2, answer
    assert message in answer.err
    assert named.partition("=")[2] in answer.err
    assert answer.out == ""
    assert not Path("runs").exists()
    assert not Path("mlflow").exists()


def train(command_line: CommandLine, named: str) -> dict[str, Any]:
    write(named, NETWORK)
    answer = command_line("train", "model=builder", named, *TINY, "tracking=off", "--run-dir", "run", "--json")
    assert answer.code == 0, answer.err
    document: dict[str, Any] = json.loads(answer.out)
    return document


def leave(state: str, **changes: Any) -> bytes:
    """Let the run look as if its process had left it in a state, after its first epoch."""
    status = json.loads(Path("run/status.json").read_text())
    status |= {
        "state": state,
        "step": 2,
        "epoch": 1,
        "pid": 2**22 + 1,
        "process_started": 1.0,
        "ended": None,
        **changes,
    }
    Path("run/status.json").write_text(json.dumps(status))
    for path in Path("run/checkpoints").glob("epoch-0002*"):
        path.unlink()
    return Path("run/status.json").read_bytes()


@pytest.mark.parametrize("state", ["RUNNING", "KILLED"])
def test_a_builder_that_fails_leaves_the_state_of_a_resumed_run_unchanged(
    command_line: CommandLine, named: str, state: str
) -> None:
    """A run that is LOST says in its file that it is RUNNING."""
    train(command_line, named)
    whole = Path("run/metrics.jsonl").read_text()
    before = leave(state)
    for fault in ("a module that does not import", "a builder that raises", "a builder that leaves"):
        write(named, BROKEN[fault][0])
        for command in (["train", "--resume", "run"], ["eval", "run"]):
            answer = command_line(*command, named)
            assert answer.code == 2, answer
            assert BROKEN[fault][1] in answer.err
            assert Path("run/status.json").read_bytes() == before
            assert Path("run/metrics.jsonl").read_text() == whole
    write(named, NETWORK)
    assert command_line("train", "--resume", "run", named).code == 0
    assert json.loads(Path("run/status.json").read_text())["state"] == "FINISHED"
    lines = [[{**json.loads(line), "timing": 0} for line in text.splitlines()] for text in (whole, _metrics())]
    assert lines[0] == lines[1]


def _metrics() -> str:
    return Path("run/metrics.jsonl").read_text()


def test_a_subclassed_network_is_trained_and_measured(command_line: CommandLine, named: str) -> None:
    """Every measure has a value, or a reason; those of graphs of layers have the reason."""
    assert train(command_line, named)["state"] == "FINISHED"
    first = json.loads(_metrics().splitlines()[0])
    assert first["train/l2"] > 0
    answer = command_line("eval", "run", named, "measure=all", *MEASURE, "--json")
    assert answer.code == 0, answer.err
    measures = json.loads(answer.out)["runs"][0]["measures"]
    without = {name for name, entry in measures.items() if entry["value"] is None}
    assert all(measures[name]["reason"] for name in without)
    of_graphs = {
        "path_norm",
        "path_norm_over_margin",
        "parameter_norm",
        "spectral_product",
        "spectral_product_over_margin",
        "spectral_distance",
        "spectral_distance_product",
        "frobenius_product",
        "frobenius_product_over_margin",
        "frobenius_distance",
        "frobenius_over_spectral",
    }
    # The run has no target, and after so short a training the margin may not be positive.
    assert without <= {*of_graphs, "steps_to_target", "inverse_margin_squared"}
    assert "traced" in answer.err


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        (("reg=off",), 0),
        (("reg=on", "reg.num_sub_batches=2"), 0),
        (("reg=on", "reg.num_sub_batches=2", "reg.share_pass=true"), 2),
        (("reg=sam", "reg.num_sub_batches=2"), 2),
    ],
)
def test_a_loss_that_sums_over_images_is_refused_with_sub_batches(
    command_line: CommandLine, named: str, overrides: tuple[str, ...], code: int
) -> None:
    summing = NETWORK.replace('print("traced")', "self.add_loss(1e-4 * keras.ops.sum(keras.ops.square(x)))")
    write(named, summing)
    once = ("schedule.epochs=1", "tracking=off")
    answer = command_line("train", "model=builder", named, *TINY, *once, *overrides)
    assert answer.code == code, answer.err
    assert ("must be a mean over images" in answer.err) == (code == 2)
    assert Path("runs").exists() == (code == 0)


def test_a_network_that_leaves_in_training_fails_its_run(command_line: CommandLine, named: str) -> None:
    """It is not LOST: the process is there to say what happened."""
    write(named, NETWORK.replace('print("traced")', "\n        if training: raise SystemExit(0)"))
    answer = command_line("train", "model=builder", named, *TINY, "tracking=off", "--run-dir", "run", "--json")
    assert answer.code == 1, answer
    assert json.loads(answer.out)["state"] == "FAILED"
    assert "SystemExit" in json.loads(Path("run/status.json").read_text())["reason"]
