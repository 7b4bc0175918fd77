"""What a command leaves when a test runs it in its own process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """Its exit code and what it wrote."""

    code: int
    out: str
    err: str


CommandLine = Callable[..., Answer]
