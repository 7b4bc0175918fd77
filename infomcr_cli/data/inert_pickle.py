"""Reads the pickled dictionaries of the CIFAR archives as data: a stack machine that can call nothing.

`pickletools.genops` takes a pickle apart without running it. Of its opcodes only those that build dictionaries, lists,
tuples, numbers, text and the three calls by which NumPy pickles an array are understood; any other is refused.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from infomcr_cli.errors import InputError

_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
_CALLS = {f"{module} _reconstruct": "array" for module in _NUMPY} | {"numpy dtype": "dtype", "_codecs encode": "bytes"}
_NAMES = {"numpy ndarray": "ndarray"} | _CALLS
_DTYPES = {"u1": np.uint8, "i4": np.int32, "i8": np.int64}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_VALUES = {
    *("BININT", "BININT1", "BININT2", "INT", "LONG1"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


@dataclass(eq=False)
class _Name:
    """A name that the pickle refers to; it is never looked up."""

    kind: str


@dataclass(eq=False)
class _Made:
    """What a call of a known name would give: an array, a dtype."""

    kind: str
    arguments: tuple[Any, ...]
    state: tuple[Any, ...] = ()


@dataclass
class _Machine:
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    room: int = 0  # bytes that may still be copied: a text that is encoded again and again would fill the memory

    def since_mark(self) -> list[Any]:
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:  # from the end: an IndexError where there is none
            place -= 1
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def take(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise ValueError("the stack is empty")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items


def read_batch(data: bytes, *, name: str) -> dict[str, Any]:
    """Return the dictionary of one pickled CIFAR file: text keys; arrays, lists or text as values.

    Args:   name: of the file, for messages.
    Raises: InputError: the pickle holds anything but plain data, or is damaged.
    """
    try:
        result = _run(data)
        if not isinstance(result, dict):
            raise ValueError("it holds no dictionary")
        return {key: _finished(value) for key, value in result.items()}
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, EOFError) as error:
        raise InputError(
            "a CIFAR batch must be a pickled dictionary of plain data",
            received=name,
            advice=f"Nothing in it was run; it was refused: {error}.",
        ) from error


def _run(data: bytes) -> Any:
    machine = _Machine(room=len(data))
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "STOP":
            return machine.stack.pop()
        _step(machine, opcode.name, argument)
    raise ValueError("it has no end")


def _step(machine: _Machine, name: str, argument: Any) -> None:
    stack = machine.stack
    if name in _VALUES:
        stack.append(argument)
    elif name in _CONSTANTS:
        stack.append(_CONSTANTS[name])
    elif name in _TUPLES:
        stack.append(tuple(machine.take(_TUPLES[name])))
    elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
        machine.memo[argument] = stack[-1]
    elif name == "MEMOIZE":
        machine.memo[len(machine.memo)] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET", "GET"):
        stack.append(machine.memo[argument])
    elif name in _ACTIONS:
        _ACTIONS[name](machine, argument)
    elif name not in ("PROTO", "FRAME"):
        raise ValueError(f"the opcode {name} is not plain data")


def _global(machine: _Machine, name: str) -> None:
    if name not in _NAMES:
        raise ValueError(f"the name {name!r} is not one of an array")
    machine.stack.append(_Name(_NAMES[name]))


def _stack_global(machine: _Machine, _: Any) -> None:
    module, name = machine.take(2)
    _global(machine, f"{_text(module)} {_text(name)}")


def _reduce(machine: _Machine, _: Any) -> None:
    called, arguments = machine.take(2)
    if not isinstance(called, _Name) or called.kind == "ndarray" or not isinstance(arguments, tuple):
        raise ValueError("a call is not plain data")
    if called.kind == "bytes":
        encoded = _text(arguments[0]).encode("latin-1")
        machine.room -= len(encoded)
        if machine.room < 0:
            raise ValueError("it grows beyond its own length")
        machine.stack.append(encoded)
    else:
        machine.stack.append(_Made(called.kind, arguments))


def _build(machine: _Machine, _: Any) -> None:
    state = machine.stack.pop()
    made = machine.stack[-1]
    if not isinstance(made, _Made) or not isinstance(state, tuple):
        raise ValueError("an object with a state is not plain data")
    made.state = state


def _set_items(machine: _Machine, _: Any) -> None:
    items = machine.since_mark()
    machine.stack[-1].update(zip(map(_text, items[::2]), items[1::2], strict=True))


def _set_item(machine: _Machine, _: Any) -> None:
    key, value = machine.take(2)
    machine.stack[-1].update({_text(key): value})


_ACTIONS: dict[str, Any] = {
    "MARK": lambda machine, _: machine.stack.append(_MARK),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "APPEND": lambda machine, _: machine.stack[-2].append(machine.stack.pop()),
    "APPENDS": lambda machine, _: (lambda items: machine.stack[-1].extend(items))(machine.since_mark()),
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "BUILD": _build,
}


def _text(key: Any) -> str:
    # Nothing but text: to hash or print a nest of tuples that share their parts could take for ever.
    if not isinstance(key, str | bytes):
        raise ValueError("a key is not text")
    return key.decode("latin-1") if isinstance(key, bytes) else key


def _finished(value: Any) -> Any:
    """Make the array that a placeholder stands for: (version, shape, dtype, column order, bytes)."""
    if not isinstance(value, _Made):
        return value
    _, shape, dtype, column_order, raw = value.state
    raw = raw.encode("latin-1") if isinstance(raw, str) else raw
    array = np.frombuffer(raw, np.dtype(_DTYPES[_text(dtype.arguments[0])]).newbyteorder("<"))
    return array.reshape(shape, order="F" if column_order else "C")
