"""Signals, exceptions, NaN, lost processes, second processes: the state says what happened, and one can go on."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fork_server import ForkServer, wait_until
from same_run import TINY, assert_same_run, lines_without_timing

from infomcr_cli.tracking.client import connect
from infomcr_cli.tracking.store import store_of

pytestmark = pytest.mark.faults

UNTRACKED = ["tracking=off", "schedule.epochs=8"]
# An epoch of the tiny run lasts a twentieth of a second; this gives signals time to arrive inside the run.
SLOWLY = """
import time
from infomcr_cli.training.callbacks import RunCallback
plain = RunCallback.on_step
def on_step(self, *args):
    time.sleep(0.05)
    plain(self, *args)
RunCallback.on_step = on_step
"""


def status_of(run: Path) -> dict[str, Any]:
    status: dict[str, Any] = json.loads((run / "status.json").read_text())
    return status


def mlflow_status(folder: Path, run: Path) -> str:
    client = connect(store_of(None, "infomcr", folder / "runs"))
    return str(client.get_run(status_of(run)["mlflow_run_id"]).info.status)


def logged(run: Path) -> int:
    return len(lines_without_timing(run)) if (run / "metrics.jsonl").exists() else 0


def test_signals_checkpoint_and_say_how_to_go_on(
    fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]
) -> None:
    tracked = ["schedule.epochs=8"]
    assert fork_server.run(["train", *TINY, *tracked, "--run-dir", "whole/a"], cwd=tmp_path).code == 0
    run = tmp_path / "runs" / "broken"
    command: list[str] = ["train", *TINY, *tracked, "--run-dir", str(run)]
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
        before = logged(run)
        child = fork_server.start(command, cwd=tmp_path, sabotage=SLOWLY)
        wait_until(lambda before=before: logged(run) > before)
        time.sleep(0.07)
        child.kill(number)
        assert child.wait() == code, child.stderr
        assert f"infomcr train --resume {run}" in child.stderr
        assert status_of(run)["state"] == "KILLED"
        assert status_of(run)["reason"] == number.name
        assert mlflow_status(tmp_path, run) == "KILLED"
        assert any((run / "checkpoints").glob("step-*.safetensors"))
        command = ["train", "--resume", str(run)]
    assert fork_server.run(command, cwd=tmp_path).code == 0
    lost = assert_same_run(run, tmp_path / "whole" / "a")
    assert mlflow_status(tmp_path, run) == "FINISHED"
    observed("SIGINT, SIGTERM, SIGHUP", kills_survived=3, metrics_lost=lost, exit_codes="130, 143 and 129")


@pytest.mark.parametrize("outlives", [False, True])
def test_a_terminal_that_closes(tmp_path: Path, observed: Callable[..., None], outlives: bool) -> None:
    """It sends SIGHUP, and what is written to it fails from then on; under nohup the run goes on to its end."""
    disposition = "SIG_IGN" if outlives else "SIG_DFL"
    start = f"import signal; signal.signal(signal.SIGHUP, signal.{disposition}); from infomcr_cli.cli import main; "
    epochs = 30 if outlives else 5000
    arguments = ["train", *TINY, "tracking=off", f"schedule.epochs={epochs}", "--run-dir", "a", "--json"]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.dup2(os.open("out", os.O_CREAT | os.O_WRONLY, 0o644), 1)
        os.execv(sys.executable, [sys.executable, "-c", f"{start}main()", *arguments])
    watching = threading.Thread(target=_read_until_closed, args=(terminal,), daemon=True)
    watching.start()
    wait_until(lambda: logged(tmp_path / "a") > 0)
    os.kill(process, signal.SIGSTOP)  # so that nothing is being read while the terminal is closed
    os.close(terminal)
    os.kill(process, signal.SIGCONT)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    status = status_of(tmp_path / "a")
    assert (code, status["state"], status["reason"]) == (
        (0, "FINISHED", None) if outlives else (129, "KILLED", "SIGHUP")
    )
    assert any((tmp_path / "a" / "checkpoints").glob("epoch-0030*" if outlives else "step-*.safetensors"))
    observed(f"a closed terminal{', under nohup' * outlives}", state=status["state"], exit_code=code, kills_survived=1)


def _read_until_closed(terminal: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(terminal, 4096):
            pass


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_while_tensorflow_is_imported(
    tmp_path: Path, observed: Callable[..., None], number: signal.Signals, code: int
) -> None:
    start = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); from infomcr_cli.cli import main; main()"
    command = [sys.executable, "-c", start, "train", *TINY, *UNTRACKED]
    child = subprocess.Popen([*command, "--run-dir", "a"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: (tmp_path / "a" / ".lock").exists())
    time.sleep(0.3)
    child.send_signal(number)
    if number == signal.SIGHUP:  # a terminal that closes often sends two
        time.sleep(0.02)
        child.send_signal(number)
    said = child.communicate()[1]
    assert child.returncode == code, said
    assert "Traceback" not in said
    assert "--resume" in said
    assert status_of(tmp_path / "a")["state"] == "KILLED"
    observed(f"{number.name} while TensorFlow is imported", state="KILLED", exit_code=code, kills_survived=1)


@pytest.mark.slow
def test_a_second_sigint_stops_at_once(fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]) -> None:
    stuck = SLOWLY.replace("time.sleep(0.05)", "open('a/stuck', 'w').close(); time.sleep(20)")
    child = fork_server.start(["train", *TINY, *UNTRACKED, "--run-dir", "a"], cwd=tmp_path, sabotage=stuck)
    wait_until(lambda: (tmp_path / "a" / "stuck").exists())
    child.kill(signal.SIGINT)
    time.sleep(0.3)
    began = time.monotonic()
    child.kill(signal.SIGINT)
    assert child.wait() == 130
    seconds = time.monotonic() - began
    assert seconds < 10  # of the 20 that the step would take
    assert status_of(tmp_path / "a")["state"] == "KILLED"
    observed("a second SIGINT", stopped_after=f"{seconds:.2f} s")


@pytest.mark.slow
def test_a_loss_that_is_no_number_fails_the_run_and_keeps_the_last_good_checkpoint(
    fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]
) -> None:
    settings = [*UNTRACKED, "schedule.warmup_epochs=0", "schedule=constant", "optimizer.learning_rate=1e12"]
    child = fork_server.run(["train", *TINY, *settings, "--run-dir", "a"], cwd=tmp_path)
    assert child.code == 1
    status = status_of(tmp_path / "a")
    assert status["state"] == "FAILED"
    assert "step" in status["reason"]
    assert "finite" in status["reason"]
    assert "Traceback" not in child.stderr
    observed("NaN or infinite loss", state="FAILED", reason=f"“{status['reason']}”")


@pytest.mark.slow
def test_an_exception_fails_the_run_and_it_can_go_on(
    fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]
) -> None:
    assert fork_server.run(["train", *TINY, *UNTRACKED, "--run-dir", "whole"], cwd=tmp_path).code == 0
    sabotage = """
