"""`engine=slurm` on the command line: what it needs, what it refuses, its status and its end."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm
from test_sweep_status import ended, make_sweep

from infomcr_cli.engine import slurm_queue
from infomcr_cli.engine.slurm_array import SlurmArray
from infomcr_cli.engine.sweep_status import read_sweep
from infomcr_cli.runs import State, new_status
from tests.conftest import CommandLine

SWEEP = ("sweep", "data=digits", "model=mlp", "seed=0,1", "engine=slurm", "tracking=off", "--dry-run")


def without(monkeypatch: pytest.MonkeyPatch, *, package: str = "", program: str = "") -> None:
    find, which = importlib.util.find_spec, shutil.which
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest))
    monkeypatch.setattr(slurm_queue.shutil, "which", lambda name: None if name == program else which(name) or name)


@pytest.mark.parametrize(
    ("lacks", "words"),
    [
        ({"package": "submitit"}, ("submitit", "pip install 'infomcr[slurm]'", "engine=local")),
        ({"program": "sbatch"}, ("no sbatch", "login node", "engine=local")),
    ],
)
def test_what_is_missing_is_said_with_the_way_out(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, lacks: dict[str, str], words: tuple[str, ...]
) -> None:
    without(monkeypatch, **lacks)
    answer = command_line(*SWEEP)
    assert answer.code == 2
    assert all(word in answer.err for word in words)


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("engine.time=soon", "engine.time"),
        ("engine.time=0", "engine.time"),
        ("engine.cpus=0", "engine.cpus"),
        ("engine.gpus=a100:", "engine.gpus"),
        ("engine.partition='a b'", "engine.partition"),
        ("engine.jobs=2", "engine.jobs"),
        ("+engine.extra.array=0-5", "engine.array_parallelism"),
        ("+engine.extra.output=here", "output"),
        ("+engine.extra.mem=3", "engine.memory"),
        ("+engine.extra.Comment=3", "engine.extra"),
        ('+engine.extra.comment="a\nb"', "engine.extra"),
        ("tracking=sqlite", "engine=slurm needs a tracking server"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_name(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, override: str, word: str
) -> None:
    without(monkeypatch)
    words = [text for text in SWEEP if not (override.startswith("tracking") and text.startswith("tracking"))]
    extra = [] if override == "tracking=sqlite" else [override]
    answer = command_line(*words, *extra)
    assert answer.code == 2, answer.text
    assert word in answer.err


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return FakeSlurm.installed(tmp_path / "bin", monkeypatch)


def on_slurm(root: Path, fake: FakeSlurm) -> Path:
    """Write a sweep of four jobs: one is done, one runs, one went back into the queue, one waits."""
    before = new_status("ab" * 32).model_copy(update={"pid": 1, "started": 1e9, "slurm_job": "1_1", "slurm_node": "n7"})
    states = [ended(State.FINISHED, 1e9, 5), before, ended(State.KILLED, 1e9, 5, "preempted"), None]
    folder = make_sweep(root, states)
    array = folder / "slurm" / "abcdef012345"
    array.mkdir(parents=True)
    identities = tuple(f"{number:016x}" + "0" * 48 for number in range(4))
    SlurmArray(array, identities, f"{folder.name}-{array.name}", "1").write()
    script = f"#SBATCH --job-name={folder.name}-{array.name}\n#SBATCH --array=0-3%2\n"
    (fake.folder / "scripts" / "1").write_text(script)
    fake.states |= {"1_0": "COMPLETED", "1_1": "RUNNING"}
    return folder


def test_status_shows_node_and_slurm_job(tmp_path: Path, fake: FakeSlurm, command_line: CommandLine) -> None:
    on_slurm(tmp_path, fake)
    document = json.loads(command_line("sweep", "--status", "made", "--json").out)
    assert document["slurm"] == {"RUNNING": 1, "PENDING": 2}
    assert document["active"]
    jobs = [(job["slurm_job"], job["slurm_node"], job["slurm_state"]) for job in document["jobs"]]
    assert jobs == [(None, None, None), ("1_1", "n1", "RUNNING"), ("1_2", None, "PENDING"), ("1_3", None, "PENDING")]
    assert [job["slurm_reason"] for job in document["jobs"]] == [None, None, "Priority", "Priority"]
    shown = command_line("sweep", "--status", "made").out
    assert "In Slurm: 2 pending, 1 running" in shown
    assert "Pending: 2 for Priority" in shown


def test_status_from_a_machine_without_slurm_shows_where_a_job_last_ran(
    tmp_path: Path, fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = on_slurm(tmp_path, fake)
    without(monkeypatch, program="squeue")
    assert [job.where for job in read_sweep(folder).jobs][1] == "n7 1_1"
    fake.is_away = True
    monkeypatch.undo()
    assert [job.where for job in read_sweep(folder).jobs][1] == "n7 1_1"


def test_cancel_ends_what_slurm_has_and_nothing_else(
    tmp_path: Path, fake: FakeSlurm, command_line: CommandLine
) -> None:
    folder = on_slurm(tmp_path, fake)
    document = json.loads(command_line("sweep", "--cancel", "made", "--json").out)
    assert (document["name"], document["running"], document["waiting"]) == ("made", 1, 2)
    assert fake.states == {"1_0": "COMPLETED", "1_1": "CANCELLED", "1_2": "CANCELLED", "1_3": "CANCELLED"}
    assert (folder / "slurm" / "cancelled").exists()
    assert "it has no jobs in Slurm" in command_line("sweep", "--cancel", str(folder)).out


def test_cancel_refuses_a_sweep_that_is_not_on_slurm(tmp_path: Path, command_line: CommandLine) -> None:
    make_sweep(tmp_path, [None])
    answer = command_line("sweep", "--cancel", "made")
    assert (answer.code, "--cancel works only for sweeps on Slurm" in answer.err) == (2, True)
    assert command_line("sweep", "--cancel", "mad").code == 2
