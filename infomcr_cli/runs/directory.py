"""The directory of one run: the paths of its files, how it is created whole, how it is opened safely."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from infomcr_cli.console.redaction import redact_override
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError, nearest_name
from infomcr_cli.runs.io.safe_documents import MAX_DOCUMENT, MAX_YAML, dump_yaml
from infomcr_cli.runs.io.safe_files import check_tree, read_file, write_atomically
from infomcr_cli.runs.status import Status, read_status_file, status_document
from infomcr_cli.runs.surroundings import store_folder

AUDITS = "audit"  # in the directory of a run: the runs that were trained to audit it


@dataclass(frozen=True)
class RunDirectory:
    """One run's directory; its files are the truth about the run.

    Args:
        path: absolute path of a directory that `create` or `open` has vouched for.
    """

    path: Path

    @property
    def name(self) -> str:
        """The last part of the path, safe to print."""
        return printable(self.path.name)

    @property
    def config(self) -> Path:
        """The resolved configuration, YAML."""
        return self.path / "config.yaml"

    @property
    def overrides(self) -> Path:
        """What the command line changed, a YAML list of strings."""
        return self.path / "overrides.yaml"

    @property
    def status(self) -> Path:
        """State, reason, times and MLflow run id, JSON."""
        return self.path / "status.json"

    @property
    def environment(self) -> Path:
        """Versions, commit and device, JSON."""
        return self.path / "environment.json"

    @property
    def metrics(self) -> Path:
        """One JSON line for each logged step."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def measures(self) -> Path:
        """What `infomcr eval` measured, JSON."""
        return self.path / "measures.json"

    @property
    def plots(self) -> Path:
        """The folder of pictures."""
        return self.path / "plots"

    @property
    def landscapes(self) -> Path:
        """The folder of landscapes, spectral densities and paths, a folder each."""
        return self.path / "landscapes"

    def read(self, relative: str, limit: int = MAX_DOCUMENT) -> bytes:
        """Return the content of a file inside the directory; see `read_file`."""
        return read_file(self.path, relative, limit)

    def read_config(self) -> bytes:
        """Return the text of config.yaml."""
        return self.read("config.yaml", MAX_YAML)

    @staticmethod
    def create(path: Path | str, *, config: bytes, overrides: Sequence[str], status: Status) -> RunDirectory:
        """Make a new run directory; it appears under its name only once it can be resumed.

        Args:
            path: a place where nothing is, or an empty directory.
            config: the resolved configuration, YAML; passwords in it already redacted.
            overrides: as given on the command line; passwords are left out.

        Raises:
            InputError: something is there already, or no directory can be made there.
        """
        target = Path(os.path.abspath(path))
        store = os.path.relpath(store_folder(target.parent), target)
        made_here = status.model_copy(update={"place": _as_text(target), "store": store})
        missing = [folder for folder in target.parents if not os.path.lexists(folder)]
        try:
            with _staged(target) as run:
                run.checkpoints.mkdir()
                run.plots.mkdir()
                write_atomically(run.config, config)
                write_atomically(run.overrides, dump_yaml([redact_override(override) for override in overrides]))
                write_atomically(run.status, status_document(made_here))
            return RunDirectory(target.resolve())
        except OSError as error:
            for folder in missing:  # the innermost first; one that another process uses is not empty
                with suppress(OSError):
                    folder.rmdir()
            if os.path.lexists(target):
                raise _taken(target) from None
            raise InputError(f"the run directory cannot be created ({error.strerror})", received=str(target)) from None

    @staticmethod
    def create_new(
        parent: Path | str, name: str, *, config: bytes, overrides: Sequence[str], status: Status
    ) -> RunDirectory:
        """Make a new run directory called `name`, or name-2, name-3, … where others started in the same second."""
        for attempt in range(1, 1000):
            candidate = Path(parent) / (name if attempt == 1 else f"{name}-{attempt}")
            if not os.path.lexists(candidate):
                try:
                    return RunDirectory.create(candidate, config=config, overrides=overrides, status=status)
                except InputError:
                    if not os.path.lexists(candidate):
                        raise
        raise InputError("there is no free name for a run", received=name)

    @staticmethod
    def open(path: Path | str) -> RunDirectory:
        """Return an existing run after checking that everything in it is inside it.

        Raises:
            InputError: there is none (the nearest one is named), or it holds links, pipes or absurdly much.
        """
        given = Path(path)
        if not is_run(given):
            raise _no_run(given)
        resolved = given.resolve()
        check_tree(resolved)
        read_status_file(resolved)
        return RunDirectory(resolved)


