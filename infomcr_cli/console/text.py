"""Text that is safe to print."""

from __future__ import annotations

import unicodedata


def printable(text: str, limit: int = 500) -> str:
    r"""Return text without control, format and surrogate characters, so that it cannot steer a terminal.

    Example: printable("a\x1b[31mb") is "a�[31mb".
    """
    bad = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    clean = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in bad else c for c in text[: limit + 1])
    return clean if len(text) <= limit else clean[:limit] + "…"
