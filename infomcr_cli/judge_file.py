"""What the command `judge` shows: the ranking of the measures of a table that was made elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.console import RenderableType

from infomcr_cli.judging.result import RankingResult


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
