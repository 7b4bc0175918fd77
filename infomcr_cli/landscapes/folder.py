"""The folder of one result, which stores values as they are computed, so that a command can be continued.

It holds `settings.json`, what the values belong to; `values.npz`, which grows; and, once all is computed, the pictures
and the document. Other settings need another folder.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.minima import Minimum
from infomcr_cli.report.output_files import check_folder
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import dump_json, parse_json
from infomcr_cli.runs.io.safe_files import read_file, write_atomically
from infomcr_cli.runs.io.tensors import decode_arrays, encode_arrays
from infomcr_cli.runs.lock import locked_file
from infomcr_cli.tracking.mirror_results import is_off, mirror_results

if TYPE_CHECKING:
    from infomcr_cli.report.plots.style import Plot

Arrays = Mapping[str, NDArray[Any]]
VALUES, SETTINGS = "values.npz", "settings.json"
DOCUMENTS = ("landscape.json", "spectrum.json", "path.json")
CONTROL, POINTS = OF_A_PATH = ("control.safetensors", ".points.json")
SECONDS_BETWEEN_SAVES = 2.0
MOST_BYTES = 1024**3  # of a file that is read: a fine grid of several runs takes hundreds of megabytes


@dataclass
class ResultFolder:
    """The folder of one landscape, spectrum or path.

    Args:
        path:      made if it is missing.
        settings:  all that determines the values; plain JSON.
        file_name: of the document, such as landscape.json.
    """

    path: Path
    settings: Mapping[str, Any]
    file_name: str
    _saved_at: float = field(default=0.0, init=False)

    def make(self, option: str) -> None:
        """Create the folder if it is missing.

        Args:
            option: that names it, for messages.

        Raises:
            InputError: it cannot be written to.
        """
        check_folder(self.path, option)
        self.path.mkdir(parents=True, exist_ok=True)

    def open(self, force: bool = False) -> None:
        """Check that the folder belongs to these settings, or assign it to them.

        Args:
            force: drop the values of other settings.

        Raises:
            InputError: it holds something else.
        """
        known, content = self._read(SETTINGS), dump_json(dict(self.settings))
        if known is not None and known != content:
            if not force:
                raise InputError(
                    "a folder can contain only one result",
                    received=f"{self.path}, with other settings or minima",
                    advice="Give another --out, or --force to replace it.",
                )
            # Before the new settings are written: old values must never stand beside them.
            for path in (*self._results(), *self._kept()):
                path.unlink(missing_ok=True)
        write_atomically(self.path / SETTINGS, content)

    def resume(self, arrays: Arrays, same: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
        """Return the stored arrays; or the given ones, if there are none of these shapes or the file is damaged.

        Args:
            arrays: as they are before anything is computed.
            same:   names of those that must be equal, such as coordinates.
        """
        content = self._read(VALUES)
        kept = None if content is None else _decode(content, arrays)
        if kept is None or not all(np.array_equal(kept[name], arrays[name]) for name in same):
            return dict(arrays)
        return kept

    def save(self, arrays: Arrays, *, now: bool = True) -> None:
        """Keep arrays.

        Args:
            now: also if the last time was only a moment ago.
        """
        if now or time.monotonic() - self._saved_at >= SECONDS_BETWEEN_SAVES:
            file = io.BytesIO()
            np.savez(file, **arrays)  # type: ignore[arg-type]
            write_atomically(self.path / VALUES, file.getvalue())
            self._saved_at = time.monotonic()

    def keep(self, name: str, arrays: Arrays) -> None:
        """Store intermediate arrays that are expensive to compute, until the result is complete."""
        write_atomically(self.path / f".{name}.safetensors", encode_arrays(arrays, {}))

    def kept(self, name: str) -> dict[str, NDArray[Any]] | None:
        """Return the arrays of `keep`; None if they are missing or damaged."""
        content = self._read(f".{name}.safetensors")
        try:
            return None if content is None else decode_arrays(content, name)[0]
        except InputError:
            return None

    def _kept(self) -> list[Path]:
        return sorted(self.path.glob(".*.safetensors"))

    def _results(self) -> list[Path]:
        """Return the files of a result of any kind, its pictures first: another kind has others."""
        documents = [_parsed(self._read(name)) for name in DOCUMENTS]
        named = [one.get("pictures") for one in documents if isinstance(one, dict)]
        # A damaged document must not name files outside of the folder.
        names = [name for one in named if isinstance(one, dict) for name in one if Path(name).name == name]
        pictures = [f"{name}{suffix}" for name in names for suffix in (".png", ".svg")]
        return [self.path / name for name in (*pictures, *DOCUMENTS, *OF_A_PATH, VALUES)]

    def document(self) -> Any:
        """Return the document; None if the result is not complete."""
        content = self._read(self.file_name)
        return None if content is None else parse_json(content, str(self.path / self.file_name), limit=MOST_BYTES)

    def finish(self, document: Mapping[str, Any], plots: Sequence[Plot]) -> dict[str, Any]:
        """Write the plots and, last, the document, which lists all files; remove intermediate files.

        Returns:
            the document as it was written.
        """
        for plot in plots:
            write_atomically(self.path / f"{plot.name}.svg", plot.svg)
            write_atomically(self.path / f"{plot.name}.png", plot.png)
        names = [self.file_name, VALUES, *(f"{plot.name}{end}" for plot in plots for end in (".png", ".svg"))]
        pictures = {plot.name: {"title": plot.title, "alt": plot.alt} for plot in plots}
        files = [str(self.path / name) for name in names]
        whole = {**document, "folder": str(self.path), "pictures": pictures, "files": files}
        write_atomically(self.path / self.file_name, dump_json(whole))
        for path in self._kept():
            path.unlink()
        return whole

    def share(self, runs: Iterable[RunDirectory]) -> None:
        """Copy the results to the same folder of the other runs."""
        for run in runs:
            other = run.landscapes / self.path.name
            if other != self.path:
                # Hidden files are the state of a computation, such as its lock.
                shutil.copytree(self.path, other, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))

    def _read(self, name: str) -> bytes | None:
        try:
            return read_file(self.path, name, MOST_BYTES)
        except FileNotFoundError:
            return None


@contextmanager
def open_result(
    folder: ResultFolder, minima: Iterable[Minimum], out: Path | None, overrides: Iterable[str], *, force: bool
) -> Iterator[None]:
    """Create, lock and open the folder of a result; then copy the result to its runs, and mirror them.

    Args:
        minima:    of which it is a result.
        out:       as the command line names the folder; None: it is that of a run, and the result is shared.
        overrides: of the command; with `tracking=off` nothing is mirrored.
        force:     drop the values of other settings.
    """
    runs = {one.run.path: one.run for one in minima} if out is None else {}
    for run in runs.values():  # before the work: in the end the result is copied to each
        check_folder(run.landscapes / folder.path.name, "RUN, without --out,")
    folder.make("--out" if out else "RUN, without --out,")
    with locked_file(folder.path / ".lock"):  # first: two commands with --force must not mix their settings and values
        folder.open(force)
        yield
    folder.share(runs.values())
    for run in () if is_off(overrides) else runs.values():
        mirror_results(run)


def folder_name(kind: str, settings: Mapping[str, Any]) -> str:
    """Return a name that depends only on the settings: a kind and eight digits of their hash."""
    return f"{kind}-{hashlib.sha256(dump_json(dict(settings))).hexdigest()[:8]}"


def can_be_shown(show: Callable[[], Iterable[object]]) -> bool:
    """Return whether a document holds what a command shows of it; the folder of a run is not trusted."""
    try:
        list(show())
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return False
    return True


def _parsed(content: bytes | None) -> Any:
    """Return the content of a document; None if it is missing or damaged."""
    try:
        return None if content is None else parse_json(content, "a document", limit=MOST_BYTES)
    except InputError:
        return None


def _decode(content: bytes, like: Arrays) -> dict[str, NDArray[Any]] | None:
    """Return the arrays in an .npz file if they are of these shapes; None if not, or if the file is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {name: _member(archive, name, array) for name, array in like.items()}
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError):
        return None


def _member(archive: zipfile.ZipFile, name: str, like: NDArray[Any]) -> NDArray[Any]:
    """Return one array after its own header was compared with what is expected."""
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if version != (1, 0) or shape != like.shape or dtype != like.dtype:
        raise ValueError(f"{name} is {dtype} {shape}")
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)