def check_folder(runs_dir: Path | str) -> None:
    """Refuse a folder in which no run can be made, before there is one to be made.

    Raises:
        InputError: it is no folder, cannot be written to, or has a name that JSON cannot hold.
    """
    folder = Path(os.path.abspath(runs_dir))
    if os.fsencode(folder).decode(errors="ignore") != str(folder):
        raise InputError("the path of runs_dir must be UTF-8", received=printable(str(folder)), advice="Rename it.")
    existing = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not os.path.isdir(existing):
        raise InputError("runs_dir must be a folder", received=str(folder), advice=f"{existing} is not a folder.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError("runs_dir must be a writable folder", received=str(folder))
    longest = max(len(os.fsencode(part)) for part in folder.parts)
    if longest > os.pathconf(existing, "PC_NAME_MAX"):
        raise InputError("runs_dir must be a valid path", received=str(folder))


def is_run(path: Path | str) -> bool:
    """Return whether a path is a directory with a configuration and a status, without trusting either."""
    folder = Path(path)
    try:
        return folder.is_dir() and all((folder / name).is_file() for name in ("config.yaml", "status.json"))
    except (OSError, ValueError):
        return False


def where_runs_are(*folders: Path) -> str | None:
    """Say which command lists the runs, of the first folder that holds any; None: none does."""
    for folder in folders:
        if any(is_run(path) for path in _inside(folder)):
            words = [] if folder == Path("runs") else ["--runs-dir", folder]
            return f"`{suggested_command('runs', *words)}` lists the runs."
    return None


def split_start(start: str) -> tuple[str, str]:
    """Return the run and the checkpoint of RUN@CHECKPOINT, "" where none is named; a path may hold an @ itself."""
    run, mark, name = start.rpartition("@")
    return (run, name) if mark and run and "/" not in name and not is_run(start) else (start, "")


def new_run_name(model: str, reg: str, identity: str, when: datetime | None = None) -> str:
    """Return a name that sorts by time, such as 20261124-191500-wrn-on-1f2e3d4c."""
    stamp = (when or datetime.now(UTC)).strftime("%Y%m%d-%H%M%S")
    return re.sub(r"[^\w.-]", "_", f"{stamp}-{model}-{reg}-{identity[:8]}")


@contextmanager
def _staged(target: Path) -> Iterator[RunDirectory]:
    """Make an empty run directory beside `target`; after the block it is renamed, or removed if the block failed.

    Yields:
        the directory, under a name that is not a run's.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".creating-", dir=target.parent))
    try:
        staging.chmod(0o777 & ~_umask())
        yield RunDirectory(staging)
        os.rename(staging, target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _as_text(path: Path) -> str | None:
    """Return a path as JSON can hold it; None where it has bytes that are no text."""
    try:
        return str(path).encode().decode()
    except UnicodeEncodeError:
        return None


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _taken(path: Path) -> InputError:
    return InputError(
        "the run directory already exists",
        received=str(path),
        advice="Give another --run-dir, or continue it with --resume.",
    )


def _no_run(path: Path) -> InputError:
    shown = printable(str(path))
    try:
        os.stat(path / "config.yaml")
    except (FileNotFoundError, NotADirectoryError, ValueError):
        pass  # there is no run here
    except OSError as error:
        return InputError(f"the run directory cannot be read ({error.strerror})", received=shown)
    # The name may be of a run in runs/, given without its folder or with a mistaken one.
    inside_runs = Path("runs") / path.name
    if path.name and is_run(inside_runs):
        near: str | None = str(inside_runs)
    else:
        near = nearest_name(str(path), sorted(str(p) for p in _inside(path.parent) if is_run(p)))
    advice = f"Did you mean {printable(near)!r}?" if near else where_runs_are(Path("runs"), path.parent)
    return InputError("a run must be a directory with config.yaml and status.json", received=shown, advice=advice)


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())[:10_000]
    except (OSError, ValueError):
        return []
