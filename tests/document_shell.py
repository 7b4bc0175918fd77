"""Blocks of the documents that only a shell can run, and the servers that they start, each on a free port."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.engine.servers import free_port

ROOT = Path(__file__).resolve().parents[1]
OPERATORS = {"|", "&&", "||", ">", ">>", "<", "&", ";"}
# What serves until it is stopped → the port that it takes if none is given, and the page that says that it serves.
SERVERS = {
    ("infomcr", "ui"): (5000, "/"),
    ("mlflow", "server"): (5000, "/health"),
    ("mlflow", "models"): (5000, "/ping"),
    ("tensorboard",): (6006, "/"),
}
_PORT = re.compile(r"(--port[ =])(\d+)")
_SECONDS = 240  # within which a server answers, on a machine with much other work


def server_of(words: Sequence[str]) -> tuple[int, str] | None:
    """Return the usual port and a page of a command that serves; None for any other command."""
    return next((found for start, found in SERVERS.items() if tuple(words[: len(start)]) == start), None)


def is_for_a_shell(words: Sequence[str], programs: set[str]) -> bool:
    """Return whether a command is more than a program of some names and its arguments."""
    return words[0] not in programs or bool(OPERATORS & {*words})


@dataclass
class Shell:
    """Runs what a page shows in the folder of its reader.

    Args:
        replaced:    what stands in the page → what stands for it here, such as addresses.
        environment: variables beside those of this process.
    """

    replaced: dict[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    _servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def here(self, text: str) -> str:
        """Return what a page shows as it is run here."""
        for shown, real in self.replaced.items():
            text = text.replace(shown, real)
        return text

    def run(self, code: str, added: Mapping[str, Sequence[str]], typed: str) -> subprocess.CompletedProcess[str]:
        """Run lines by bash; the first that fails ends it.

        Args:
            added: program → words that each of its commands gets; of infomcr only those that train or measure.
            typed: lines on standard input.
        """
        script = "\n".join(("set -euo pipefail", *_functions(added), code))
        return subprocess.run(
            ["bash", "-c", script],
            input=typed,
            capture_output=True,
            text=True,
            env=self._variables(),
            start_new_session=True,  # no terminal that a password could be read from
            check=False,
            timeout=3000,
        )

    def serve(self, words: Sequence[str], exports: Sequence[str] = ()) -> None:
        """Start a server, wait until it answers, and let what the page says of its port mean this one."""
        found = server_of(words)
        assert found is not None
        port, page = free_port(), found[1]
        text = shlex.join(words)
        shown = int(match[2]) if (match := _PORT.search(text)) else found[0]
        text = _PORT.sub(rf"\g<1>{port}", text) if match else f"{text} --port {port}"
        with open(f"server-{port}.log", "wb") as log:
            script = "\n".join((*exports, f"exec {text}"))
            process = subprocess.Popen(
                ["bash", "-c", script], env=self._variables(), stdout=log, stderr=log, start_new_session=True
            )
        self._servers.append(process)
        _wait_for(f"http://127.0.0.1:{port}{page}", process, Path(f"server-{port}.log"))
        self.replaced[f"127.0.0.1:{shown}"] = f"127.0.0.1:{port}"

    def close(self) -> None:
        """End the servers as Ctrl-C would; those that do not end are killed."""
        for process in self._servers:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
        for process in self._servers:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._servers.clear()

    def _variables(self) -> dict[str, str]:
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        own = {"PATH": path, "PYTHONPATH": str(ROOT), "BROWSER": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
        return {**os.environ, **own, **self.environment}


def _functions(added: Mapping[str, Sequence[str]]) -> list[str]:
    """Return functions that add words to the commands of a program, and one for a browser, which only requests."""
    lines = [f'xdg-open() {{ {shlex.quote(sys.executable)} -c {shlex.quote(_REQUEST)} "$1"; }}']
    for program, words in added.items():
        if words:
            more = shlex.join(words)
            measuring = shlex.join(word for word in words if word.startswith("measure."))
            cases = f'train|sweep) command infomcr "$@" {more} ;; eval|audit) command infomcr "$@" {measuring} ;;'
            cases += ' *) command infomcr "$@" ;;'
            body = f'case "$1" in {cases} esac' if program == "infomcr" else f'command {program} "$@" {more}'
            lines.append(f"{program}() {{ {body}; }}")
    return lines


_REQUEST = "import sys, urllib.request; assert urllib.request.urlopen(sys.argv[1]).status == 200"


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once a page is there; fail if the server ends or never serves it."""
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with suppress(OSError), urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.status == 200
            return
        time.sleep(0.3)
    raise AssertionError(f"{address} never answered\n{log.read_text()}")
