"""Whole runs with the options of training: interrupted and resumed to the same bits, stopped early, in TensorBoard."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tolerances import AUTODIFF

from infomcr_cli.runs import RunDirectory, read_status
from infomcr_cli.signals import Interrupted, Interruption
from infomcr_cli.training import trainer
from infomcr_cli.training.callbacks import RunCallback
from tests.conftest import CommandLine

RUN = [
    "data.train_size=96",
    "data.validation_size=32",
    "data.test_size=40",
    "data.batch_size=16",
    "model=mlp",
    "model.width=16",
    "model.norm=batch",
    "reg=on",
    "reg.phases=111",
    "reg.num_sub_batches=2",
    "optimizer=adamw",
    "optimizer.learning_rate=0.02",
    "optimizer.label_smoothing=0.1",
    "optimizer.global_clipnorm=1.0",
    "optimizer.use_ema=true",
    "optimizer.ema_momentum=0.8",
    "schedule=constant",
    "schedule.epochs=40",
    "schedule.patience=2",
    "schedule.eval_every=3",
    "measure.gamma.draw_size=20",
    "tracking=off",
    "tracking.tensorboard=true",
    "deterministic=false",  # it holds for a whole process, and this one has begun
]


def lines(run: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]


def without_timing(run: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name != "timing"} for line in lines(run)]


def weights_of(run: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(run, "checkpoints").glob("epoch-*.safetensors"))}


def points(run: str) -> Counter[tuple[str, int]]:
    """Return how often the event files of a run hold each scalar at each step."""
    import tensorflow as tf

    found: Counter[tuple[str, int]] = Counter()
    for file in Path(run, "tensorboard").glob("events.out.tfevents.*"):
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            found.update((value.tag, event.step) for value in event.summary.value)
    return found


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the step of that number be the last one before SIGTERM."""
    left = iter(range(1, step))

    def check(self: Interruption) -> None:
        if next(left, None) is None:
            raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr(Interruption, "check", check)


@pytest.fixture
def whole(command_line: CommandLine) -> str:
    answer = command_line("train", *RUN, "--run-dir", "whole")
    assert answer.code == 0, answer.err
    return answer.err


@pytest.mark.parametrize("steps", [[3, 7, 5]])
def test_an_interrupted_run_ends_with_the_same_bits(
    command_line: CommandLine, whole: str, monkeypatch: pytest.MonkeyPatch, steps: list[int]
) -> None:
    for number, step in enumerate(steps):
        with monkeypatch.context() as patch:
            interrupt_at(patch, step)
            how = ["--resume", "run"] if number else [*RUN, "--run-dir", "run"]
            assert command_line("train", *how).code == 143
    answer = command_line("train", "--resume", "run")
    assert answer.code == 0, answer.err
    assert without_timing("run") == without_timing("whole")
    assert weights_of("run") == weights_of("whole")
    # Each value once, though the run began several times.
    assert set(points("run").values()) == {1}
    assert {key for key in points("run") if not key[0].startswith("timing/")} == {
        key for key in points("whole") if not key[0].startswith("timing/")
    }


def test_a_pruned_run_that_is_trained_on_equals_the_uninterrupted_run(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [*RUN, "schedule.patience=null", "schedule.epochs=4", "schedule.checkpoint_every=4", "measure.early_epochs=2"]
    assert command_line("train", *few, "--run-dir", "whole").code == 0
    with monkeypatch.context() as patch:
        pruned = {"ends": lambda epoch, values: "pruned" if epoch == 2 else None}
        patch.setattr(trainer, "RunCallback", lambda *given, **named: RunCallback(*given, **(named | pruned)))
        assert command_line("train", *few, "--run-dir", "run").code == 143
    assert read_status(RunDirectory.open("run")).pruned_at == 2
    assert command_line("train", "--resume", "run").code == 0
    assert without_timing("run") == without_timing("whole")
    assert list(weights_of("run")) == ["epoch-0002.safetensors", "epoch-0004.safetensors"]
    assert weights_of("run") == weights_of("whole")


def test_a_run_stops_when_the_validation_loss_stops_falling(command_line: CommandLine, whole: str) -> None:
    losses = [line["validation/loss"] for line in lines("whole")]  # after every epoch, whatever eval_every says
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 2 < 40
    assert ["test/loss" in line for line in lines("whole")] == [
        epoch % 3 == 0 or epoch == len(losses) for epoch in range(1, len(losses) + 1)
    ]
    assert f"validation loss was lowest at epoch {best + 1}" in whole
    assert json.loads(Path("whole/status.json").read_text())["state"] == "FINISHED"
    # What is evaluated is the average that the checkpoint holds.
    answer = command_line("eval", "whole", "measure.names=[train_loss]", "measure.samples=20", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["runs"][0]["test"]["loss"] == pytest.approx(
        lines("whole")[-1]["test/loss"], rel=AUTODIFF
    )
    expected = Counter((name, line["step"]) for line in without_timing("whole") for name in line if name != "step")
    assert {key: count for key, count in points("whole").items() if not key[0].startswith("timing/")} == expected
    assert ("timing/images_per_second", lines("whole")[0]["step"]) in points("whole")
