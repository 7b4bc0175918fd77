"""Where the time of a run went, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table


def time_table(seconds: Mapping[str, float]) -> Table:
    """Return a table of seconds and shares by part."""
    whole = sum(seconds.values())
    table = Table("part", title="where the time went", title_justify="left")
    for heading in ("seconds", "share"):
        table.add_column(heading, justify="right")
    for part, spent in seconds.items():
        table.add_row(part, f"{spent:.2f}", f"{spent / whole:.1%}")
    table.add_row("whole", f"{whole:.2f}", "")
    return table
