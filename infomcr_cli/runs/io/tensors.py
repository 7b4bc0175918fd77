"""Convert named arrays to bytes and back, in the safetensors format: no pickle, every size is checked first."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import psutil
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.io.safe_documents import dump_json, parse_json

Array = NDArray[Any]

MAX_HEADER = 16 * 1024 * 1024
MAX_RANK = 8
MAX_ARRAYS = 100_000
_RECORD = "infomcr"
_DTYPES: dict[str, np.dtype[Any]] = {
    **{f"{sign}{bits}": np.dtype(f"{sign.lower()}{bits // 8}") for sign in "IU" for bits in (8, 16, 32, 64)},
    **{f"F{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)},
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "BOOL": np.dtype(bool),
}


def encode_arrays(arrays: Mapping[str, Array], record: Mapping[str, Any]) -> bytes:
    """Return a safetensors file: the same arrays and record always give the same bytes.

    Args:
        record: a small record for JSON, which is stored in the header.
    """
    # In C order, because safetensors stores the memory as it is. `np.ascontiguousarray` would give a scalar an axis.
    whole = {name: np.array(value, order="C", copy=None) for name, value in arrays.items()}
    # One metadata key only: the library orders several at random.
    return bytes(safetensors.numpy.save(whole, {_RECORD: dump_json(dict(record)).decode()}))


def decode_arrays(content: bytes, what: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays and the record of a safetensors file that infomcr wrote.

    Raises:
        InputError: it is not such a file, or it claims shapes, types or sizes that no checkpoint has.
    """
    arrays = decode_plain_arrays(content, what)
    return arrays, header_record(read_header(content, what), what)


def decode_plain_arrays(content: bytes, what: str) -> dict[str, Array]:
    """Return the arrays of any safetensors file.

    Raises:
        InputError: it is not such a file, or it claims shapes, types or sizes that no network has.
    """
    header = read_header(content, what)
    for name, entry in header.items():
        if name != "__metadata__":
            _check_entry(name, entry, what)
    free = psutil.virtual_memory().available
    if len(content) > free:
        raise InputError(f"{what} must fit into memory", received=f"{len(content)} bytes, {free} free")
    arrays: dict[str, Array] = {}
    try:
        for name, part in safetensors.deserialize(content):  # type: ignore[no-untyped-call]
            # A bytearray, because an array on bytes is read-only.
            flat: Array = np.frombuffer(bytearray(part["data"]), dtype=_DTYPES[part["dtype"]])
            arrays[name] = flat.reshape(part["shape"])
        return arrays
    except (safetensors.SafetensorError, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise InputError(f"{what} must be a complete safetensors file ({printable(str(error))})") from None


def read_header(content: bytes, what: str) -> dict[str, Any]:
    """Return the parsed header of a safetensors file; `content` may end after the header."""
    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else MAX_HEADER + 1
    if length > MAX_HEADER or len(content) < 8 + length:
        raise InputError(f"{what} must be a complete safetensors file with a header of at most {MAX_HEADER} bytes")
    header = parse_json(content[8 : 8 + length], f"the header of {what}", limit=MAX_HEADER)
    if not isinstance(header, dict) or len(header) > MAX_ARRAYS:
        raise InputError(f"the header of {what} must be an object of at most {MAX_ARRAYS} arrays")
    return header


def header_record(header: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return the record that `encode_arrays` put into the header."""
    metadata = header.get("__metadata__")
    text = metadata.get(_RECORD) if isinstance(metadata, dict) else None
    record = parse_json(text.encode(), f"the record in {what}") if isinstance(text, str) else None
    if not isinstance(record, dict):
        raise InputError(f"{what} must be a checkpoint that infomcr wrote: its record is missing")
    return record


def _check_entry(name: str, entry: Any, what: str) -> None:
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape = _DTYPES.get(str(entry.get("dtype"))), entry.get("shape")
    shape_is_sane = (
        isinstance(shape, list)
        and len(shape) <= MAX_RANK
        and all(isinstance(d, int) and not isinstance(d, bool) and 0 <= d < 2**40 for d in shape)
        and math.prod(max(d, 1) for d in shape) < 2**40  # a size of 0 would hide the others
    )
    if dtype is None or not shape_is_sane or len(name) > 500 or printable(name) != name:
        shown = printable(f"{name}: {entry.get('dtype')} {shape}", 200)
        raise InputError(f"{what} must contain arrays with plain names, types and shapes", received=shown)
