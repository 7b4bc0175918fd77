"""Field types of the schema: each number has its range."""

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
    """Return a field that does not change the weights of a run, and so is not part of the run's identity."""
    return Field(description=description, json_schema_extra=NOT_IDENTITY, **constraints)


def hashed_unless_default(default: Any, description: str, **constraints: Any) -> Any:
    """Return a field that older runs do not have; its default is left out of the identity, which they keep."""
    return Field(default, description=description, json_schema_extra=UNLESS_DEFAULT, **constraints)


Count = Annotated[int, Field(ge=1, le=10**12)]
CountOrZero = Annotated[int, Field(ge=0, le=10**12)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
# In strict mode 1 is accepted as a float; true and "1" are not.
Positive = Annotated[float, Field(gt=0, le=1e12)]
NonNegative = Annotated[float, Field(ge=0, le=1e12)]
Fraction = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
