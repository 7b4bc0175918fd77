"""The Python version of CIFAR: pickled dictionaries, read by an `Unpickler` that knows four names and calls none.

An allow-list of names keeps code from running. A pickle can also fill the memory, or never end, without naming
anything: by a memo of 2**32 places, or by a tuple, taken as a key, that holds a tuple twice, which again holds one
twice. So `pickletools.genops`, which builds nothing, counts and checks its opcodes first.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError

MAX_OPCODES = 1_000_000  # the largest official file has a quarter of it
MAX_TUPLES = 20_000  # a deeper nest of tuples, taken as a key, would overflow the stack of the interpreter
_TUPLES = {"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_PUTS = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETS = {"BINGET", "LONG_BINGET"}
_OTHERS = {  # they leave something other than a tuple on the stack
    *("EMPTY_DICT", "EMPTY_LIST", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("GLOBAL", "STACK_GLOBAL", "REDUCE"),
}
_CHANGES = {"MARK", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "BUILD", "STOP"}
_PLAIN = _TUPLES | _PUTS | _GETS | _OTHERS | _CHANGES | {"PROTO", "FRAME"}
_DTYPES = {"u1": np.uint8, "i4": np.int32, "i8": np.int64}
_REFUSED = (pickle.UnpicklingError, ValueError, LookupError, TypeError, AttributeError, OverflowError, EOFError)


class _Made:
    """A placeholder for the result of a pickled call, with its arguments and state."""

    state: tuple[Any, ...] = ()

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Array(_Made):
    pass


class _Dtype(_Made):
    pass


class _Bytes(_Made):
    pass


_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Made,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Bytes,  # as Python 3 pickles bytes for Python 2
}


class _Unpickler(pickle.Unpickler):  # noqa: S301 -- it makes only the classes of an allow-list
    def find_class(self, module: str, name: str) -> type[_Made]:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"the name {f'{module}.{name}'!r} is not one of an array")
        return _NAMES[module, name]


def read_batch(data: bytes, *, name: str) -> dict[str, Any]:
    """Return the dictionary of one pickled CIFAR file: text keys; arrays, lists or text as values.

    Args:
        name: of the file, for messages.

    Raises:
        InputError: the pickle holds anything but plain data, or is damaged.
    """
    try:
        _check_opcodes(data)
        result = _Unpickler(io.BytesIO(data), encoding="latin-1").load()
        return {_text(key): _plain(value) for key, value in result.items()}
    except _REFUSED as error:
        raise InputError(
            "a CIFAR batch must be a pickled dictionary of plain data",
            received=name,
            advice=f"Nothing in it was executed. It was refused: {error}. Use the binary version of the archive.",
        ) from error


def _check_opcodes(data: bytes) -> None:
    """Raise ValueError unless reading a pickle takes time and memory in proportion to its length."""
    memo: dict[int, bool] = {}  # place → whether it may hold a tuple
    tuples, last = 0, ""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        name = opcode.name
        if name not in _PLAIN or count >= MAX_OPCODES:
            raise ValueError(f"the opcode {name} at place {count} is not plain data")
        tuples += name in _TUPLES
        if tuples > MAX_TUPLES or (name in _GETS and memo.get(int(argument or 0))):
            raise ValueError("its tuples are nested too deeply, or shared")
        if name in _PUTS:
            place = len(memo) if argument is None else argument
            if place > count + 255:  # the memo would grow to this place at once
                raise ValueError(f"place {place} of its memo comes too early")
            memo[place] = last not in _OTHERS | _GETS
        elif name not in ("PROTO", "FRAME"):
            last = name


def _text(key: Any) -> str:
    if isinstance(key, _Bytes):
        key = key.arguments[0]
    if not isinstance(key, str | bytes):
        raise ValueError("a key is not text")
    return key.decode("latin-1") if isinstance(key, bytes) else key


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return _array(value)
    if isinstance(value, list):
        return [_text(item) if isinstance(item, _Bytes) else item for item in value]
    return value


def _array(made: _Array) -> NDArray[Any]:
    """Return the array of the state that NumPy pickles: version, shape, dtype, column order, bytes."""
    _, shape, dtype, column_order, raw = made.state
    raw = _text(raw).encode("latin-1") if isinstance(raw, str | _Bytes) else raw
    array = np.frombuffer(raw, np.dtype(_DTYPES[_text(dtype.arguments[0])]).newbyteorder("<"))
    return array.reshape(shape, order="F" if column_order else "C")
