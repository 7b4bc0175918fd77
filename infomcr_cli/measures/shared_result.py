"""A result that several measures share, computed once; a failure is shared as well."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class shared_result(Generic[T]):
    """A `cached_property` that keeps an exception too: what took hours and failed is not tried again."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._place = f"_{name}_outcome"

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        kept = vars(instance)
        if self._place not in kept:
            kept[self._place] = self._outcome(instance)
        value, error = kept[self._place]
        if error is not None:
            raise error
        return value

    def _outcome(self, instance: Any) -> tuple[T | None, Exception | None]:
        try:
            return self._compute(instance), None
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # they hold the arrays for which there was no memory, perhaps
            return None, error
