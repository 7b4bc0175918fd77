"""A run directory, and the MLflow store beside it, can be moved, copied, linked to and used from any folder."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import differences, recorded_run
from infomcr_cli.experiment.resolve_settings import resolved
from infomcr_cli.runs import RunDirectory, State, finished, new_status, write_status
from infomcr_cli.runs.directory import split_start
from infomcr_cli.runs.identity import identity
from infomcr_cli.tracking.client import connect
from infomcr_cli.tracking.known_stores import add_known_store, store_of_run
from infomcr_cli.tracking.moved_runs import default_store, located, located_uri, read_settings
from infomcr_cli.tracking.moved_store import settle
from infomcr_cli.tracking.parents import run_directories_of_experiment
from infomcr_cli.tracking.store import Store, store_of
from infomcr_cli.tracking.sync import mirror
from infomcr_cli.tracking.ui import ui_command


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new SQLite store: creating one takes seconds, copying it none."""
    folder = tmp_path_factory.mktemp("template")
    connect(store_of(None, "infomcr", folder / "runs"))
    return folder / "mlflow"


@pytest.fixture
def project(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with an empty store."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copytree(empty_store, folder / "mlflow")
    monkeypatch.chdir(folder)
    return folder


def make(path: str, *overrides: str) -> RunDirectory:
    """Make a finished run as training makes it, without training."""
    config = resolved(compose_run(overrides))
    add_known_store(config.tracking.uri)
    status = new_status(identity(config))
    run = RunDirectory.create(path, config=to_yaml(config), overrides=overrides, status=status)
    write_status(run, finished(status.model_copy(update=places(run)), State.FINISHED))
    return run


def places(run: RunDirectory) -> dict[str, Any]:
    status = json.loads(run.status.read_text())
    return {key: status[key] for key in ("place", "store")}


def moved(project: Path, name: str = "elsewhere") -> Path:
    """Move a project, and go to a folder that has nothing to do with it."""
    target = project.parent / name
    shutil.move(project, target)
    (project.parent / "other").mkdir(exist_ok=True)
    os.chdir(project.parent / "other")
    return target


def artifact_places(client: Any, run_id: str) -> list[str]:
    return [client.get_run(run_id).info.artifact_uri, *(e.artifact_location for e in client.search_experiments())]


def test_a_moved_project_keeps_its_artifacts_with_it(project: Path) -> None:
    run = make("runs/a")
    run_id = mirror(run, store_of_run(run))
    place = moved(project)
    run = RunDirectory.open(place / "runs" / "a")
    run.measures.write_bytes(b"{}\n")
    store = store_of_run(run)
    assert store.uri == f"sqlite:///{place}/mlflow/mlflow.db"
    assert mirror(run, store) == run_id
    client = connect(store)
    assert all(uri.startswith(f"{place.as_uri()}/mlflow/artifacts") for uri in artifact_places(client, run_id))
    found = {item.path for item in client.list_artifacts(run_id)}
    assert {"config.yaml", "measures.json"} <= found
    assert (place / "mlflow" / "artifacts" / run_id / "artifacts" / "measures.json").is_file()
    assert not project.exists()


def test_the_ui_of_a_moved_store_and_its_list_of_runs_know_the_new_place(project: Path) -> None:
    run = make("runs/a")
    run_id = mirror(run, store_of_run(run))
    place = moved(project)
    store = store_of(None, None, place / "runs")
    ui_command(store)
    with sqlite3.connect(place / "mlflow" / "mlflow.db") as database:
        uris = [uri for (uri,) in database.execute("SELECT artifact_uri FROM runs")]
    assert uris == [f"{place.as_uri()}/mlflow/artifacts/{run_id}/artifacts"]
    assert run_directories_of_experiment(store) == [place / "runs" / "a"]


def test_a_copied_project_leaves_the_original_alone(project: Path) -> None:
    run = make("runs/a")
    run_id = mirror(run, store_of_run(run))
    before = sorted(project.rglob("*")), (project / "mlflow" / "mlflow.db").read_bytes()
    copy = project.parent / "a copy Ω"
    shutil.copytree(project, copy)
    run = RunDirectory.open(copy / "runs" / "a")
    run.measures.write_bytes(b"{}\n")
    assert mirror(run, store_of_run(run)) == run_id
    assert (copy / "mlflow" / "artifacts" / run_id / "artifacts" / "measures.json").is_file()
    assert before == (sorted(project.rglob("*")), (project / "mlflow" / "mlflow.db").read_bytes())


def test_artifacts_that_a_user_keeps_elsewhere_stay_there(project: Path, tmp_path: Path) -> None:
    store = store_of(None, "mine", "runs")
    kept = (tmp_path / "large disk" / "artifacts").as_uri()
    client = connect(store)
    client.create_experiment("mine", artifact_location=kept)
    client.create_experiment("unused", artifact_location=(tmp_path / "another" / "artifacts").as_uri())
    run = make("runs/a", "tracking.experiment=mine")
    run_id = mirror(run, store_of_run(run))
    place = moved(project)
    settle(store_of(None, "mine", place / "runs"))
    client = connect(store_of(None, "mine", place / "runs"))
    assert client.get_run(run_id).info.artifact_uri.startswith(kept)
    assert client.get_experiment_by_name("unused").artifact_location == (tmp_path / "another" / "artifacts").as_uri()


def test_a_store_without_an_artifact_yet_moves_too(project: Path) -> None:
    store = store_of(None, "infomcr", "runs")
    connect(store).create_experiment("infomcr", artifact_location=store.artifacts)
    place = moved(project)
    client = connect(store_of(None, "infomcr", place / "runs"))
    assert client.get_experiment_by_name("infomcr").artifact_location == f"{place.as_uri()}/mlflow/artifacts"


def test_mlflows_own_experiment_keeps_its_artifacts_beside_the_store(project: Path, empty_store: Path) -> None:
    client = connect(store_of(None, "Default", "runs"))
    assert client.get_experiment_by_name("Default").artifact_location == f"{project.as_uri()}/mlflow/artifacts"
    with sqlite3.connect(empty_store / "mlflow.db") as database:
        (place,) = database.execute("SELECT artifact_location FROM experiments").fetchone()
    assert place == f"{empty_store.as_uri()}/artifacts"


@pytest.mark.parametrize("content", [b"", b"no database", None])
def test_a_store_that_cannot_be_read_is_left_to_mlflow(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mlflow" / "mlflow.db"
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    settle(store_of(None, None, tmp_path / "runs"))
    assert (path.read_bytes() if path.exists() else None) == content


def test_relative_paths_are_recorded_as_absolute_ones(project: Path) -> None:
    make("runs/b")
    overrides = (
        "data=npz",
        "data.root=data/x.npz",
        "data.cache=cache",
        "tracking.uri='sqlite:///x.db?timeout=5'",
        "start=runs/b",
    )
    config = yaml.safe_load(make("runs/a", *overrides).config.read_text())
    assert config["data"]["root"] == f"{project}/data/x.npz"
    assert config["data"]["cache"] == f"{project}/cache"
    assert config["tracking"]["uri"] == f"sqlite:///{project}/x.db?timeout=5"
    assert config["start"] == f"{project}/runs/b"
    assert config["runs_dir"] == f"{project}/runs"


def test_a_home_is_written_out(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert resolved(compose_run(["data=npz", "data.root='~/x'"])).data.root == "/home/ann/x"


def test_data_and_stores_are_found_from_any_folder_and_after_a_move(project: Path) -> None:
    (project / "data").mkdir()
    (project / "data" / "x.npz").touch()
    make("runs/b")
    run = make("runs/a", "data=npz", "data.root=data/x.npz", "tracking.uri=sqlite:///x.db", "start=runs/b@last")
    (project / "x.db").touch()
    os.chdir("/")
    assert store_of_run(run).uri == f"sqlite:///{project}/x.db"
    assert read_settings(run)["data"]["root"] == f"{project}/data/x.npz"
    place = moved(project)
    run = RunDirectory.open(place / "runs" / "a")
    settings = read_settings(run)
    assert settings["data"]["root"] == f"{place}/data/x.npz"
    assert settings["start"] == f"{place}/runs/b@last"
    assert settings["tracking"]["uri"] == f"sqlite:///{place}/x.db"
    assert store_of_run(run).uri == f"sqlite:///{place}/x.db"
    assert not project.exists()


def test_a_run_directory_that_was_copied_alone_still_finds_its_data(project: Path, tmp_path: Path) -> None:
    (project / "x.npz").touch()
    make("runs/a", "data=npz", "data.root=x.npz")
    shutil.copytree("runs/a", tmp_path / "deep" / "er" / "a")
    run = RunDirectory.open(tmp_path / "deep" / "er" / "a")
    assert read_settings(run)["data"]["root"] == f"{project}/x.npz"


def test_a_path_that_exists_nowhere_is_named_as_recorded(project: Path) -> None:
    run = make("runs/a", "data=npz", "data.root=x.npz")
    place = moved(project)
    assert located(RunDirectory.open(place / "runs" / "a"), f"{project}/x.npz") == f"{project}/x.npz"
    assert run.path == project / "runs" / "a"


@pytest.mark.parametrize("around", ["project", "project/runs", "other"])
def test_relative_paths_of_former_versions_are_looked_for_around_the_run(
    project: Path, tmp_path: Path, around: str
) -> None:
    run = make("runs/a")
    text = run.config.read_text().replace("root: null", "root: x.npz").replace("uri: null", "uri: sqlite:///x.db")
    run.config.write_text(text)
    (tmp_path / "other").mkdir()
    os.chdir(tmp_path / "other")
    for name in ("x.npz", "x.db"):
        (tmp_path / around / name).touch()
    settings = read_settings(run)
    assert settings["data"]["root"] == f"{tmp_path}/{around}/x.npz"
    assert settings["tracking"]["uri"] == f"sqlite:///{tmp_path}/{around}/x.db"


def test_a_recorded_name_that_mlflow_refuses_does_not_spoil_an_old_run(project: Path) -> None:
    run = make("runs/a")
    for name in ("''", "x" * 501, '"a\\tb"'):
        run.config.write_text(run.config.read_text().replace("experiment: infomcr", f"experiment: {name}"))
        assert recorded_run(read_settings(run)).tracking.experiment
        assert store_of_run(run).experiment
        run.config.write_text(run.config.read_text().replace(f"experiment: {name}", "experiment: infomcr"))


def test_a_long_name_of_an_experiment_is_the_same_in_training_and_afterwards(project: Path) -> None:
    name = "x" * 500
    assert store_of_run(make("runs/a", f"tracking.experiment={name}")).experiment == name


@pytest.mark.parametrize(("place", "runs_dir"), [("first", "."), ("./first", "."), ("runs/first", "runs")])
def test_the_default_store_stands_in_the_working_folder(project: Path, place: str, runs_dir: str) -> None:
    run = make(place)
    wanted = f"sqlite:///{project}/mlflow/mlflow.db"
    assert store_of(None, None, Path(place).parent).uri == wanted
    assert store_of(None, None, runs_dir).uri == wanted
    os.chdir("/")
    assert store_of_run(run).uri == wanted
    assert default_store(RunDirectory.open(moved(project) / place)) == project.parent / "elsewhere" / "mlflow"


def test_a_run_of_a_former_version_keeps_the_store_that_it_had(project: Path) -> None:
    run = make("first")
    status = json.loads(run.status.read_text())
    run.status.write_text(json.dumps({key: status[key] for key in status if key not in ("place", "store")}))
    assert default_store(run) == project.parent / "mlflow"


def test_a_run_beside_the_root_of_the_file_system_has_its_store_beside_itself(project: Path) -> None:
    assert store_of(None, None, "/data-of-nobody").uri == "sqlite:////data-of-nobody/mlflow/mlflow.db"


def test_a_run_that_was_moved_to_another_disk_and_linked_to_keeps_its_store(project: Path, tmp_path: Path) -> None:
    make("runs/a")
    (tmp_path / "large disk").mkdir()
    shutil.move("runs/a", tmp_path / "large disk" / "a")
    Path("runs/a").symlink_to(tmp_path / "large disk" / "a")
    for path in ("runs/a", tmp_path / "large disk" / "a"):
        assert store_of_run(RunDirectory.open(path)).uri == f"sqlite:///{project}/mlflow/mlflow.db"


def test_runs_in_a_linked_folder_keep_the_store_beside_the_link(project: Path, tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    Path("runs").symlink_to(tmp_path / "large disk")
    run = make("runs/a")
    assert run.path == tmp_path / "large disk" / "a"
    assert store_of_run(run).uri == f"sqlite:///{project}/mlflow/mlflow.db" == store_of(None, None, "runs").uri


def test_a_forged_place_leads_nowhere(project: Path, tmp_path: Path) -> None:
    run = make("runs/a")
    status = json.loads(run.status.read_text()) | {"place": str(tmp_path / "bait" / "runs" / "a")}
    run.status.write_text(json.dumps(status))
    assert store_of_run(run).uri == f"sqlite:///{project}/mlflow/mlflow.db"
    run.status.write_text(json.dumps(status | {"store": "../../../mlflow"}))
    with pytest.raises(InputError, match=r"status\.json"):
        default_store(run)


@pytest.mark.parametrize("uri", ["http://host", "postgresql://host/db", "databricks", "nonsense"])
def test_only_a_sqlite_store_is_looked_for(project: Path, uri: str) -> None:
    assert located_uri(make("runs/a"), uri) == uri


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x?uri=true"])
def test_a_store_in_memory_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match="must name a file"):
        store_of(uri, None, "runs")


def test_the_identity_of_a_run_that_starts_from_another_is_free_of_paths(project: Path) -> None:
    make("runs/a")
    other = make("runs/b", "seed=5")
    here = identity(resolved(compose_run(["start=runs/a"])))
    assert here == identity(compose_run(["start=runs/a@last"]))
    assert here != identity(compose_run([])) != identity(compose_run(["start=runs/b"])) != here
    assert here != identity(compose_run(["start=runs/a@best"]))
    place = moved(project)
    assert identity(compose_run([f"start={place}/runs/a"])) == here
    assert identity(compose_run(["start=gone"])) != here
    assert other.path.name == "b"


def test_the_same_start_by_another_path_is_no_difference(project: Path) -> None:
    make("runs/a")
    make("runs/b", "seed=1")
    before = resolved(compose_run(["start=runs/a"]))
    os.chdir("runs")
    assert not differences(before, compose_run(["start=a@last"]))
    assert "start" in differences(before, compose_run(["start=b"]))


@pytest.mark.parametrize(
    ("start", "parts"),
    [
        ("runs/a", ("runs/a", "")),
        ("runs/a@best", ("runs/a", "best")),
        ("/home/ann@work/runs/a", ("/home/ann@work/runs/a", "")),
        ("/home/ann@work/runs/a@loss-0.3", ("/home/ann@work/runs/a", "loss-0.3")),
    ],
)
def test_a_run_path_may_contain_the_sign_before_a_checkpoint_name(start: str, parts: tuple[str, str]) -> None:
    assert split_start(start) == parts


def test_a_run_that_is_called_like_a_checkpoint_is_a_run(project: Path) -> None:
    make("a@b")
    assert split_start("a@b") == ("a@b", "")


def test_a_moved_sweep_lists_the_runs_that_came_along(project: Path) -> None:
    from infomcr_cli.report.gather import gather

    runs = [make("runs/a"), make("runs/b", "seed=1")]
    sweep = Path("sweeps/s")
    sweep.mkdir(parents=True)
    (sweep / "sweep.json").write_text(json.dumps({"jobs": [{"run": str(run.path)} for run in runs]}))
    copy = project.parent / "copy"
    shutil.copytree(project, copy)
    place = moved(project)
    for folder in (place, copy):
        found = gather([str(folder / "sweeps" / "s")]).runs
        assert [run.directory.path for run in found] == [folder / "runs" / "a", folder / "runs" / "b"]


class TestTheUsersVariables:
    """MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME count where the settings name nothing."""

    @pytest.fixture(autouse=True)
    def _variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:pw-of-ann@host:5000")
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "hers")

    def test_a_new_run_records_them_without_the_password(self, project: Path) -> None:
        run = make("runs/a")
        tracking = yaml.safe_load(run.config.read_text())["tracking"]
        assert (tracking["uri"], tracking["experiment"]) == ("http://***@host:5000", "hers")
        store = store_of_run(run)
        assert (store.uri, store.experiment) == ("http://ann:pw-of-ann@host:5000", "hers")
        assert store.line == "http://***@host:5000, experiment hers"

    def test_settings_come_first(self, project: Path) -> None:
        run = make("runs/a", "tracking.uri=sqlite:///x.db", "tracking.experiment=mine")
        assert store_of_run(run) == Store(
            f"sqlite:///{project}/x.db", "mine", f"{project.as_uri()}/artifacts", project / ".x.db.lock"
        )
        assert make("runs/b", "tracking=off").config.read_text().count("host:5000") == 0

    def test_commands_without_a_run_follow_them(self, project: Path) -> None:
        assert store_of(None, None, "runs").uri == "http://ann:pw-of-ann@host:5000"
        assert store_of("sqlite:///x.db", None, "runs").uri == f"sqlite:///{project}/x.db"

    def test_one_that_is_empty_says_nothing(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "")
        tracking = resolved(compose_run([])).tracking
        assert (tracking.uri, tracking.experiment) == (None, "infomcr")

    def test_a_file_of_theirs_is_seen_from_the_working_folder(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///theirs.db")
        assert resolved(compose_run([])).tracking.uri == f"sqlite:///{project}/theirs.db"

    @pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"])
    def test_one_that_mlflow_refuses_is_named(
        self, project: Path, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, "./mlruns" if variable.endswith("URI") else "x" * 501)
        with pytest.raises(InputError, match=f"{variable} must"):
            resolved(compose_run([]))
        resolved(compose_run(["tracking=off"]))


@pytest.mark.parametrize("name", ["''", "' '", "x" * 501, "' a'", "'a '", "'a\tb'", '"a\u200bb"'])
def test_an_experiment_that_mlflow_refuses_is_refused_at_once(name: str) -> None:
    with pytest.raises(InputError, match=r"tracking\.experiment must"):
        compose_run([f"tracking.experiment={name}"])


@pytest.mark.parametrize("name", ["x" * 500, "'a b'", "'été'", "a/b.c-d_e"])
def test_every_experiment_name_that_mlflow_takes_is_accepted(name: str) -> None:
    assert compose_run([f"tracking.experiment={name}"]).tracking.experiment == name.strip("'")
