"""The UI serves the right store to this machine alone."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from infomcr_cli.errors import InputError
from infomcr_cli.tracking.client import connect, experiment_id
from infomcr_cli.tracking.store import store_of
from infomcr_cli.tracking.ui import check_port, ui_command


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_without_a_store_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Train a run first"):
        ui_command(store_of(None, "infomcr", tmp_path / "runs"))
    with pytest.raises(InputError, match=r"http://\*\*\*@host"):
        ui_command(store_of("http://a:b@host", "infomcr", tmp_path))


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"must be free.*{port}"):
            check_port(port)
    check_port(port)


def test_the_uri_is_not_on_the_command_line(tmp_path: Path) -> None:
    command = ui_command(store_of("postgresql://ann:s3cr3t@db/mlflow", "infomcr", tmp_path))
    assert "s3cr3t" not in " ".join(command.arguments)
    assert command.environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql://ann:s3cr3t@db/mlflow"


@pytest.mark.faults
def test_a_real_server_listens_on_loopback_only(tmp_path: Path) -> None:
    store = store_of(None, "ours", tmp_path / "runs")
    experiment_id(connect(store), store)
    command = ui_command(store, free_port())
    server = psutil.Popen(
        command.arguments, env=command.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        assert wait_for(f"{command.address}/health")
        address = f"{command.address}/ajax-api/2.0/mlflow/experiments/get-by-name?experiment_name=ours"
        assert b"ours" in urllib.request.urlopen(address, timeout=20).read()
        listening = {
            connection.laddr.ip
            for process in [server, *server.children(recursive=True)]
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {"127.0.0.1"}
    finally:
        for process in [*server.children(recursive=True), server]:
            process.kill()
        server.wait()


def wait_for(address: str, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            return bool(urllib.request.urlopen(address, timeout=5).status == 200)
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    return False
