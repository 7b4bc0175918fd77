"""Field types of the schema: a range and a unit travel with each number."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

NOT_IDENTITY: dict[str, JsonValue] = {"identity": False}
NOT_AN_AXIS: dict[str, JsonValue] = {"axis": False}
UNLESS_DEFAULT: dict[str, JsonValue] = {"identity": "unless default"}


class Record(BaseModel):
    """A frozen group of settings; unknown keys are refused, values are not coerced across types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


def not_hashed(description: str, **constraints: Any) -> Any:
    """Return a field that does not shape a run's weights, hence no part of its identity."""
    return Field(description=description, json_schema_extra=NOT_IDENTITY, **constraints)


def hashed_unless_default(default: Any, description: str, **constraints: Any) -> Any:
    """Return a field that older runs do not have: it is part of the identity only if it is not the default."""
    return Field(default, description=description, json_schema_extra=UNLESS_DEFAULT, **constraints)


Count = Annotated[int, Field(ge=1, le=10**12)]
CountOrZero = Annotated[int, Field(ge=0, le=10**12)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
# Strict: lr=1 is a float as well, true and "1" are none.
Positive = Annotated[float, Field(gt=0, le=1e12)]
NonNegative = Annotated[float, Field(ge=0, le=1e12)]
Fraction = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
