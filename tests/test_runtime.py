"""Whose kernels TensorFlow computes with, and that a run says so."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import tensorflow as tf
from cli import CommandLine

from infomcr_cli.config.compose import compose_run
from infomcr_cli.runs import RunDirectory, recorded_kernels, write_environment
from infomcr_cli.runtime import devices, kernels, prefer_onednn, prepare, prepare_to_measure
from infomcr_cli.training.kernels import instructions_in_use

TINY = (
    *("model=mlp", "model.depth=1", "model.width=4", "data=digits", "data.train_size=100", "data.test_size=20"),
    *("data.batch_size=50", "schedule.epochs=1", "tracking=off"),
)


@pytest.mark.parametrize(
    ("flags", "chosen", "then"),
    [
        ("flags : fpu sse4_1 avx avx2 fma", None, "1"),
        ("flags : fpu sse4_1 avx avx2 fma", "0", "0"),
        ("flags : fpu sse4_1 avx", None, None),
        ("Features : fp asimd", None, None),
    ],
)
def test_onednn_is_taken_with_avx2_where_the_user_has_not_chosen(
    flags: str, chosen: str | None, then: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", chosen or "")
    if chosen is None:
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    described = tmp_path / "cpuinfo"
    described.write_text(f"processor : 0\n{flags}\n")
    prefer_onednn(described)
    assert os.environ.get("TF_ENABLE_ONEDNN_OPTS") == then


@pytest.mark.parametrize(("regularizer", "is_short"), [("off", True), ("on", False), ("sam", False)])
def test_float32_is_multiplied_in_full_with_a_regularizer_and_by_every_measure(
    regularizer: str, is_short: bool
) -> None:
    """On recent NVIDIA GPUs TensorFlow keeps ten bits by default."""
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    before = enabled()
    config = compose_run([f"reg={regularizer}", "device=cpu", "deterministic=false"])
    try:
        prepare(config)
        assert enabled() is is_short
        prepare_to_measure(config)
        assert not enabled()
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def test_a_run_records_its_kernels_and_says_if_it_continues_with_others(
    command_line: CommandLine, tmp_path: Path
) -> None:
    assert command_line("train", *TINY, "--run-dir", "runs/a").code == 0
    run = RunDirectory.open(tmp_path / "runs/a")
    assert recorded_kernels(run) == kernels()
    for other in ("oneDNN", "TensorFlow"):
        status = json.loads((run.path / "status.json").read_text())
        (run.path / "status.json").write_text(json.dumps({**status, "state": "KILLED"}))
        write_environment(run, kernels=other)
        answer = command_line("train", "--resume", "runs/a")
        assert answer.code == 0
        assert (f"started with the kernels of {other}" in answer.err) is (other != kernels())


def test_a_run_that_continues_on_another_device_or_processor_says_so(command_line: CommandLine, tmp_path: Path) -> None:
    assert command_line("train", *TINY, "--run-dir", "runs/a").code == 0
    path = tmp_path / "runs/a"
    environment = json.loads((path / "environment.json").read_text())
    assert environment["devices"] == list(devices())
    assert environment["instructions"] == instructions_in_use()
    other = {**environment, "devices": ["GPU:0"], "instructions": "SVE"}
    (path / "environment.json").write_text(json.dumps(other))
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps({**status, "state": "KILLED"}))
    answer = command_line("train", "--resume", "runs/a")
    assert answer.code == 0
    assert f"started on GPU:0 and continues on {', '.join(devices())}" in " ".join(answer.err.split())
    assert "started with instructions=SVE and continues with" in " ".join(answer.err.split())


def test_a_run_that_continues_with_other_threads_says_so(command_line: CommandLine, tmp_path: Path) -> None:
    assert command_line("train", *TINY, "--run-dir", "runs/a").code == 0
    path = tmp_path / "runs/a"
    environment = json.loads((path / "environment.json").read_text())
    assert environment["threads"] == len(os.sched_getaffinity(0))
    (path / "environment.json").write_text(json.dumps({**environment, "threads": 77}))
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps({**status, "state": "KILLED"}))
    answer = command_line("train", "--resume", "runs/a")
    assert answer.code == 0
    assert "started with threads=77" in answer.err
    assert "INFOMCR_THREADS=77" in answer.err


@pytest.mark.parametrize("given", ["two", "0", "-1", "1.5", "99999"])
def test_a_number_of_threads_that_is_none_is_bad_input(
    given: str, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFOMCR_THREADS", given)
    answer = command_line("train", *TINY, "--run-dir", "runs/a")
    assert answer.code == 2
    assert f"INFOMCR_THREADS must be a whole number from 1 to 4096; got {given!r}" in answer.err
    assert not Path("runs/a").exists()
