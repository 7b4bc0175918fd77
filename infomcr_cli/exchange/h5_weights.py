"""Check an HDF5 weights file of Keras: only groups and complete numeric arrays, no links to other places."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import psutil

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError

MAX_OBJECTS = 200_000
MAX_DEPTH = 64
MAX_RANK = 8
OPTIMIZER = "optimizer"


def check_h5(path: Path, what: str) -> int:
    """Return the number of weights in a file, without the optimizer state.

    Every object is checked before any array is read: HDF5 can link to other files, map arrays from them, and declare
    shapes of which nothing is stored.

    Raises:
        InputError: it is no such file, or holds something other than groups and whole arrays of numbers.
    """
    import h5py

    if path.stat().st_size > psutil.virtual_memory().available // 2:
        raise InputError(f"{what} must fit into memory", received=f"{path.stat().st_size} bytes")
    try:
        with h5py.File(path, "r") as file:
            return _Walk(what).numbers_in(file)
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:  # what h5py raises at damaged files
        raise InputError(f"{what} must be an HDF5 file that can be read", advice=f"{printable(str(error))}.") from None


class _Walk:
    """Visits every object of a file once."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._seen: set[Any] = set()

    def numbers_in(self, root: Any) -> int:
        import h5py

        numbers, pending = 0, [(root, "", 0)]
        while pending:
            group, place, depth = pending.pop()
            self._note(group, place, depth)
            for name in group:
                inner = f"{place}/{name}"
                # Before group[name], which follows the link.
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise self._refused("no links to other files or places", inner)
                item = group[name]
                if isinstance(item, h5py.Group):
                    pending.append((item, inner, depth + 1))
                else:
                    self._note(item, inner, depth)
                    numbers += self._checked(item, inner)
        return numbers

    def _note(self, item: Any, place: str, depth: int) -> None:
        """Record an object: a group may be linked into itself, and an array into many places."""
        import h5py

        info = h5py.h5o.get_info(item.id)
        if (info.fileno, info.addr) in self._seen:
            raise self._refused("each object once", place)
        self._seen.add((info.fileno, info.addr))
        if len(self._seen) > MAX_OBJECTS or depth > MAX_DEPTH:
            raise self._refused(f"at most {MAX_OBJECTS} objects, {MAX_DEPTH} deep", place)

    def _checked(self, item: Any, place: str) -> int:
        import h5py

        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiubV" or item.dtype.hasobject:
            raise self._refused("arrays of numbers", place)
        if item.dtype.kind == "V" and item.dtype.str != "|V2":  # bfloat16, which HDF5 does not know
            raise self._refused("arrays of numbers", place)
        if item.external or item.is_virtual:
            raise self._refused("no arrays of other files", place)
        if item.shape is None or len(item.shape) > MAX_RANK:
            raise self._refused(f"arrays of at most {MAX_RANK} axes", place)
        declared = math.prod(item.shape) * item.dtype.itemsize
        if item.chunks is not None or item.id.get_storage_size() != declared:
            received = f"{place} {item.shape}, {item.id.get_storage_size()} of {declared} bytes"
            raise self._refused("arrays that are stored whole, as Keras stores them", received)
        return 0 if place.split("/")[1] == OPTIMIZER else math.prod(item.shape)

    def _refused(self, rule: str, received: str) -> InputError:
        return InputError(f"{self._what} must have {rule}", received=printable(received, 200))
