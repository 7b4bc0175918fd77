"""A comparison of runs: their axes, and the ranking of their measures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from infomcr_cli.judging.judge import judge_minima
from infomcr_cli.judging.left_out import LeftOut, Missing
from infomcr_cli.judging.minima import Minima, missing_values
from infomcr_cli.judging.result import RankingResult
from infomcr_cli.judging.ties import levels_of
from infomcr_cli.report.audit import Audit, audits_of, fragility_of
from infomcr_cli.report.axes import Axis, find_axes, json_value, setting_text
from infomcr_cli.report.barriers import RunBarriers, barriers_between, barriers_table
from infomcr_cli.report.conventions import ConventionConflict, convention_conflicts, direction_of
from infomcr_cli.report.evaluated_run import (
    ComparedRun,
    EvaluatedRun,
    gaps_of,
    measure_names,
    values_of,
)
from infomcr_cli.report.gather import Gathered
from infomcr_cli.report.notes import notes_on
from infomcr_cli.report.pairwise import PairAnswer, pair_answers
from infomcr_cli.report.search import NamedSweeps, SearchReport
from infomcr_cli.report.sort import sorted_runs, statistic_of


@dataclass(frozen=True)
class Comparison:
    """The result of `infomcr compare`.

    Attributes:
        included:    the ranked runs; the labels of the axes are in their order.
        excluded:    evaluated runs that missed their training-loss target, or whose training loss is too high.
        unevaluated: runs without an evaluation of the checkpoint.
        skipped:     a line on each path without a run.
        axes:        the settings that differ between the included runs.
        gap:         "error", "loss" or "test_error".
        conflicts:   measures of several conventions, allowed by --allow-mixed.
        ranking:     of the measures over the included runs.
        sort:        what the user sorts by, a statistic or a column.
        answers:     how few runs differ from the first one.
        fragility:   measure → what audits say of it, see `report.audit`; empty: there is none.
        search:      what the search found that made the runs; None: there was none.
        barriers:    between runs that `infomcr path` connected.
        files:       paths that were written: table, page and plots.
        mlflow_run_id: of the record of the comparison; None if it is not recorded.
    """

    exit_code: ClassVar[int] = 0

    included: tuple[EvaluatedRun, ...]
    excluded: tuple[EvaluatedRun, ...]
    unevaluated: tuple[ComparedRun, ...]
    skipped: tuple[str, ...]
    axes: tuple[Axis, ...]
    gap: str
    checkpoint: str
    conflicts: tuple[ConventionConflict, ...]
    ranking: RankingResult
    sort: str | None = None
    answers: tuple[PairAnswer, ...] = ()
    fragility: Mapping[str, float] = field(default_factory=dict)
    search: SearchReport | None = None
    barriers: tuple[RunBarriers, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    mlflow_run_id: str | None = None

    @property
    def runs(self) -> tuple[ComparedRun, ...]:
        """All runs: included, excluded, unevaluated."""
        return (*self.included, *self.excluded, *self.unevaluated)

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures, best first."""
        return tuple(one.name for one in self.ranking.measures)

    @property
    def mixed_measures(self) -> frozenset[str]:
        """Names of the measures whose numbers are of several conventions."""
        return frozenset(conflict.measure for conflict in self.conflicts)

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """The place of each ranked run in `included`, by its name."""
        return {run.name: row for row, run in enumerate(self.included)}

    @property
    def has_unranked_runs(self) -> bool:
        """Whether there are runs that are not ranked."""
        return bool(self.excluded or self.unevaluated or self.ranking.left_out.runs)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            **self.ranking.to_dict(),
            "gap": self.gap,
            "checkpoint": self.checkpoint,
            "axes": {axis.name: {"keys": list(axis.keys), "values": list(axis.values)} for axis in self.axes},
            "runs": [self._run_to_dict(run) for run in self.runs],
            "set_apart": [run.name for run in self.excluded],
            "unevaluated": [run.name for run in self.unevaluated],
            "passed_over": list(self.skipped),
            "pairs": [answer.to_dict() for answer in self.answers],
            "fragility": dict(self.fragility),
            "search": None if self.search is None else self.search.to_dict(),
            "barriers": [one.to_dict() for one in self.barriers],
            "mixed_conventions": [conflict.sentence() for conflict in self.conflicts],
            "notes": list(self.notes),
            "files": list(self.files),
            "mlflow_run_id": self.mlflow_run_id,
        }

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield what a terminal of `width` columns shows: tables, notes and the files that were written."""
        from infomcr_cli.report.ranking_table import ranking_tables
        from infomcr_cli.report.tables import runs_table, unranked_table
        from infomcr_cli.report.terminal import text_tables, written_files

        tables = [runs_table(self)] if self.included else []
        yield from (part for table in tables for part in text_tables(table, width))
        yield from (Text(f"{answer.sentence}\n") for answer in self.answers)
        tables = [unranked_table(self)] if self.has_unranked_runs else []
        if any(one.kendall_tau.value is not None for one in self.ranking.measures):
            tables += ranking_tables(self.ranking, self.fragility)
        tables += [barriers_table(self.barriers)] if self.barriers else []
        tables += self.search.tables() if self.search else []
        yield from (part for table in tables for part in text_tables(table, width))
        yield from map(Text, self.notes)
        if self.files:
            yield Text(f"Written: {', '.join(written_files(self.files))}")

    def _run_to_dict(self, run: ComparedRun) -> dict[str, Any]:
        settings = {axis.name: json_value(run.settings.get(axis.name)) for axis in self.axes}
        document = {"run": run.name, "state": run.state, "seed": json_value(run.seed), "settings": settings}
        if not isinstance(run, EvaluatedRun):
            return document
        found = run.evaluation
        return document | {
            "train": found.train.model_dump(include={"loss", "accuracy"}),
            "test": found.test.model_dump(include={"loss", "accuracy"}),
            "gap": found.gap.model_dump(include={"error", "loss"}),
            "std_error": {name: run.gap_std_error(name) for name in ("error", "test_error")},
            "compute": None if run.compute is None else run.compute.to_dict(),
            "measures": {
                name: one.model_dump(include={"value", "std_error", "unit"}) for name, one in found.measures.items()
            },
        }


def compare_runs(
    gathered: Gathered,
    sweeps: NamedSweeps,
    *,
    gap: str,
    checkpoint: str,
    sort: str | None = None,
    allow_mixed: bool = False,
    max_train_loss: float | None = None,
    by_family: bool = False,
    audit: Audit | None = None,
    seed: int = 0,
) -> Comparison:
    """Rank the measures of some runs.

    Args:
        sweeps:      what is known of the sweeps that made them.
        gap:         "error", "loss" or "test_error".
        sort:        a statistic to rank the measures by, or a column to sort the runs by.
        allow_mixed: rank numbers of different conventions together, marked.
        max_train_loss: leave out runs with a higher training loss.
        by_family:   look up the family of each measure.
        audit:       of one of the runs; None: those of the runs that have one.
        seed:        of simulated differences, sampled pairs and control measures.

    Raises:
        InputError: `sort` is unknown, or conventions are mixed and that is not allowed.
    """
    evaluated = [
        replace(run, high_loss=_is_too_high(run, max_train_loss))
        for run in gathered.runs
        if isinstance(run, EvaluatedRun)
    ]
    included = [run for run in evaluated if run.is_ranked]
    axes = find_axes([run.settings for run in included])
    runs, sorted_axes = sorted_runs(included, axes, sort)
    conflicts = convention_conflicts(included, allowed=allow_mixed)
    left_out = LeftOut(
        runs=dict(gathered.unreadable),
        high_loss=sum(run.high_loss for run in evaluated),
        max_train_loss=max_train_loss,
    )
    minima = minima_of(included, axes, gap, conflicts, left_out)
    directions = {name: direction_of(included, name) for name in minima.names}
    ranking = judge_minima(
        minima,
        gap=gap,
        n_test=min(filter(None, (run.evaluation.n_test for run in included if run.gap(gap) is not None)), default=None),
        seed=seed,
        directions={name: direction for name, direction in directions.items() if direction},
        rank_by=statistic_of(sort) or "kendall_tau",
    )
    if by_family:
        from infomcr_cli.report.ranking_table import measures_by_family

        ranking = replace(ranking, families=measures_by_family(ranking))
    comparison = Comparison(
        included=runs,
        excluded=tuple(run for run in evaluated if not run.is_ranked),
        unevaluated=tuple(run for run in gathered.runs if not isinstance(run, EvaluatedRun)),
        skipped=gathered.skipped,
        axes=sorted_axes,
        gap=gap,
        checkpoint=checkpoint,
        conflicts=conflicts,
        ranking=ranking,
        sort=sort,
        fragility=fragility_of([audit] if audit else audits_of(gathered.runs)),
        search=sweeps.search,
    )
    comparison = replace(comparison, answers=pair_answers(comparison), barriers=barriers_between(comparison.runs))
    return replace(comparison, notes=(*sweeps.notes, *notes_on(comparison)))


def _is_too_high(run: EvaluatedRun, limit: float | None) -> bool:
    """Return whether the training loss of a run is above a limit, or is not known."""
    loss = run.evaluation.train.loss
    return limit is not None and not (loss is not None and loss <= limit)


def minima_of(
    runs: Sequence[EvaluatedRun],
    axes: Sequence[Axis],
    gap: str,
    conflicts: Sequence[ConventionConflict],
    left_out: LeftOut,
) -> Minima:
    """Return one row for each run that has the gap: levels of the axes, the gap, and every measure.

    Args:
        conflicts: of the conventions of measures.
        left_out:  runs that are not ranked; what these runs lack is added.
    """
    gaps, names = gaps_of(runs, gap), measure_names(runs)
    known = np.isfinite(gaps)
    measures = np.array([values_of(runs, name)[known] for name in names])  # [M, n]
    levels = [levels_of([setting_text(run.settings, axis.name) for run in runs])[known] for axis in axes]  # [A, n]
    rows = int(known.sum())
    measures = measures.T.reshape(rows, len(names))  # [n, M], also for M = 0
    return Minima(
        gap=gaps[known],
        levels=np.array(levels, np.int64).T.reshape(rows, len(axes)),  # [n, A], also for A = 0
        axes=tuple(axis.name for axis in axes),
        names=tuple(names),
        measures=measures,
        rows=rows,
        mixed=frozenset(conflict.measure for conflict in conflicts),
        left_out=replace(left_out, without_gap=Missing(int((~known).sum())), measures=missing_values(measures, names)),
    )
