"""Read JSON and YAML from untrusted files: no tags, no aliases, no NaN, bounded in size and depth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError

MAX_DOCUMENT = 64 * 1024 * 1024
MAX_YAML = 128 * 1024
MAX_NESTING = 40
Record = TypeVar("Record", bound=BaseModel)


# LibYAML if it is installed: it is five times as fast, and a comparison reads a document of each run.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_json(content: bytes, what: str, *, limit: int = MAX_DOCUMENT) -> Any:
    """Return the value of a strict JSON document.

    Args:
        what: how the document is named in an error, such as "status.json of runs/a".

    Raises:
        InputError: it is too large or too deep, contains NaN or Infinity, or is not JSON.
    """
    _check_size(content, what, limit)
    try:
        # json.loads accepts NaN and Infinity, and reads a number such as 1e999 as infinity.
        value = json.loads(content.decode(), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} must be a JSON document ({printable(str(error))})") from None
    _check_nesting(value, what)
    return value


def parse_record(content: bytes, what: str, model: type[Record], *, command: str = "") -> Record:
    """Return the record in a strict JSON document.

    Args:
        what:    how the document is named in an error.
        model:   the type of the record.
        command: the command that writes such documents, for the error.

    Raises:
        InputError: it is not such a document.
    """
    document = parse_json(content, what)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = printable(".".join(str(part) for part in first["loc"]))
        reason = ": ".join(filter(None, (where, printable(first["msg"]))))
        writer = f"`infomcr {command}`" if command else "infomcr"
        raise InputError(f"{what} must be as {writer} writes it: {reason}") from None


def parse_yaml(content: bytes, what: str, *, limit: int = MAX_YAML) -> Any:
    """Return the value of a YAML document without tags and aliases.

    Raises:
        InputError: it is too large or too deep, contains a tag or an alias, or is not YAML.
    """
    _check_size(content, what, limit)
    try:
        text = content.decode()
        _refuse_bombs(text)
        value = yaml.load(text, Loader=_LOADER)  # noqa: S506 -- a safe loader either way
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{what} must be plain YAML ({printable(str(error))})") from None
    _check_nesting(value, what)
    return value


def dump_json(value: Any) -> bytes:
    """Return a JSON document with sorted keys.

    Raises:
        ValueError: a number is not finite.
    """
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n").encode()


def dump_yaml(value: Any) -> bytes:
    """Return a YAML document with the keys in their own order."""
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True)).encode()


def _refuse_bombs(text: str) -> None:
    """Refuse aliases and deep nesting before anything is built: they could fill the memory or overflow the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases (*name) are not accepted")
        if depth > MAX_NESTING:
            raise ValueError(f"nested more than {MAX_NESTING} deep")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]} is too large")
    return number


def _check_size(content: bytes, what: str, limit: int) -> None:
    if len(content) > limit:
        raise InputError(f"{what} must have at most {limit} bytes", received=f"{len(content)} bytes")


def _check_nesting(value: Any, what: str) -> None:
    # Level by level: recursion into a deep document would exceed Python's limit.
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_NESTING:
            raise InputError(f"{what} must be nested at most {MAX_NESTING} deep")
        level = [inner for outer in level for inner in _children(outer)]


def _children(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple | set) else []
