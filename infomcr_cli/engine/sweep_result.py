"""The result of `infomcr sweep`: its JSON document and what a terminal shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from infomcr_cli.engine import summary
from infomcr_cli.engine.summary import JobResult, Startup
from infomcr_cli.runs import State

if TYPE_CHECKING:
    from infomcr_cli.engine.search.plan import SearchPlan
    from infomcr_cli.report.comparison import Comparison
    from infomcr_cli.report.search import SearchReport

_COUNTED = (State.FINISHED, State.SKIPPED, State.FAILED, State.KILLED, State.RUNNING, None)
_ALWAYS = _COUNTED[:4]  # shown even if there are none


@dataclass(frozen=True)
class SweepResult:
    """What became of a sweep.

    Args:
        folder:     the sweep's own; None for a dry run.
        startup:    what the start of a job's process cost; None: none was started.
        number:     the signal that ended it; None: none did.
        search:     what a search found; None: the sweep was no search.
        search_plan: what a dry run of a search would search.
    """

    jobs: tuple[JobResult, ...]
    folder: Path | None = None
    comparison: Comparison | None = None
    startup: Startup | None = None
    number: int | None = None
    search: SearchReport | None = None
    search_plan: SearchPlan | None = None

    @property
    def exit_code(self) -> int:
        """0 done, 1 a job failed, 129, 130 or 143 interrupted."""
        if self.number is not None:
            return 128 + self.number
        return 1 if self.folder and summary.is_incomplete(self.jobs) else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `sweep --json`."""
        counts = {_word(state): summary.count(self.jobs, state) for state in _COUNTED}
        searched = self.search if self.search_plan is None else self.search_plan  # a dry run has only a plan
        return {
            "jobs": [job.to_dict() for job in self.jobs],
            **counts,
            **({} if self.search is None else {"pruned": summary.count_pruned(self.jobs)}),
            "sweep": None if self.folder is None else str(self.folder),
            "startup_seconds": None if self.startup is None else asdict(self.startup),
            "search": None if searched is None else searched.to_dict(),
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
        }

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield the jobs of a dry run, or the comparison, the failures and the counts."""
        if self.folder is None:
            if self.search_plan is not None:
                yield self.search_plan.summary
                return
            yield summary.jobs_table(self.jobs)
            yield f"{len(self.jobs)} jobs"
            return
        if self.comparison is not None:
            yield from self.comparison.renderables(width)
        elif self.search is not None:
            from infomcr_cli.report.terminal import search_renderables

            yield from search_renderables(self.search, width)
        yield from summary.failure_lines(self.jobs)
        counts = {state: summary.count(self.jobs, state) for state in _COUNTED}
        shown = [f"{count} {_word(state, ' ')}" for state, count in counts.items() if count or state in _ALWAYS]
        shown += [f"{count} pruned"] if (count := summary.count_pruned(self.jobs)) else []
        yield f"{', '.join(shown)}  {self.folder}"


def _word(state: State | None, between: str = "_") -> str:
    return f"not{between}begun" if state is None else str(state).lower()
