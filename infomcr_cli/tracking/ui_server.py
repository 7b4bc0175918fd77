"""The process of the MLflow UI: started, waited for, quiet, and ended with the command that started it."""

from __future__ import annotations

import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from infomcr_cli.console.redaction import redact
from infomcr_cli.errors import RunFailedError
from infomcr_cli.tracking.ui import UiCommand

LINES_KEPT = 40
GRACE = 5.0  # seconds that the server has to end
_TICK = 0.2


class UiServer:
    """A server that has been started.

    What it prints while it starts, warnings of its own libraries and the like, is shown only if it does not come up.
    """

    def __init__(self, process: psutil.Popen, address: str, say: Callable[[str], None]) -> None:
        self._process, self._address, self._say = process, address, say
        self._held: deque[str] = deque(maxlen=LINES_KEPT)
        self._answers = threading.Event()
        # A thread reads all the time: a full pipe would stop the server.
        self._reader = threading.Thread(target=self._read, name="infomcr-ui", daemon=True)
        self._reader.start()

    def wait_until_it_answers(self) -> None:
        """Return once the server answers.

        Raises:
            RunFailedError: it ended before.
        """
        while not answers(f"{self._address}/health"):
            if self._process.poll() is not None:
                self._reader.join(GRACE)
                for line in self._held:
                    self._say(line)
                raise RunFailedError(f"The MLflow server exited with code {self._process.returncode}.")
            time.sleep(_TICK)
        self._answers.set()

    def wait(self) -> int:
        """Return the exit code of the server once it ends."""
        while (code := self._process.poll()) is None:  # a wait without a timeout would not notice a signal
            time.sleep(_TICK)
        return int(code)

    def _read(self) -> None:
        for line in self._process.stdout:
            if self._answers.is_set():
                self._say(redact(line.rstrip()))
            else:
                self._held.append(redact(line.rstrip()))


@contextmanager
def served(command: UiCommand, say: Callable[[str], None]) -> Iterator[UiServer]:
    """Start the server of a command, and end it and its workers with the block.

    Yields:
        the running server.
    """
    process = psutil.Popen(
        command.arguments,
        env=command.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the server
    )
    try:
        yield UiServer(process, command.address, say)
    finally:
        _end(process)


def answers(address: str) -> bool:
    """Return whether a server of this machine answers; no proxy is used."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _end(process: psutil.Popen) -> None:
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for one in family:
        _signal(one.terminate)
    _, alive = psutil.wait_procs(family, timeout=GRACE)
    for one in alive:
        _signal(one.kill)


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.NoSuchProcess:
        return
