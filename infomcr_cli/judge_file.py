"""The command `judge`: rank the measures of a table that was made elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.console import RenderableType

from infomcr_cli.judging.result import RankingResult
from infomcr_cli.report import judge_table


@dataclass(frozen=True)
class JudgeResult:
    """The ranking of a table's measures."""

    exit_code: ClassVar[int] = 0

    ranking: RankingResult

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `judge --json`."""
        return self.ranking.to_dict()

    def renderables(self, width: int) -> Iterable[RenderableType]:
        """Return the tables and notes of the ranking."""
        from infomcr_cli.report.terminal import ranking_renderables

        return ranking_renderables(self.ranking, width)


def judge_file(
    table: Path,
    *,
    gap: str,
    axes: Sequence[str],
    measures: Sequence[str] | None = None,
    n_test: int | None = None,
    directions: Sequence[str] = (),
    max_train_loss: float | None = None,
    by_family: bool = False,
) -> JudgeResult:
    """Rank the measures of a CSV file.

    Raises:
        InputError: the file cannot be read, a column is absent or holds no numbers.
    """
    return JudgeResult(
        judge_table.judge_file(
            table,
            gap=gap,
            axes=axes,
            measures=measures,
            n_test=n_test,
            directions=directions,
            max_train_loss=max_train_loss,
            by_family=by_family,
        )
    )
