"""Parse and check the address of an MLflow store, without importing MLflow."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from infomcr_cli.config.schema.experiment_name import DEFAULT_EXPERIMENT, experiment_misfit
from infomcr_cli.console.redaction import note_password, redact, redact_uri
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.surroundings import store_folder

SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks", "databricks-uc")
NETWORK_FILE_SYSTEMS = frozenset(
    "nfs nfs4 cifs smb3 smbfs 9p ceph lustre glusterfs fuse.glusterfs fuse.sshfs gpfs beegfs afs".split()  # noqa: SIM905
)
SERVER_ADVICE = "Start `mlflow server` on one machine and give tracking.uri=http://HOST:PORT."
URI_VARIABLE, EXPERIMENT_VARIABLE = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
_log = logging.getLogger("infomcr.runs")


@dataclass(frozen=True)
class Store:
    """An experiment in an MLflow store.

    Args:
        uri:        tracking URI; may hold a password, so it is left out of repr.
        experiment: its name; created when first needed.
        artifacts:  where a new experiment keeps its artifacts; None: the server decides.
        lock:       lock file of a local store, by which writers take turns; None: the server orders them.
    """

    uri: str = field(repr=False)
    experiment: str
    artifacts: str | None = None
    lock: Path | None = None

    @property
    def shown(self) -> str:
        """The URI without secrets, for printing."""
        return redact(self.uri)

    @property
    def line(self) -> str:
        """The store and the experiment, as printed at the start of a run."""
        return f"{self.shown}, experiment {self.experiment}"


def store_of(uri: str | None, experiment: str | None, runs_dir: Path | str, *, folder: Path | None = None) -> Store:
    """Return the store behind `tracking.uri`; without one MLFLOW_TRACKING_URI counts, then mlflow/ beside the runs.

    Args:
        experiment: its name; None: the default one.
        runs_dir:   the folder of runs, beside which the default store is.
        folder:     the folder of the default store, where it is known better than by `runs_dir`.

    Raises:
        InputError: no MLflow tracking URI.
    """
    experiment = experiment or DEFAULT_EXPERIMENT
    what = "tracking.uri"
    if uri is None and (uri := environment_uri()) is not None:
        what = URI_VARIABLE
    if uri is None:
        return _beside(folder or store_folder(runs_dir), experiment)
    uri = absolute_uri(uri, what)
    path = sqlite_path(uri)
    note_password(uri)
    return Store(uri, experiment) if path is None else _sqlite(uri, path, experiment)


def environment_uri() -> str | None:
    """Return the tracking URI of the user's environment, or None."""
    return os.environ.get(URI_VARIABLE, "").strip() or None


def environment_experiment() -> str | None:
    """Return the experiment of the user's environment, or None.

    Raises:
        InputError: MLflow would refuse it.
    """
    name = os.environ.get(EXPERIMENT_VARIABLE) or None
    misfit = None if name is None else experiment_misfit(name)
    if misfit:
        raise InputError(f"{EXPERIMENT_VARIABLE} {misfit}", received=printable(str(name), 80))
    return name


def absolute_uri(uri: str, what: str = "tracking.uri") -> str:
    """Return a tracking URI that is independent of the working directory: SQLite files get absolute paths.

    Args:
        what: the setting that it was given by, for the message.

    Raises:
        InputError: it is none that MLflow takes.
    """
    scheme = uri.partition("://")[0].partition("+")[0].lower()
    if scheme not in SCHEMES or not _has_valid_address(uri):
        raise InputError(
            f"{what} must be an MLflow tracking URI",
            received=redact_uri(uri),
            accepted=SCHEMES,
            advice="For example tracking.uri=http://127.0.0.1:5000, tracking.uri=sqlite:///mlflow.db, or tracking=off.",
        )
    path = sqlite_path(uri)
    return uri if path is None else with_sqlite_path(uri, path, what)


def _has_valid_address(uri: str) -> bool:
    """Whether host and port can be read: no unbalanced bracket, no word for a port; HTTP needs a host."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return False
    return (port is None or port > 0) and (bool(parts.hostname) or parts.scheme.lower() not in ("http", "https"))


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite URI, None for any other store."""
    scheme, _, rest = uri.partition("://")
    if scheme.partition("+")[0] != "sqlite":
        return None
    return Path(os.path.abspath(_file_of(rest)))


def with_sqlite_path(uri: str, path: Path, what: str = "tracking.uri") -> str:
    """Return a SQLite URI with another file.

    Raises:
        InputError: it names no file, but a database in memory, which is gone with its process.
    """
    scheme, _, rest = uri.partition("://")
    if _file_of(rest) in ("", ":memory:") or rest.startswith("/file:"):
        raise InputError(f"{what} must name a file", received=uri, advice=f"For example {what}=sqlite:///mlflow.db.")
    _check_letters(path)
    return f"{scheme}:///{path}{''.join(rest.partition('?')[1:])}"


def file_system_of(path: Path) -> str:
    """Return the type of the file system that `path` lies or would lie on, such as "ext4" or "nfs4"."""
    mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    resolved = Path(os.path.realpath(path))
    return next((mounts[str(p)] for p in (resolved, *resolved.parents) if str(p) in mounts), "unknown")


def warn_of_network_file_system(path: Path) -> bool:
    """Warn if a SQLite file would be on a file system with unreliable locks; return whether it is."""
    kind = file_system_of(path)
    if kind not in NETWORK_FILE_SYSTEMS:
        return False
    _log.warning("SQLite on a network file system (%s) can lose data: %s. %s", kind, path, SERVER_ADVICE)
    return True


def _file_of(rest: str) -> str:
    """Return the file part of a SQLite URI after `sqlite://`."""
    return rest.partition("?")[0].removeprefix("/")


def _beside(folder: Path, experiment: str) -> Store:
    path = folder / "mlflow.db"
    _check_letters(path)
    return _sqlite(f"sqlite:///{path}", path, experiment)


def _check_letters(path: Path) -> None:
    """Refuse characters that a URI must escape, because not all versions of SQLAlchemy unescape them."""
    if any(letter in str(path) for letter in "?#%"):
        raise InputError(
            "the MLflow store's path must be free of ?, # and %",
            received=str(path),
            advice="Give another runs_dir or tracking.uri.",
        )


def _sqlite(uri: str, path: Path, experiment: str) -> Store:
    return Store(uri, experiment, (path.parent / "artifacts").as_uri(), path.with_name(f".{path.name}.lock"))
