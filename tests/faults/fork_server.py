"""A process that has imported everything and starts `infomcr` commands as children: each kill costs seconds less.

TensorFlow is imported but never used before a fork, so the children are as good as new.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Child:
    """A command that runs or ran.

    Args: code: its exit code, minus the signal that ended it; None while it runs.
    """

    pid: int
    out: Path
    err: Path
    fork_server: ForkServer = field(repr=False)
    code: int | None = None

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        if self.code is None:
            self.code = int(self.fork_server.answer()["code"])
        return self.code

    def kill(self, number: int) -> None:
        """Send a signal; the command may have ended by itself meanwhile."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @property
    def stderr(self) -> str:
        return self.err.read_text(errors="replace")

    @property
    def stdout(self) -> str:
        return self.out.read_text(errors="replace")


class ForkServer:
    """Starts one command at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._last: Child | None = None
        command = [sys.executable, __file__]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        with open(folder / "fork_server.err", "wb") as complaints:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, stderr=complaints, env=clean
            )

    def start(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        moment: tuple[str, int] | None = None,
        environment: Mapping[str, str] | None = None,
        file_limit: int | None = None,
        sabotage: str | None = None,
    ) -> Child:
        """Start `infomcr ARGUMENTS` in a child.

        Args:
            moment:     when it is to kill itself; see `kill_points`.
            file_limit: most bytes of any file it may write.
            sabotage:   Python that the child runs first.
        """
        self._end_last()
        self._count += 1
        out, err = (self._folder / f"{self._count}.{kind}" for kind in ("out", "err"))
        request = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd),
            "moment": moment,
            "environment": dict(environment or {}),
            "file_limit": file_limit,
            "sabotage": sabotage,
            "out": str(out),
            "err": str(err),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        self._last = Child(int(self.answer()["pid"]), out, err, self)
        return self._last

    def _end_last(self) -> None:
        """A test that failed may have left its child at work."""
        if self._last is not None and self._last.code is None:
            self._last.kill(signal.SIGKILL)
            self._last.wait()

    def run(self, arguments: Sequence[str], **how: Any) -> Child:
        """Start a command and wait for its end."""
        child = self.start(arguments, **how)
        child.wait()
        return child

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, (self._folder / "fork_server.err").read_text()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._end_last()
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def serve() -> None:
    """Fork a child for each request on standard input; answer with its pid, and with its code once it has ended."""
    import mlflow.tracking  # noqa: F401

    import infomcr_cli.cli  # noqa: F401
    import infomcr_cli.training.trainer  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be_the_child(request)
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def _be_the_child(request: dict[str, Any]) -> None:
    code = 70
    try:
        os.chdir(request["cwd"])
        os.environ.update(request["environment"])
        _redirect(request["out"], request["err"])
        _prepare(request)
        from infomcr_cli.cli import main

        sys.argv = ["infomcr", *request["arguments"]]
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _redirect(out: str, err: str) -> None:
    for path, descriptor in (("/dev/null", 0), (out, 1), (err, 2)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)


def _prepare(request: dict[str, Any]) -> None:
    import resource

    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    import kill_points

    if request["moment"]:
        kill_points.arm(*request["moment"])
    if request["file_limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_limit"], request["file_limit"]))
    if request["sabotage"]:
        exec(request["sabotage"], {})


def wait_until(condition: Any, seconds: float = 240) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


if __name__ == "__main__":
    serve()
