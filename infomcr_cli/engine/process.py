"""Start, monitor, limit and stop the process of a job. It is never a fork of a process with TensorFlow."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from infomcr_cli.console.redaction import redact
from infomcr_cli.console.text import printable
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.limits import Limits
from infomcr_cli.engine.messages import Event, Task
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, is_run
from infomcr_cli.runs.lifecycle import beats_elsewhere, close_run

COMMAND = (sys.executable, "-m", "infomcr_cli.engine.worker")
GRACE = 30.0  # seconds from SIGTERM to SIGKILL: enough for a step and a checkpoint
LONGEST_TEXT = 2**20
_log = logging.getLogger("infomcr.engine")


class JobProcess:
    """A process that imports everything at its start, then waits for one job and runs it.

    Args:
        environment: variables for it, besides this process's own.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._born = time.monotonic()
        # A file, not a pipe: nobody reads it while the process runs, and a full pipe would stop the process.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 -- until the process opens its log; `kill` closes it
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **environment},
            start_new_session=True,  # Ctrl-C reaches the sweep alone, which then stops its jobs
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)  # a poll must not wait for a process that is silent
        self._unread = b""
        self._last_words = ""
        self._ready: float | None = None
        self._given: float | None = None
        self._ended: Event | None = None
        self._ending: tuple[State, str] | None = None
        self._kill_at: float | None = None
        self._job: Job | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it has imported everything."""
        self._read_events()
        return self._ready is not None

    def give(self, job: Job, task: Task, limits: Limits) -> None:
        """Send the job to the process; if it died meanwhile, `poll` reports it."""
        self._job, self._limits, self._given = job, limits, time.monotonic()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(task.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()

    def poll(self) -> Outcome | None:
        """Enforce the limits, and return the outcome of the job if it has ended."""
        self._read_events()
        if not self._has_ended():
            self._enforce_limits()
            return None
        self._read_events()  # again: it may have reported and ended since the first reading
        self.kill()
        return self._outcome(self._process.returncode)

    def stop(self, state: State, reason: str, *, grace: float = GRACE) -> None:
        """Ask the job to stop after the current step; kill it after `grace` seconds."""
        if self._ending is None:
            self._ending = (state, reason)
            self._signal(signal.SIGTERM)
        kill_at = time.monotonic() + grace
        self._kill_at = kill_at if self._kill_at is None else min(self._kill_at, kill_at)

    def kill(self) -> None:
        """Kill the process and its process group, and close its pipes."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._note_last_words()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()

    def _read_events(self) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.closed:
            return
        while chunk := self._process.stdout.read(65536):  # None: nothing to read now; empty: the pipe is closed
            self._unread += chunk
        *lines, self._unread = self._unread.split(b"\n")
        for event in map(Event.model_validate_json, lines):
            if event.kind == "ready":
                self._ready = event.at or time.monotonic()
            else:
                self._ended = event

    def _enforce_limits(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now > self._kill_at:
            self._signal(signal.SIGKILL)
        if self._given is None or self._ending is not None:
            return
        if self._limits.timeout is not None and now - self._given > self._limits.timeout:
            self.stop(State.FAILED, f"it exceeded engine.timeout={self._limits.timeout:g} seconds", grace=5.0)
        elif self._limits.memory is not None and (used := self._memory()) > self._limits.memory:
            reason = f"it used {used / 1e9:.2f} GB, more than engine.memory={self._limits.memory / 1e9:g} GB allows"
            self.stop(State.FAILED, reason, grace=0.0)

    def _memory(self) -> int:
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def _has_ended(self) -> bool:
        """Return whether the process has ended; its exit code stays to be read, and its number is not used again."""
        if self._process.returncode is not None:
            return True
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # SIGCHLD is ignored, as after `trap '' CHLD` in a shell: the kernel kept nothing
            return True

    def _signal(self, number: int) -> None:
        """Signal the process and its process group, which may outlive it; it leads its own session."""
        if self._process.returncode is None:  # afterwards the number may be that of another process
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _outcome(self, code: int) -> Outcome:
        assert self._job is not None
        state, reason, is_lost = self._how_it_ended(code)
        # A run on which a process of another machine works is left to that process.
        failed = not is_lost and state is State.FAILED and not works_elsewhere(self._job.run)
        if self._ending is not None or failed:
            close(self._job, state, reason)
        startup: float | None = None
        waited: float | None = None
        if self._ready is not None and self._given is not None:
            startup, waited = self._ready - self._born, max(0.0, self._ready - self._given)
        return Outcome(self._job, state, reason, is_lost, startup, waited, time.monotonic() - (self._given or 0.0))

    def _how_it_ended(self, code: int) -> tuple[State, str | None, bool]:
        if self._ended is not None and self._ended.state is State.FINISHED:  # even if it was to stop meanwhile
            return State.FINISHED, None, False
        if self._ending is not None:
            return *self._ending, False
        if self._ended is not None:
            return self._ended.state or State.FAILED, self._ended.reason, False
        return State.LOST, f"{_exit_reason(code)}{self._last_words}", True

    def _note_last_words(self) -> None:
        """Keep the last line of a process that died before it had a log, such as that of a failed import."""
        if self._errors.closed:
            return
        with self._errors as file:
            file.seek(0)
            lines = [line for line in file.read(LONGEST_TEXT).decode(errors="replace").splitlines() if line.strip()]
        if lines and self._ready is None:
            self._last_words = f": {printable(redact(lines[-1]), 300)}"


def works_elsewhere(run: Path) -> bool:
    """Return whether a process of another machine works on a run, which the locks of this machine may not show."""
    with suppress(InputError, OSError):
        return is_run(run) and beats_elsewhere(RunDirectory.open(run)) is not None
    return False


def close(job: Job, state: State, reason: str | None) -> None:
    """Record how a run ended if its process could not, or reported less than is known here.

    If another process holds the run, or its directory cannot be written, the run stays as it is, with a warning: a
    sweep must not end by that.
    """
    if not is_run(job.run):
        return
    try:
        close_run(RunDirectory.open(job.run), state, reason)
    except (InputError, OSError) as error:
        _log.warning("Could not update %s, whose job is %s: %s", job.run.name, state, redact(str(error)))


def _exit_reason(code: int) -> str:
    if code >= 0:
        return f"its process exited with code {code} without reporting a result"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{hint}"
