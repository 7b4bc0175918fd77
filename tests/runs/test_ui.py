"""The UI serves the right store to this machine alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from infomcr_cli.errors import InputError, RunFailedError
from infomcr_cli.tracking.client import connect, experiment_id
from infomcr_cli.tracking.store import store_of
from infomcr_cli.tracking.ui import UiCommand, check_port, ui_command
from infomcr_cli.tracking.ui_server import UiServer, answers, served
from infomcr_cli.ui import UiRequest, ui


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
        with pytest.raises(InputError, match=f"is not free.*{port}"):
            check_port(port)
    check_port(port)


def test_the_uri_is_not_on_the_command_line(tmp_path: Path) -> None:
    command = ui_command(store_of("postgresql://ann:s3cr3t@db/mlflow", "infomcr", tmp_path))
    assert "s3cr3t" not in " ".join(command.arguments)
    assert command.environment["MLFLOW_BACKEND_STORE_URI"] == "postgresql://ann:s3cr3t@db/mlflow"


SERVER = """
import http.server, sys
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *words): print("ERROR a request failed", flush=True)
print("DeprecationWarning: noise of a start", flush=True)
if {ends}: sys.exit(3)
http.server.HTTPServer(("127.0.0.1", {port}), Answers).serve_forever()
"""


def stand_in(port: int, *, ends: bool = False) -> UiCommand:
    """A command whose server is ready in an instant."""
    code = SERVER.format(port=port, ends=ends)
    return UiCommand((sys.executable, "-c", code), dict(os.environ), f"http://127.0.0.1:{port}")


def test_noise_of_the_start_is_dropped_and_errors_are_shown() -> None:
    said: list[str] = []
    command = stand_in(free_port())
    with served(command, said.append) as server:
        server.wait_until_it_answers()
        assert answers(command.address)
        deadline = time.monotonic() + 10
        while not said and time.monotonic() < deadline:
            time.sleep(0.05)
    assert {*said} == {"ERROR a request failed"}
    assert not answers(command.address)  # it ended with the block


def test_a_server_that_does_not_come_up_shows_what_it_printed() -> None:
    said: list[str] = []
    with served(stand_in(free_port(), ends=True), said.append) as server, pytest.raises(RunFailedError, match="code 3"):
        server.wait_until_it_answers()
    assert said == ["DeprecationWarning: noise of a start"]


@pytest.mark.parametrize("opens", [False, True])
def test_ui_names_the_table_of_each_experiment_latest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], opens: bool
) -> None:
    opened: list[str] = []
    store = store_of(None, "infomcr", tmp_path / "runs")
    client = connect(store)
    for name in ("early", "empty", "late"):
        found = client.create_experiment(name)
        if name != "empty":
            client.create_run(found, start_time=1000 if name == "early" else 2000)
    port = free_port()
    monkeypatch.setattr("infomcr_cli.ui.ui_command", lambda *_: stand_in(port))
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(UiServer, "wait", lambda _: 0)
    assert ui(UiRequest(tmp_path / "runs", port=port, opens=opens, as_json=True), Console(stderr=True, width=80)) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["address"] == f"http://127.0.0.1:{port}"
    assert [one["name"] for one in document["experiments"]] == ["late", "early"]
    first = document["experiments"][0]["address"]
    assert first == f"http://127.0.0.1:{port}/#/experiments/3/runs?workflowType=machine_learning"
    assert all(one["address"] in printed.err for one in document["experiments"])
    assert opened == ([first] if opens else [])


def test_a_signal_ends_the_server_and_what_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(store_of(None, "infomcr", tmp_path / "runs"))
    port = free_port()
    monkeypatch.setattr("infomcr_cli.ui.ui_command", lambda *_: stand_in(port))
    monkeypatch.setattr(UiServer, "wait", lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert ui(UiRequest(tmp_path / "runs", port=port), Console(stderr=True)) == 143
    assert not answers(f"http://127.0.0.1:{port}")


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
