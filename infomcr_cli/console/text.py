"""Text that is safe to print."""

from __future__ import annotations

import unicodedata


def printable(text: str, limit: int = 500) -> str:
    r"""Return text without control, format and surrogate characters, so that it cannot steer a terminal.

    U+FFFE and U+FFFF, which XML forbids, are replaced too.

    Example: printable("a\x1b[31mb") is "a�[31mb".
    """
    clean = "".join("\N{REPLACEMENT CHARACTER}" if _is_bad(character) else character for character in text[: limit + 1])
    return clean if len(text) <= limit else clean[:limit] + "…"


def clock_time(seconds: float) -> str:
    """Return a duration in hours, minutes and seconds.

    Examples:
        >>> clock_time(3725.4)
        '1:02:05'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


def _is_bad(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} or character in "\ufffe\uffff"
