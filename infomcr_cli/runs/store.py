"""Which MLflow store a run is mirrored in; checked here, without importing MLflow."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from infomcr_cli.errors import InputError
from infomcr_cli.runs.redaction import redact

SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks", "databricks-uc")
NETWORK_FILE_SYSTEMS = frozenset(
    "nfs nfs4 cifs smb3 smbfs 9p ceph lustre glusterfs fuse.glusterfs fuse.sshfs gpfs beegfs afs".split()  # noqa: SIM905
)
SERVER_ADVICE = "Start `mlflow server` on one machine and give tracking.uri=http://HOST:PORT."
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
        """The URI as it may be printed."""
        return redact(self.uri)


def store_of(uri: str | None, experiment: str, runs_dir: Path | str) -> Store:
    """Return the store behind `tracking.uri`; without one it is mlflow/mlflow.db beside `runs_dir`.

    Raises: InputError: no MLflow tracking URI.
    """
    if uri is None:
        return _beside(Path(os.path.abspath(runs_dir)).parent / "mlflow", experiment)
    scheme = urlsplit(uri).scheme.partition("+")[0] if "://" in uri else uri
    if scheme not in SCHEMES:
        raise InputError(
            "tracking.uri must be an MLflow tracking URI",
            received=redact(uri),
            accepted=SCHEMES,
            advice="For example tracking.uri=http://127.0.0.1:5000, or tracking=off.",
        )
    path = sqlite_path(uri)
    return Store(uri, experiment) if path is None else _sqlite(uri, path, experiment)


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite URI, None for any other store."""
    scheme, _, rest = uri.partition("://")
    if scheme.partition("+")[0] != "sqlite":
        return None
    return Path(os.path.abspath(rest.partition("?")[0].removeprefix("/")))


def file_system_of(path: Path) -> str:
    """Return the type of the file system that `path` lies or would lie on, such as "ext4" or "nfs4"."""
    mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    resolved = Path(os.path.realpath(path))
    return next((mounts[str(p)] for p in (resolved, *resolved.parents) if str(p) in mounts), "unknown")


def warn_of_network_file_system(path: Path) -> bool:
    """Warn where SQLite would lie on a file system whose locks cannot be trusted; return whether it does."""
    kind = file_system_of(path)
    if kind not in NETWORK_FILE_SYSTEMS:
        return False
    _log.warning("SQLite on a network file system (%s) can lose data: %s. %s", kind, path, SERVER_ADVICE)
    return True


def _beside(folder: Path, experiment: str) -> Store:
    path = folder / "mlflow.db"
    if any(letter in str(path) for letter in "?#%"):
        raise InputError(
            "the MLflow store's path must be free of ?, # and %",
            received=str(path),
            advice="Give another runs_dir or tracking.uri.",
        )
    return _sqlite(f"sqlite:///{path}", path, experiment)


def _sqlite(uri: str, path: Path, experiment: str) -> Store:
    return Store(uri, experiment, (path.parent / "artifacts").as_uri(), path.with_name(f".{path.name}.lock"))
