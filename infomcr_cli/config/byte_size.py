"""Numbers of bytes as people write them: 500MB, 2GiB, 1.5 G."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ByteSize, Field, PlainSerializer, TypeAdapter, ValidationError, ValidatorFunctionWrapHandler
from pydantic import WrapValidator as Around
from pydantic_core import PydanticCustomError

from infomcr_cli.errors import InputError

RULE = "must be a positive size such as 500MB or 2GiB"
_SHOWN = ("TB", "TiB", "GB", "GiB", "MB", "MiB", "KB", "KiB", "B")


def shown(size: int) -> str:
    """Return the shortest text that reads as exactly this size.

    Example: shown(2_000_000_000) is "2GB", shown(2**31) is "2GiB".
    """
    exact = ((size // factor, unit) for unit in _SHOWN if not size % (factor := ByteSize.byte_sizes[unit.lower()]))
    return min((f"{count}{unit}" for count, unit in exact), key=len)


def _read(value: Any, handler: ValidatorFunctionWrapHandler) -> ByteSize:
    """Give all values that are not a size the same message; a whole float is one, because YAML reads 1e9 as a float."""
    try:
        if not isinstance(value, bool):  # True is an instance of int
            size: ByteSize = handler(int(value) if isinstance(value, float) and value.is_integer() else value)
            return size
    except ValidationError:
        pass
    raise PydanticCustomError("size", RULE)


# pydantic reads a number with a unit as a float, which is exact up to 2^53.
Size = Annotated[ByteSize, Field(gt=0, le=2**53), Around(_read), PlainSerializer(shown, return_type=str)]
_SIZE: TypeAdapter[ByteSize] = TypeAdapter(Size)


def bytes_of(size: str | float) -> int:
    """Return a number of bytes from a number or a text such as `2GB` or `512 MiB`.

    Raises:
        InputError: it is not a positive size.
    """
    try:
        return int(_SIZE.validate_python(size))
    except ValidationError:
        raise InputError(f"memory {RULE}", received=size) from None
