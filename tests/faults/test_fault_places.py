"""Odd places and changed settings: spaces, unicode, a read-only home, no terminal, forty columns, another tracking."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fork_server import ForkServer
from same_run import TINY, assert_same_run

pytestmark = pytest.mark.faults

INFOMCR = [sys.executable, "-c", "from infomcr_cli.cli import main; main()"]


def test_a_path_with_spaces_and_unicode_and_a_read_only_home(
    fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]
) -> None:
    folder = tmp_path / "mes modèles Ω"
    folder.mkdir()
    homeless = {"HOME": "/proc", "XDG_STATE_HOME": "/proc", "XDG_CACHE_HOME": "/proc", "INFOMCR_STATE": "/proc/none"}
    run = folder / "runs" / "été 日本 'x'"
    command = ["train", *TINY, "schedule.epochs=2", "--run-dir", str(run)]
    child = fork_server.run(command, cwd=folder, environment=homeless)
    assert child.code == 0, child.stderr
    assert (folder / "mlflow" / "mlflow.db").is_file()
    for again in (["runs"], ["sync", str(run)], ["train", "--resume", str(run)]):
        child = fork_server.run(again, cwd=folder, environment=homeless)
        assert child.code == 0, child.stderr
    assert run.name in fork_server.run(["runs", "--json"], cwd=folder, environment=homeless).stdout
    observed("spaces, unicode, a read-only home", works="train, runs, sync, resume")


def in_a_terminal(command: list[str], columns: int, folder: Path) -> str:
    """Run a command on a pseudo-terminal of some width and return what it showed."""
    import fcntl
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 20, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment)
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    assert process.wait() == 0, shown.decode(errors="replace")
    return shown.decode(errors="replace")


@pytest.mark.slow
def test_a_terminal_of_forty_columns_and_none(tmp_path: Path, observed: Callable[..., None]) -> None:
    command = [*INFOMCR, "train", *TINY, "schedule.epochs=2", "tracking=off", "--run-dir"]
    shown = in_a_terminal([*command, "a"], 40, tmp_path)
    assert "FINISHED" in shown
    assert "Traceback" not in shown
    shown = in_a_terminal([*INFOMCR, "runs", "--runs-dir", "."], 40, tmp_path)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.replace("\r", ""))
    assert max(len(line) for line in plain.splitlines()) <= 40
    assert "FINISHED" in plain
    piped = subprocess.run(
        [*command, "b"], cwd=tmp_path, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    assert "\x1b" not in piped.stdout + piped.stderr
    assert "epoch 2/2" in piped.stderr
    observed("40 columns, no terminal", works="train")


@pytest.mark.slow
def test_resumed_with_changed_settings(fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]) -> None:
    settings = ["tracking=off", "schedule.epochs=4"]
    assert fork_server.run(["train", *TINY, *settings, "--run-dir", "whole"], cwd=tmp_path).code == 0
    start = fork_server.run(["train", *TINY, *settings, "--run-dir", "a"], cwd=tmp_path, moment=("after a log line", 2))
    assert start.code == -signal.SIGKILL
    for change in ("optimizer.learning_rate=0.2", "seed=1", "reg=on", "data.batch_size=32", "schedule.epochs=9"):
        refused = fork_server.run(["train", "--resume", "a", change], cwd=tmp_path)
        assert refused.code == 2
        assert "→" in refused.stderr
        assert "start=" in refused.stderr
    allowed = ["schedule.eval_every=1", "measure.gamma.draws=7", "device=cpu", "schedule.keep_checkpoints=50"]
    child = fork_server.run(["train", "--resume", "a", *allowed], cwd=tmp_path)
    assert child.code == 0, child.stderr
    assert_same_run(tmp_path / "a", tmp_path / "whole")
    fresh = fork_server.run(["train", "start=a", *TINY, *settings, "seed=1", "--run-dir", "b"], cwd=tmp_path)
    assert fresh.code == 0, fresh.stderr
    assert json.loads((tmp_path / "b" / "status.json").read_text())["state"] == "FINISHED"
    observed("resumed with changed settings", refused="5 of 5, exit 2, difference shown", allowed=len(allowed))
