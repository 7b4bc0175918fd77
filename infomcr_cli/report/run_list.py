"""The runs of a folder as a JSON document and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.console.text import printable
from infomcr_cli.report.axes import full_text, json_value
from infomcr_cli.report.run_summary import RunSummary
from infomcr_cli.runs import State
from infomcr_cli.runs.annotations import Annotations

WIDE = 70
UNREADABLE = "unreadable"  # in place of a state
SHOWN = 5  # lost runs whose commands are printed


@dataclass(frozen=True)
class RunList:
    """The runs of a folder.

    Args:
        repaired: whether lost runs were closed; then a problem is a failure.
        columns:  the names that were chosen; none: the usual columns.
        total:    how many runs there are if only some are listed; None: all are.
        csv:      the file that the table was written to; None: none.
    """

    runs: tuple[RunSummary, ...]
    repaired: bool = False
    columns: tuple[str, ...] = ()
    total: int | None = None
    csv: Path | None = None

    @property
    def exit_code(self) -> int:
        """1 if a run could not be closed, or not in MLflow."""
        return int(self.repaired and any(run.problem for run in self.runs))

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `runs --json`."""
        started = [None if run.started is None else run.started.isoformat() for run in self.runs]
        runs = [{**asdict(run), "started": when} for run, when in zip(self.runs, started, strict=True)]
        return {"runs": json_value(runs)}

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield a table with a line for each run; whatever a directory says is text, never markup."""
        head, *rows = self.table(is_wide=width >= WIDE)
        table = Table(box=None, pad_edge=False)
        for name in head:
            table.add_column(name, overflow="fold", no_wrap=name == "state")  # Rich would cut a name with an ellipsis
        for row in rows:
            table.add_row(*(Text(_shown(cell)) for cell in row))
        yield table
        if self.total is not None:
            yield f"{len(self.runs)} of {self.total} runs"
        if self.csv is not None:
            yield printable(str(self.csv))
        if not self.columns and (lost := [run for run in self.runs if run.state is State.LOST and not run.closed]):
            yield _ways_on(lost)

    def table(self, *, is_wide: bool = True) -> list[list[Any]]:
        """Return the names of the columns, then the cells of each run."""
        if self.columns:
            return [list(self.columns), *([run.values[name] for name in self.columns] for run in self.runs)]
        facts = ("epoch", "step", "model", "reg") if is_wide else ()
        noted = [name for name in ("tags", "note") if any(getattr(run, name) for run in self.runs)]
        rows: list[list[Any]] = [["run", "state", *facts, *noted, "remark"]]
        for run in self.runs:
            known = {"epoch": run.epoch, "step": run.step, **run.choices, "note": run.note}
            known["tags"] = Annotations(tags=dict(run.tags)).tags_text
            remark = run.problem or ("closed just now" if run.repaired else run.reason or "")
            shown = (known.get(name, "") for name in (*facts, *noted))
            rows.append([run.run, str(run.state or UNREADABLE), *shown, remark])
        return rows


def _shown(cell: Any) -> str:
    """Return a cell as the terminal shows it: numbers of five digits."""
    if cell is None:
        return ""
    return f"{cell:.5g}" if isinstance(cell, float) else printable(full_text(cell))


def _ways_on(lost: Sequence[RunSummary]) -> str:
    """Return how lost runs are closed, and how the first few are continued."""
    folder = Path(lost[0].path).parent
    elsewhere = [] if folder == Path("runs").resolve() else ["--runs-dir", folder]
    commands = [f"  {one.resume}" for one in lost[:SHOWN] if one.resume]
    code = "; model.builder runs the function that it names" if any("model.builder=" in one for one in commands) else ""
    head = [f"These commands continue{code}:"] if commands else []
    return "\n".join(
        [f"{len(lost)} lost. `{suggested_command('runs', '--repair', *elsewhere)}` closes them.", *head, *commands]
    )
