"""A real `mlflow server`, on a real PostgreSQL where there is one, on loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").is_dir() else []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


class Postgres:
    """A database cluster in a folder of its own, run by a user who is not root."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="infomcr-postgres-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user)
        self._port, self._binaries = free_port(), POSTGRES[-1]
        self._run("initdb", "-D", str(self._folder / "data"), "-A", "trust", "-U", "mlflow", "--no-sync")
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-o", options, "-w", "-l", f"{self._folder}/log", "start")
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "mlflow", "mlflow")

    @property
    def uri(self) -> str:
        """What MLflow calls it."""
        return f"postgresql+psycopg://mlflow@127.0.0.1:{self._port}/mlflow"

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which PostgreSQL's commands reach it."""
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self._port), "PGUSER": "mlflow"}

    def close(self) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        home = {"HOME": pwd.getpwnam(self._user).pw_dir} if self._user else {}
        done = subprocess.run(
            command,
            user=self._user,
            cwd=self._folder,
            env={**os.environ, **home},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()


class Server:
    """`mlflow server` on a port of its own, in front of a database."""

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self._folder, self._database = folder, database or f"sqlite:///{folder}/server.db"
        self._process: psutil.Popen | None = None

    def start(self) -> None:
        options = ["--backend-store-uri", self._database, "--artifacts-destination", str(self._folder / "served")]
        where = ["--host", "127.0.0.1", "--port", str(self._port), "--workers", "2"]
        settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with open(self._folder / "server.log", "ab") as log:
            command = [sys.executable, "-m", "mlflow", "server", *where, *options]
            self._process = psutil.Popen(command, env={**os.environ, **settings}, stdout=log, stderr=log)
        wait_until(self.answers, 240)

    def answers(self) -> bool:
        try:
            return bool(urllib.request.urlopen(f"{self.uri}/health", timeout=5).status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        if self._process is None or not self._process.is_running():
            return
        for process in [*self._process.children(recursive=True), self._process]:
            process.kill()
        self._process.wait()