from infomcr_cli.training.callbacks import RunCallback
plain = RunCallback.on_step
def on_step(self, position, means):
    if position.step == 14:
        raise RuntimeError("the GPU fell off the bus at http://ann:s3cr3t@host")
    plain(self, position, means)
RunCallback.on_step = on_step
"""
    child = fork_server.run(["train", *TINY, *UNTRACKED, "--run-dir", "a"], cwd=tmp_path, sabotage=sabotage)
    assert child.code == 1
    status = status_of(tmp_path / "a")
    assert status["state"] == "FAILED"
    assert "fell off the bus" in status["reason"]
    assert "s3cr3t" not in child.stderr + "".join(p.read_text() for p in (tmp_path / "a").glob("*.*") if p.is_file())
    assert fork_server.run(["train", "--resume", "a"], cwd=tmp_path).code == 0
    lost = assert_same_run(tmp_path / "a", tmp_path / "whole")
    observed("an exception in training", state="FAILED", then="resumed to the same bits", metrics_lost=lost)


@pytest.mark.slow
def test_the_machine_died(fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]) -> None:
    run = tmp_path / "runs" / "a"
    child = fork_server.start(
        ["train", *TINY, "schedule.epochs=5000", "--run-dir", str(run)], cwd=tmp_path, sabotage=SLOWLY
    )
    wait_until(lambda: logged(run) > 1 and status_of(run)["mlflow_run_id"])
    child.kill(signal.SIGKILL)
    child.wait()
    assert status_of(run)["state"] == "RUNNING"
    listed = json.loads(fork_server.run(["runs", "--json"], cwd=tmp_path).stdout)["runs"]
    assert [one["state"] for one in listed] == ["LOST"]
    assert mlflow_status(tmp_path, run) == "RUNNING"
    repaired = fork_server.run(["runs", "--repair"], cwd=tmp_path)
    assert repaired.code == 0, repaired.stderr
    assert status_of(run)["state"] == "LOST"
    assert mlflow_status(tmp_path, run) == "FAILED"
    client = connect(store_of(None, "infomcr", tmp_path / "runs"))
    history = client.get_metric_history(status_of(run)["mlflow_run_id"], "train/loss")
    assert len(history) == logged(run)
    observed(
        "the machine died", listed="LOST", repaired="LOST here, FAILED in MLflow", kills_survived=1, metrics_lost=0
    )


@pytest.mark.slow
def test_a_second_process_is_refused(fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]) -> None:
    child = fork_server.start(
        ["train", *TINY, "tracking=off", "schedule.epochs=500", "--run-dir", "a"], cwd=tmp_path, sabotage=SLOWLY
    )
    wait_until(lambda: logged(tmp_path / "a") > 0)
    command = [sys.executable, "-c", "from infomcr_cli.cli import main; main()", "train", "--resume", "a"]
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert child.code is None
    child.kill(signal.SIGINT)
    assert child.wait() == 130
    assert second.returncode == 2
    assert f"process {child.pid} on " in second.stderr
    observed("two processes on one run", second="refused, exit 2, holder named")
