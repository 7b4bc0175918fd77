"""What a user's own environment and options may not change in how Slurm gets the jobs of a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm
from test_slurm_commands import SWEEP, on_slurm, without
from test_slurm_engine import config_of
from test_sweep_status import make_sweep

from infomcr_cli.config.schema.sweep import SlurmEngineConfig
from infomcr_cli.engine import slurm_queue
from infomcr_cli.engine.limits import Limits
from infomcr_cli.engine.slurm_array import new_array, submit_array
from tests.conftest import CommandLine


def test_squeue_lists_tasks_that_the_user_has_it_leave_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "squeue"
    program.write_text('#!/bin/sh\necho "7|0|$SQUEUE_PARTITION$SLURM_BITSTR_LEN|n1|None|$*"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SQUEUE_PARTITION", "long")
    (task,) = slurm_queue.read_queue(["7"]).values()
    assert task.state == "0"
    assert "--all" in task.job.split()  # those of hidden partitions too


def test_variables_of_sbatch_do_not_override_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeSlurm.installed(tmp_path / "bin", monkeypatch)
    settings = config_of("engine.time=60", "engine.memory=1GB", "+engine.extra.constraint=a100").engine
    assert isinstance(settings, SlurmEngineConfig)
    overriding = ("TIMELIMIT", "MEM_PER_CPU", "ARRAY_INX", "SIGNAL", "NO_REQUEUE", "OUTPUT", "CONSTRAINT", "WAIT")
    for name in (*overriding, "ACCOUNT", "RESERVATION"):  # two that no setting speaks of
        monkeypatch.setenv(f"SBATCH_{name}", "1")
    (tmp_path / "demo").mkdir()
    submit_array(new_array(tmp_path / "demo", [], settings, Limits()), settings)
    seen = (fake.folder / "variables").read_text().split()
    assert {name for name in seen if name.startswith("SBATCH_")} == {"SBATCH_ACCOUNT", "SBATCH_RESERVATION"}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("engine.time=2",), "engine.time must be longer than engine.checkpoint_before"),
        (("engine.time=1:30",), "engine.time must be longer than engine.checkpoint_before"),
        (("+engine.extra.parsable=true",), "parsable"),
        (("+engine.extra.test-only=true",), "test-only"),
    ],
)
def test_what_slurm_would_accept_and_no_job_survive_is_refused(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, overrides: tuple[str, ...], message: str
) -> None:
    without(monkeypatch)
    answer = command_line(*SWEEP, *overrides)
    assert (answer.code, message in " ".join(answer.err.split())) == (2, True), answer.text


def test_cancel_takes_no_other_option_and_guesses_no_sweep(
    tmp_path: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeSlurm.installed(tmp_path / "bin", monkeypatch)
    folder = on_slurm(tmp_path, fake)
    states = dict(fake.states)
    for option in ("--dry-run", "--status", "--retry-failed"):
        answer = command_line("sweep", "--cancel", option, "made")
        assert (answer.code, f"--cancel {option}" in answer.err) == (2, True), answer.text
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "sweep.json").write_text((folder / "sweep.json").read_text())
    answer = command_line("sweep", "--cancel")
    assert (answer.code, "Accepted: made, other" in " ".join(answer.err.split())) == (2, True), answer.text
    assert fake.states == states
    assert json.loads(command_line("sweep", "--cancel", "made", "--json").out)["running"] == 1


def test_a_status_takes_no_option_of_a_sweep(tmp_path: Path, command_line: CommandLine) -> None:
    make_sweep(tmp_path, [None])
    assert command_line("sweep", "--status", "made").code == 0
    answer = command_line("sweep", "--status", "--retry-failed", "made")
    assert (answer.code, "--status cannot be combined" in answer.err) == (2, True), answer.text
