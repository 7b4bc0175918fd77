"""MLflow mirrors the directory: repeated it adds nothing, cut off it catches up, and it never bothers training."""

from __future__ import annotations

import json
import logging
import math
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from infomcr_cli.errors import InputError
from infomcr_cli.runs import MetricsLog, RunDirectory, State, finished, lock_run, new_status, read_status, write_status
from infomcr_cli.tracking.background import Mirror
from infomcr_cli.tracking.client import Progress, connect
from infomcr_cli.tracking.parents import end_parent, log_comparison, run_directories_of_experiment, start_parent
from infomcr_cli.tracking.store import (
    NETWORK_FILE_SYSTEMS,
    Store,
    file_system_of,
    store_of,
    warn_of_network_file_system,
)
from infomcr_cli.tracking.sync import mirror


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new SQLite store: creating one takes seconds, copying it none."""
    folder = tmp_path_factory.mktemp("template")
    connect(store_of(None, "infomcr", folder / "runs"))
    return folder / "mlflow" / "mlflow.db"


def place(empty_store: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(empty_store, path)


@pytest.fixture
def store(run: RunDirectory, empty_store: Path) -> Store:
    place(empty_store, run.path.parent.parent / "mlflow" / "mlflow.db")
    return store_of(None, "infomcr", run.path.parent)


def train(run: RunDirectory, steps: range, *, shift: float = 0.0) -> None:
    log = MetricsLog(run)
    for step in steps:
        log.append(
            step, step // 2, {"train/loss": 1 / (1 + step) + shift, "odd": math.nan}, {"time": time.time(), "s": 0.1}
        )


def end(run: RunDirectory, state: State = State.FINISHED, reason: str | None = None) -> None:
    write_status(run, finished(read_status(run), state, reason))


def history(client: Any, run_id: str, key: str = "train/loss") -> list[tuple[int, float]]:
    return [(item.step, item.value) for item in client.get_metric_history(run_id, key)]


def everything(client: Any, run_id: str) -> dict[str, Any]:
    data = client.get_run(run_id).data
    return {
        "params": data.params,
        "tags": data.tags,
        "metrics": {key: sorted(map(str, history(client, run_id, key))) for key in data.metrics},
    }


def test_the_mirror_holds_what_the_directory_holds(run: RunDirectory, store: Store) -> None:
    train(run, range(5))
    (run.plots / "spectrum.png").write_bytes(b"png")
    run.measures.write_text("{}")
    end(run, State.FAILED, "loss is nan at step 5")
    run_id = mirror(run, store)
    client = connect(store)
    mirrored = client.get_run(run_id)
    assert history(client, run_id) == [(step, 1 / (1 + step)) for step in range(5)]
    assert mirrored.data.params["model.depth"] == "10"
    assert mirrored.data.tags["infomcr.model"] == "wrn"
    assert mirrored.data.tags["infomcr.reason"] == "loss is nan at step 5"
    assert mirrored.info.status == "FAILED"
    assert mirrored.info.start_time == int(1000 * (read_status(run).started or 0))
    assert mirrored.info.artifact_uri.startswith((run.path.parent.parent / "mlflow" / "artifacts").as_uri())
    names = {item.path for item in client.list_artifacts(run_id)} | {
        i.path for i in client.list_artifacts(run_id, "plots")
    }
    assert names >= {"config.yaml", "measures.json", "plots", "plots/spectrum.png"}
    assert read_status(run).mlflow_run_id == run_id


def test_mirroring_twice_adds_nothing_to_any_store(
    run: RunDirectory, store: Store, tmp_path: Path, empty_store: Path
) -> None:
    place(empty_store, tmp_path / "other.db")
    train(run, range(4))
    end(run)
    client = connect(store)
    first = everything(client, mirror(run, store))
    run_id = mirror(run, store)
    assert everything(client, run_id) == first
    other = store_of(f"sqlite:///{tmp_path}/other.db", "infomcr", run.path.parent)
    elsewhere = everything(connect(other), mirror(run, other))
    assert elsewhere["metrics"] == first["metrics"]
    assert elsewhere["params"] == first["params"]
    assert len(client.search_runs([client.get_experiment_by_name("infomcr").experiment_id])) == 1


def test_a_resumed_run_is_logged_once_though_its_clock_differs(run: RunDirectory, store: Store) -> None:
    train(run, range(6))
    with lock_run(run):
        run_id = mirror(run, store)
        MetricsLog(run).truncate_after(3)
        progress = Progress()
        assert mirror(run, store, progress=progress) == run_id
        train(run, range(4, 8))
        end(run)
        assert mirror(run, store, progress=progress) == run_id
    client = connect(store)
    assert history(client, run_id) == [(step, 1 / (1 + step)) for step in range(8)]
    assert len(history(client, run_id, "timing/s")) == 8


@pytest.mark.parametrize("reads_first", [False, True])
def test_one_process_follows_a_run_that_another_took_up_again(
    run: RunDirectory, store: Store, reads_first: bool
) -> None:
    """As a sweep does: its job is killed and tried again, and the metrics grow anew from a checkpoint."""
    progress, log = Progress(), MetricsLog(run)
    train(run, range(6))
    with lock_run(run):
        run_id = mirror(run, store, progress=progress)
    log.truncate_after(2)
    if reads_first:
        with lock_run(run):
            mirror(run, store, progress=progress)
    for step in range(3, 9):
        log.append(step, step // 2, {"train/loss": 1 / (1 + step), "odd": math.nan}, {"time": 1e9 + step, "s": 1 / 3})
    end(run)
    assert mirror(run, store, progress=progress) == run_id
    client = connect(store)
    assert sorted(history(client, run_id)) == [(step, 1 / (1 + step)) for step in range(9)]
    assert len(history(client, run_id, "timing/s")) == 9
    assert client.get_run(run_id).info.status == "FINISHED"


def test_the_state_is_pushed_though_a_file_cannot_be_read(run: RunDirectory, store: Store) -> None:
    progress = Progress()
    train(run, range(3))
    with lock_run(run):
        run_id = mirror(run, store, progress=progress)
    with open(run.metrics, "ab") as file:
        file.write(b"no line of ours\n")
    end(run, State.FAILED, "it broke")
    client = connect(store)
    assert client.get_run(run_id).info.status == "RUNNING"
    with pytest.raises(InputError, match=r"metrics\.jsonl"):
        mirror(run, store, progress=progress)
    assert client.get_run(run_id).info.status == "FAILED"
    assert progress.state is State.FAILED


def test_a_mirror_that_contradicts_the_directory_is_made_anew(run: RunDirectory, store: Store) -> None:
    train(run, range(4))
    end(run)
    stale = mirror(run, store)
    run.metrics.unlink()
    train(run, range(4), shift=1.0)
    anew = mirror(run, store)
    client = connect(store)
    assert anew != stale
    assert history(client, anew)[0] == (0, 2.0)
    assert client.get_run(stale).info.lifecycle_stage == "deleted"
    MetricsLog(run).truncate_after(1)
    assert len(history(client, mirror(run, store))) == 2


def test_what_was_measured_is_logged_once_and_the_latest_counts(run: RunDirectory, store: Store) -> None:
    def measure(gamma: float) -> None:
        entry = {"step": 60, "gap": {"error": 0.1}, "measures": {"gamma": {"value": gamma}, "<b>": {"value": None}}}
        run.measures.write_text(json.dumps({"checkpoints": {"last": entry, "epoch-0001": entry | {"step": 20}}}))

    train(run, range(2))
    end(run)
    measure(-5.0)
    client = connect(store)
    assert mirror(run, store) == mirror(run, store)
    run_id = mirror(run, store)
    assert sorted(history(client, run_id, "eval/gamma")) == [(20, -5.0), (60, -5.0)]
    measure(-7.0)
    time.sleep(0.01)
    assert mirror(run, store) == run_id
    assert client.get_run(run_id).data.metrics["eval/gamma"] == -7.0
    assert client.get_run(run_id).data.metrics["eval/gap_error"] == 0.1


def test_a_model_whose_making_was_cut_off_is_completed(run: RunDirectory, store: Store) -> None:
    client = connect(store)

    class CutOff:
        """Answers no more once it has created a model."""

        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def finalize_logged_model(self, *arguments: Any) -> None:
            raise ConnectionError("gone")

    end(run)
    run.measures.write_text(json.dumps({"checkpoints": {"last": {"step": 60}}}))
    with pytest.raises(ConnectionError):
        mirror(run, store, client=CutOff())
    for _ in range(2):
        found = client.get_run(mirror(run, store))
        (model,) = client.search_logged_models([found.info.experiment_id])
        assert str(model.status) == "READY"
        assert [(one.model_id, one.step) for one in found.outputs.model_outputs] == [(model.model_id, 60)]


def test_infinite_metrics_and_long_values_are_mirrored(run: RunDirectory, store: Store) -> None:
    run.config.write_text(f"model: {{name: wrn, note: {'x' * 9000}}}\n'odd key!': 1\n")
    MetricsLog(run).append(0, 0, {"a": math.inf, "b": -math.inf}, {"time": 1.0})
    end(run)
    assert mirror(run, store) == mirror(run, store)


def test_an_id_claimed_by_another_run_is_not_believed(run: RunDirectory, store: Store, tmp_path: Path) -> None:
    end(run)
    mine = mirror(run, store)
    status = new_status("x").model_copy(update={"mlflow_run_id": mine, "state": State.FINISHED})
    other = RunDirectory.create(tmp_path / "runs" / "b", config=b"seed: 666\n", overrides=[], status=status)
    assert mirror(other, store) != mine
    assert connect(store).get_run(mine).data.params["seed"] == "0"


def test_no_password_reaches_mlflow(run: RunDirectory, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "t0k3n-of-the-user")
    run.config.write_text("tracking: {uri: 'http://ann:s3cr3t@host/?token=abc'}\nnote: t0k3n-of-the-user\n")
    end(run, State.FAILED, "cannot reach http://ann:s3cr3t@host/ with t0k3n-of-the-user")
    text = json.dumps(everything(connect(store), mirror(run, store)))
    assert "s3cr3t" not in text
    assert "t0k3n" not in text
    assert "http://***@host" in text


def test_a_parent_is_made_once_and_comparisons_link_their_runs(run: RunDirectory, store: Store, tmp_path: Path) -> None:
    parent = start_parent(store, "sweep", "f" * 32)
    assert start_parent(store, "sweep", "f" * 32) == parent
    end(run)
    run_id = mirror(run, store, tags={"mlflow.parentRunId": parent})
    end_parent(store, parent, State.FINISHED)
    (tmp_path / "table.csv").write_text("a\n1\n")
    compared = log_comparison(store, "compare", [run], {"tau": 0.5, "bad": math.nan}, [tmp_path / "table.csv"])
    client = connect(store)
    assert client.get_run(run_id).data.tags["mlflow.parentRunId"] == parent
    assert client.get_run(parent).info.status == "FINISHED"
    assert client.get_run(compared).data.tags["infomcr.compared"] == run_id
    assert client.get_run(compared).data.metrics == {"tau": 0.5}
    assert [item.path for item in client.list_artifacts(compared)] == ["compared.txt", "table.csv"]
    assert client.get_run(compared).info.status == "FINISHED"
    assert run_directories_of_experiment(store) == [run.path]


def test_a_comparison_of_many_runs_lists_all_of_them(
    run: RunDirectory, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infomcr_cli.tracking.parents.MAX_TAG", 70)
    end(run)
    run_id = mirror(run, store)
    client = connect(store)
    mirrored = client.get_run(log_comparison(store, "compare", [run] * 3, {}, []))
    assert mirrored.data.tags["infomcr.compared"] == f"{run_id},{run_id}"
    folder = Path(mirrored.info.artifact_uri.removeprefix("file://"))
    assert (folder / "compared.txt").read_text().split() == [run_id] * 3


@pytest.mark.parametrize(("error", "status"), [(OSError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_comparison_that_is_cut_off_is_not_left_running(
    run: RunDirectory, store: Store, error: type[BaseException], status: str
) -> None:
    def artifacts() -> Iterator[Path]:
        raise error
        yield

    end(run)
    with pytest.raises(error):
        log_comparison(store, "compare", [run], {"tau": 0.5}, artifacts())
    client = connect(store)
    (mirrored,) = client.search_runs([client.get_experiment_by_name("infomcr").experiment_id])
    assert mirrored.info.status == status


class LostAnswers(BaseHTTPRequestHandler):
    """Hears every request and answers none."""

    heard: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.heard.append(self.path)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None: ...


def test_a_request_whose_answer_is_lost_is_not_sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), LostAnswers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = connect(Store(f"http://127.0.0.1:{server.server_port}", "infomcr"))
        with pytest.raises(Exception, match=r"Connection aborted|Max retries"):
            client.create_run("0")
        server.shutdown()
    assert [path for path in LostAnswers.heard if path.endswith("runs/create")] == ["/api/2.0/mlflow/runs/create"]


def test_a_run_that_was_made_though_the_answer_was_lost_is_found_again(run: RunDirectory, store: Store) -> None:
    client = connect(store)

    class Forgetful:
        """Creates runs and does not say so."""

        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def create_run(self, *arguments: Any, **named: Any) -> None:
            client.create_run(*arguments, **named)
            raise ConnectionError("the answer was lost")

    end(run)
    with pytest.raises(ConnectionError):
        mirror(run, store, client=Forgetful())
    run_id = mirror(run, store)
    found = client.search_runs([client.get_experiment_by_name("infomcr").experiment_id])
    assert [item.info.run_id for item in found] == [run_id]


def test_the_background_mirror_asks_a_store_that_answered_until_now_twice(
    run: RunDirectory, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []

    def hiccup(self: Mirror) -> None:
        calls.append(self._is_closing.is_set())
        if calls.count(True) == 1:
            raise ConnectionError("an answer was lost")
        self._complete = self._is_closing.is_set()
        self._note_success()

    monkeypatch.setattr(Mirror, "_push", hiccup)
    background = Mirror(run, store)
    background.notify()
    deadline = time.monotonic() + 20
    while not calls and time.monotonic() < deadline:
        time.sleep(0.005)
    assert background.close()
    assert calls == [False, True, True]


def test_the_background_mirror_follows_and_closes(run: RunDirectory, store: Store) -> None:
    with lock_run(run):
        background = Mirror(run, store)
        for epoch in range(3):
            train(run, range(2 * epoch, 2 * epoch + 2))
            background.notify()
            write_status(run, read_status(run).model_copy(update={"epoch": epoch}))
        end(run)
        assert background.close()
    status = read_status(run)
    client = connect(store)
    assert status.epoch == 2
    assert len(history(client, str(status.mlflow_run_id))) == 6
    assert client.get_run(status.mlflow_run_id).info.status == "FINISHED"


@pytest.mark.parametrize("answers", [True, False])
def test_a_server_is_waited_for_while_it_answers(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    def mirror(run: RunDirectory, store: Store, *, client: Any, **others: Any) -> None:
        for _ in range(20 if answers else 1):
            time.sleep(0.1 if answers else 2.0)
            client.log_batch()

    monkeypatch.setattr("infomcr_cli.tracking.client.connect", lambda store: SimpleNamespace(log_batch=lambda: None))
    monkeypatch.setattr("infomcr_cli.tracking.sync.mirror", mirror)
    background = Mirror(run, Store("http://127.0.0.1:9", "infomcr"))
    assert background.close(patience=1.0, limit=60.0) is answers


def test_a_missing_server_delays_training_little_and_is_reported_once(
    run: RunDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    store = store_of("http://ann:s3cr3t@127.0.0.1:9", "infomcr", run.path.parent)
    with caplog.at_level(logging.WARNING), lock_run(run):
        background = Mirror(run, store)
        for _ in range(100):
            background.notify()
        end(run)
        began = time.monotonic()
        assert not background.close()
    assert time.monotonic() - began < 6
    assert f"infomcr sync {run.path}" in caplog.text  # from whatever folder it is typed
    assert "s3cr3t" not in caplog.text


WRITER = """
import logging, sys, time
from infomcr_cli.runs import MetricsLog, RunDirectory, State, finished, lock_run, new_status, write_status
from infomcr_cli.tracking.background import Mirror
from infomcr_cli.tracking.store import store_of
parent, number = sys.argv[1], sys.argv[2]
status = new_status("ab")
run = RunDirectory.create(f"{parent}/runs/{number}", config=b"seed: 0\\n", overrides=[], status=status)
with lock_run(run):
    mirror = Mirror(run, store_of(None, "infomcr", run.path.parent))
    for step in range(20):
        MetricsLog(run).append(step, step, {f"m{i}": step + i for i in range(10)}, {"time": time.time()})
        mirror.notify()
        time.sleep(0.01)
    write_status(run, finished(status, State.FINISHED))
    assert mirror.close(patience=100, limit=100)
