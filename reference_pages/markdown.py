"""Small pieces of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; nothing if there are no rows."""
    lines = [_row(cells) for cells in rows]
    return "".join([_row(head), _row(["---"] * len(head)), *lines, "\n"]) if lines else ""


def code(text: str) -> str:
    """Return a text in backticks; nothing for nothing."""
    return f"`{text}`" if text else ""


def plain(text: str) -> str:
    """Return a text whose signs of Markdown and HTML are shown as they are; what is in backticks stays code."""
    parts = text.split("`")
    for number in range(0, len(parts), 2):
        parts[number] = re.sub(r"[\\*_\[\]<>]", lambda found: f"&#{ord(found[0])};", parts[number])
    return "`".join(parts)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"
