"""Losses and errors on a grid: kept as they are computed, so that a stopped command continues where it was.

A folder holds `values.npz`, which grows while the points are computed, and `landscape.json`, written at the end. Both
belong to one set of settings: minima, directions, grid and samples. Other settings need another folder.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.models.score import Score
from infomcr_cli.runs.io.safe_documents import dump_json, parse_json
from infomcr_cli.runs.io.safe_files import read_file, write_atomically
from infomcr_cli.runs.io.tensors import decode_arrays, encode_arrays

Array = NDArray[np.float64]
VALUES, SETTINGS, DOCUMENT = "values.npz", "settings.json", "landscape.json"
SECONDS_BETWEEN_SAVES = 2.0
MAX_VALUES = 1024**3
ScorePoint = Callable[[float, float], Score]


@dataclass
class SurfaceValues:
    """Losses and errors of some surfaces on one grid.

    Args:
        first:  coordinates along the first direction, [p].
        second: along the second one, [q]; one zero for a curve.
        loss:   mean cross-entropy, nats, [surfaces, p, q]; NaN where it is not computed or not finite.
        error:  share of samples that are misclassified, 0..1, [surfaces, p, q].
        done:   which points are computed, [surfaces, p, q].
        others: further arrays that are kept with them, such as eigenvalues.
    """

    first: Array
    second: Array
    loss: Array
    error: Array
    done: NDArray[np.bool_]
    others: dict[str, Array] = field(default_factory=dict)

    @staticmethod
    def empty(first: Array, second: Array, surfaces: int) -> SurfaceValues:
        """Return values of which none is computed."""
        shape = (surfaces, len(first), len(second))
        return SurfaceValues(first, second, np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape, bool))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by the names that they have in `values.npz`."""
        own = {name: getattr(self, name) for name in ("first", "second", "loss", "error", "done")}
        return {**own, **self.others}

    def missing(self, surface: int) -> Iterator[tuple[int, int]]:
        """Yield the points of a surface that are not computed, row by row."""
        yield from ((int(i), int(j)) for i, j in np.argwhere(~self.done[surface]))

    def set(self, surface: int, i: int, j: int, score: Score) -> None:
        """Keep the score of a point."""
        self.loss[surface, i, j] = score.loss if score.is_finite else np.nan
        self.error[surface, i, j] = 1.0 - score.accuracy
        self.done[surface, i, j] = True


@dataclass
class SurfaceFolder:
    """The folder of one landscape.

    Args:
        path:     made if it is missing.
        settings: all that determines the values; plain JSON.
    """

    path: Path
    settings: Mapping[str, Any]
    _saved_at: float = field(default=0.0, init=False)

    def open(self, force: bool = False) -> None:
        """Make the folder, or check that it belongs to these settings.

        Args:
            force: drop the values of other settings.

        Raises:
            InputError: it holds a landscape with other settings.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        known = self._read(SETTINGS)
        content = dump_json(dict(self.settings))
        if known is not None and known != content:
            if not force:
                raise InputError(
                    "a folder holds one landscape",
                    received=f"{self.path}, with other settings or minima",
                    advice="Give another --out, or --force to replace it.",
                )
            for name in (VALUES, DOCUMENT):
                (self.path / name).unlink(missing_ok=True)
        write_atomically(self.path / SETTINGS, content)

    def resume(self, values: SurfaceValues) -> SurfaceValues:
        """Return the values that were kept for the grid of `values`, or `values` itself; what is damaged is dropped."""
        content = self._read(VALUES, MAX_VALUES)
        kept = None if content is None else _decode(content, values)
        return kept or values

    def save(self, values: SurfaceValues, *, now: bool = True) -> None:
        """Keep values.

        Args:
            now: also if the last time was only a moment ago.
        """
        if now or time.monotonic() - self._saved_at >= SECONDS_BETWEEN_SAVES:
            file = io.BytesIO()
            np.savez(file, **values.arrays())  # type: ignore[arg-type]
            write_atomically(self.path / VALUES, file.getvalue())
            self._saved_at = time.monotonic()

    def keep(self, name: str, arrays: Mapping[str, Array]) -> None:
        """Keep arrays until the landscape is complete: what took long, and is no result."""
        write_atomically(self.path / f".{name}.safetensors", encode_arrays(arrays, {}))

    def kept(self, name: str) -> dict[str, Array] | None:
        """Return the arrays that `keep` left; None: there are none, or they are damaged."""
        content = self._read(f".{name}.safetensors", MAX_VALUES)
        try:
            return None if content is None else decode_arrays(content, name)[0]
        except InputError:
            return None

    def finish(self, document: Mapping[str, Any]) -> None:
        """Write the document of a landscape that is complete, and drop what was only kept."""
        write_atomically(self.path / DOCUMENT, dump_json(dict(document)))
        for path in self.path.glob(".*.safetensors"):
            path.unlink()

    def document(self) -> Any:
        """Return the document of a landscape that is complete; None if it is not."""
        content = self._read(DOCUMENT)
        return None if content is None else parse_json(content, str(self.path / DOCUMENT))

    def _read(self, name: str, limit: int = 64 * 1024**2) -> bytes | None:
        try:
            return read_file(self.path, name, limit)
        except FileNotFoundError:
            return None


def _decode(content: bytes, like: SurfaceValues) -> SurfaceValues | None:
    """Return the values in an .npz file if they are of the same grid; None if not, or if the file is damaged."""
    wanted = like.arrays()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = {name: _member(archive, name, array) for name, array in wanted.items()}
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError):
        return None
    same = all(np.array_equal(found[name], wanted[name]) for name in ("first", "second"))
    others = {name: found[name] for name in like.others}
    if not same:
        return None
    return SurfaceValues(found["first"], found["second"], found["loss"], found["error"], found["done"], others)


def _member(archive: zipfile.ZipFile, name: str, like: NDArray[Any]) -> NDArray[Any]:
    """Return one array after its own header was compared with what is expected."""
    with archive.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if version != (1, 0) or shape != like.shape or dtype != like.dtype:
        raise ValueError(f"{name} is {dtype} {shape}")
    with archive.open(f"{name}.npy") as file:
        return np.lib.format.read_array(file, allow_pickle=False)