"""


@pytest.mark.faults
def test_eight_runs_at_once_on_a_new_store(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE, text=True) for n in range(8)]
    errors = [writer.communicate(timeout=200)[1] for writer in writers]
    assert errors == [""] * 8
    assert [writer.returncode for writer in writers] == [0] * 8
    client = connect(store_of(None, "infomcr", tmp_path / "runs"))
    experiments = [item for item in client.search_experiments() if item.name == "infomcr"]
    assert len(experiments) == 1
    runs = client.search_runs([experiments[0].experiment_id])
    assert len(runs) == 8
    for mirrored in runs:
        assert mirrored.info.status == "FINISHED"
        for i in range(10):
            assert history(client, mirrored.info.run_id, f"m{i}") == [(step, step + i) for step in range(20)]
    figures = {"runs": len(runs), "experiments": 1, "metrics": 8 * 10 * 20, "metrics_lost": 0}
    record_property("observed", json.dumps(["8 at once on a new SQLite store", figures]))


CREATOR = """
import sys
from infomcr_cli.tracking.store import store_of
from infomcr_cli.tracking.client import connect
connect(store_of(None, "infomcr", sys.argv[1] + "/runs"))
"""


@pytest.mark.parametrize("seconds", [0.05, 0.3, 0.6])
def test_a_process_killed_while_it_makes_the_store_spoils_nothing(tmp_path: Path, seconds: float) -> None:
    temporary = tmp_path / "mlflow" / ".mlflow.db.new"
    process = subprocess.Popen([sys.executable, "-c", CREATOR, str(tmp_path)])
    deadline = time.monotonic() + 120
    while not temporary.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(seconds)
    process.kill()
    process.wait()
    assert temporary.exists() or seconds > 0.1, "killed too late to show anything"
    client = connect(store_of(None, "infomcr", tmp_path / "runs"))
    assert [item.name for item in client.search_experiments()] == ["Default"]
    assert sorted(item.name for item in temporary.parent.iterdir()) == [".mlflow.db.lock", "mlflow.db"]


@pytest.mark.parametrize(
    "uri", ["foo", "ftp://x", "javascript://x", "", "./mlruns", "htp://host", "http://", "https:///x"]
)
def test_an_invalid_tracking_uri_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match=r"tracking\.uri"):
        store_of(uri, "infomcr", "runs")


@pytest.mark.parametrize("folder", ["with space", "ünï-Ω", "a'b", "ü 日本"])
def test_the_store_may_be_in_any_folder(tmp_path: Path, folder: str, empty_store: Path) -> None:
    place(empty_store, tmp_path / folder / "mlflow" / "mlflow.db")
    status = new_status("ab").model_copy(update={"state": State.FINISHED})
    run = RunDirectory.create(tmp_path / folder / "runs" / "a", config=b"seed: 0\n", overrides=[], status=status)
    store = store_of(None, "infomcr", run.path.parent)
    run_id = mirror(run, store)
    assert [item.path for item in connect(store).list_artifacts(run_id)] == ["config.yaml", "overrides.yaml"]
    assert (tmp_path / folder / "mlflow" / "artifacts").is_dir()
    assert (tmp_path / folder / "mlflow" / "mlflow.db").is_file()


def test_sqlite_on_a_network_file_system_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert file_system_of(tmp_path) not in NETWORK_FILE_SYSTEMS | {"unknown"}
    assert not warn_of_network_file_system(tmp_path)
    monkeypatch.setattr("infomcr_cli.tracking.store.file_system_of", lambda path: "nfs4")
    assert warn_of_network_file_system(tmp_path)
    assert "mlflow server" in caplog.text


def test_a_metric_of_the_users_own_at_a_later_step_stays(run: RunDirectory, store: Store) -> None:
    train(run, range(4))
    end(run)
    run_id, client = mirror(run, store), connect(store)
    client.log_metric(run_id, "robust_accuracy", 0.7, step=20)
    assert mirror(run, store) == run_id
    assert history(client, run_id, "robust_accuracy") == [(20, 0.7)]
