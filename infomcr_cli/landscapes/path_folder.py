"""Store the state of a path while it is computed, so that a command can be continued with identical bits.

Until the path is complete the folder holds `.points.json` (values of the points that are done),
`.alignment.safetensors` (permutations) and `.curve.safetensors` (control point, optimizer and step). In the end it
holds `path.json`, `values.npz`, the pictures, and `control.safetensors`, the trained control point by the names of the
weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.folder import CONTROL, POINTS, ResultFolder
from infomcr_cli.report.path_document import FILE, VALUES, PathDocument, parse_path
from infomcr_cli.report.plots.style import Plot
from infomcr_cli.runs.io.safe_documents import dump_json, parse_json
from infomcr_cli.runs.io.safe_files import write_atomically
from infomcr_cli.runs.io.tensors import Array, encode_arrays

if TYPE_CHECKING:
    from infomcr_cli.landscapes.alignment import Alignment
    from infomcr_cli.landscapes.alignment_channels import ChannelGroup

_CURVE, _ALIGNMENT = "curve", "alignment"
_GROUP, _SWEEPS = "group/", "sweeps and distances"
Point = dict[str, float | None]


class PathFolder(ResultFolder):
    """The folder of one path.

    Args:
        path:     made if it is missing.
        settings: all that determines the values; plain JSON.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        super().__init__(path, settings, FILE)
        self._points: dict[str, dict[str, Point]] = {}

    def open(self, force: bool = False) -> None:
        """Check that the folder belongs to these settings, or make it theirs, and read the points that are done.

        Args:
            force: drop a path with other settings.

        Raises:
            InputError: it holds something else.
        """
        super().open(force)
        self._points = _points(self._read(POINTS))

    def point(self, kind: str, index: int) -> Point | None:
        """Return the values of a point that is done; None: it is not."""
        return self._points.get(kind, {}).get(str(index))

    def keep_point(self, kind: str, index: int, values: Point) -> None:
        """Keep the values of a point."""
        self._points.setdefault(kind, {})[str(index)] = values
        write_atomically(self.path / POINTS, dump_json(self._points))

    def keep_curve(self, arrays: Mapping[str, Array]) -> None:
        """Keep all that the next step of the curve's training depends on."""
        self.keep(_CURVE, arrays)

    def curve(self) -> dict[str, Array] | None:
        """Return what `keep_curve` kept; None: there is nothing whole."""
        return self.kept(_CURVE)

    def keep_alignment(self, found: Alignment) -> None:
        """Keep the permutations of an alignment."""
        permutations = {f"{_GROUP}{place:06d}": p for place, p in enumerate(found.permutations)}
        numbers = np.array([found.sweeps, found.before, found.after])
        self.keep(_ALIGNMENT, {**permutations, _SWEEPS: numbers})

    def alignment(self, groups: Sequence[ChannelGroup]) -> Alignment | None:
        """Return what `keep_alignment` kept for some groups; None: there is nothing whole."""
        from infomcr_cli.landscapes.alignment import Alignment  # imports Keras

        kept = self.kept(_ALIGNMENT) or {}
        permutations = [kept[name] for name in sorted(kept) if name.startswith(_GROUP)]
        whole = [np.array_equal(np.sort(p), np.arange(one.size)) for p, one in zip(permutations, groups, strict=False)]
        if _SWEEPS not in kept or len(permutations) != len(groups) or not all(whole):
            return None
        sweeps, before, after = kept[_SWEEPS].tolist()
        return Alignment(tuple(groups), tuple(permutations), int(sweeps), before, after)

    def complete(self, document: PathDocument, control: Mapping[str, Array] | None, plot: Plot) -> PathDocument:
        """Write the results, path.json last, and drop what was only kept; return the document as it was written."""
        if control is not None:
            ends = [f"{one.name}@{one.checkpoint}" for one in document.ends]
            write_atomically(self.path / CONTROL, encode_arrays(control, {"ends": ends}))
        self.save(_values(document))
        written = self.finish(document.model_dump(mode="json"), [plot])
        (self.path / POINTS).unlink(missing_ok=True)
        return PathDocument.model_validate(written)

    def known(self) -> PathDocument | None:
        """Return the result of a path that is complete; None if it is not."""
        content = self._read(FILE)
        return None if content is None else parse_path(content, str(self.path / FILE))


def _points(content: bytes | None) -> dict[str, dict[str, Point]]:
    """Return points that are done; what is damaged is computed again."""
    try:
        document = parse_json(content, POINTS) if content is not None else {}
    except InputError:
        return {}
    kinds = document.items() if isinstance(document, dict) else ()
    return {
        kind: {index: values for index, values in points.items() if _is_point(values)}
        for kind, points in kinds
        if isinstance(points, dict)
    }


def _is_point(values: Any) -> bool:
    is_whole = isinstance(values, dict) and values.keys() >= set(VALUES)
    return is_whole and all(value is None or isinstance(value, float | int) for value in values.values())


def _values(document: PathDocument) -> dict[str, Array]:
    """Return the values of all paths as KIND_VALUE, such as linear_train_loss; NaN if a value is not finite."""
    return {
        f"{kind}_{name}": np.array(getattr(one, name), np.float64)
        for kind, one in document.paths.items()
        for name in ("t", *VALUES)
    }
