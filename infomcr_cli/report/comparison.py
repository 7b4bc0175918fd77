"""A comparison: runs, their axes, and the verdict on their measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from infomcr_cli.config.allowed_builders import named_again
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.judging.judge import judge_minima
from infomcr_cli.judging.left_out import LeftOut, Missing
from infomcr_cli.judging.levels import levels_of
from infomcr_cli.judging.minima import Minima, missing
from infomcr_cli.judging.result import STATISTICS, RankingResult
from infomcr_cli.judging.sign_error import LOSS_GAP
from infomcr_cli.report.axes import Axis, find_axes, setting_text
from infomcr_cli.report.conventions import ConventionConflict, convention_conflicts, refuse_convention_conflicts
from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.report.gather import check_gap
from infomcr_cli.runs import RunDirectory, list_checkpoints
from infomcr_cli.runs.measures_file import Evaluation

SHOWN = 10  # runs that are named where they lack an evaluation
_HOW = ("Measure them", "Measure them, with the function that model.builder names")


@dataclass(frozen=True)
class Comparison:
    """What `infomcr compare` found.

    Attributes:
        judged:      runs in the verdict; the axes' labels are in their order.
        apart:       runs that missed their training-loss target, outside the verdict.
        unevaluated: runs without an evaluation of the checkpoint.
        passed_over: a line on each path that is no run and holds none.
        mixed:       measures of several conventions, let through by --allow-mixed.
        verdict:     of the judged runs.
        files:       what was written: table, page and pictures.
        mlflow_run_id: where the comparison is recorded; None: nowhere.
    """

    judged: tuple[EvaluatedRun, ...]
    apart: tuple[EvaluatedRun, ...]
    unevaluated: tuple[EvaluatedRun, ...]
    passed_over: tuple[str, ...]
    axes: tuple[Axis, ...]
    gap: str
    checkpoint: str
    mixed: tuple[ConventionConflict, ...]
    verdict: RankingResult
    notes: tuple[str, ...]
    files: tuple[str, ...] = ()
    mlflow_run_id: str | None = None

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures, best first."""
        return tuple(one.name for one in self.verdict.measures)

    @property
    def mixed_measures(self) -> frozenset[str]:
        """Names of the measures whose numbers are of several conventions."""
        return frozenset(mixture.measure for mixture in self.mixed)

    @property
    def has_others(self) -> bool:
        """Whether there are runs outside the verdict."""
        return bool(self.apart or self.unevaluated or self.verdict.left_out.runs)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            **self.verdict.to_dict(),
            "gap": self.gap,
            "checkpoint": self.checkpoint,
            "axes": {axis.name: {"keys": list(axis.keys), "values": list(axis.values)} for axis in self.axes},
            "runs": [self._run_document(entry) for entry in (*self.judged, *self.apart, *self.unevaluated)],
            "set_apart": [entry.name for entry in self.apart],
            "unevaluated": [entry.name for entry in self.unevaluated],
            "passed_over": list(self.passed_over),
            "mixed_conventions": [mixture.sentence() for mixture in self.mixed],
            "notes": list(self.notes),
            "files": list(self.files),
            "mlflow_run_id": self.mlflow_run_id,
        }

    def _run_document(self, entry: EvaluatedRun) -> dict[str, Any]:
        found = entry.evaluation
        settings = {axis.name: entry.settings.get(axis.name) for axis in self.axes}
        document = {"run": entry.name, "state": entry.state, "seed": entry.seed, "settings": settings}
        if found is None:
            return document
        values = {name: one.model_dump(include={"value", "std_error", "unit"}) for name, one in found.measures.items()}
        scores = {"train": found.train.model_dump(), "test": found.test.model_dump(), "gap": found.gap.model_dump()}
        compute = None if entry.compute is None else entry.compute.to_dict()
        return document | scores | {"compute": compute, "measures": values}


def compared(
    entries: Sequence[EvaluatedRun],
    *,
    gap: str,
    checkpoint: str,
    rank_by: str,
    allow_mixed: bool,
    seed: int,
    passed_over: Sequence[str] = (),
    unreadable: Mapping[str, str] | None = None,
) -> Comparison:
    """Judge the measures of some runs.

    Args:
        gap: "error", "loss" or "test_error";
        unreadable: run → why it cannot be read.

    Raises:
        InputError: conventions are mixed and that was not allowed, or the gap is none that is recorded.
    """
    check_gap(gap)
    evaluated = [entry for entry in entries if entry.evaluation]
    judged = judged_of(entries)
    mixed = convention_conflicts(judged)
    if not allow_mixed:
        refuse_convention_conflicts(mixed)
    axes = find_axes([entry.settings for entry in judged])
    runs = minima_of(judged, axes, gap, mixed=frozenset(mixture.measure for mixture in mixed))
    runs = replace(runs, left_out=replace(runs.left_out, runs=dict(unreadable or {})))
    sizes = [entry.evaluation.n_test for entry in judged if entry.evaluation and entry.evaluation.n_test]
    directions = {name: direction_of(judged, name) for name in runs.names}
    verdict = judge_minima(
        runs,
        gap=gap,
        n_test=min(sizes, default=None),
        seed=seed,
        directions={name: direction for name, direction in directions.items() if direction},
        rank_by=rank_by,
    )
    comparison = Comparison(
        judged=tuple(judged),
        apart=tuple(entry for entry in evaluated if entry.missed),
        unevaluated=tuple(entry for entry in entries if not entry.evaluation),
        passed_over=tuple(passed_over),
        axes=axes,
        gap=gap,
        checkpoint=checkpoint,
        mixed=mixed,
        verdict=verdict,
        notes=(),
    )
    return replace(comparison, notes=tuple(_notes(comparison)))


def judged_of(entries: Sequence[EvaluatedRun]) -> list[EvaluatedRun]:
    """Return the runs that are judged: evaluated, and not short of their training-loss target."""
    return [entry for entry in entries if entry.evaluation and not entry.missed]


def gap_of(evaluation: Evaluation, gap: str) -> float | None:
    """Return the gap of that name."""
    if gap == "test_error":
        return None if evaluation.test.accuracy is None else 1 - evaluation.test.accuracy
    value: float | None = getattr(evaluation.gap, gap)
    return value


def minima_of(
    entries: Sequence[EvaluatedRun], axes: Sequence[Axis], gap: str, *, mixed: frozenset[str] = frozenset()
) -> Minima:
    """Return one row for each run that has the gap: levels of the axes, the gap, and every measure."""
    gaps = gaps_of(entries, gap)
    known = np.isfinite(gaps)
    names = measure_names(entries)
    measures = np.array([values_of(entries, name)[known] for name in names]).T.reshape(int(known.sum()), len(names))
    levels = [levels_of([setting_text(entry.settings, axis.name) for entry in entries])[known] for axis in axes]
    return Minima(
        gap=gaps[known],
        levels=np.array(levels, np.int64).T.reshape(len(measures), len(axes)),
        axes=tuple(axis.name for axis in axes),
        names=tuple(names),
        measures=measures,
        rows=len(measures),
        mixed=mixed,
        left_out=LeftOut(without_gap=Missing(int((~known).sum())), measures=missing(measures, names)),
    )


def gaps_of(entries: Sequence[EvaluatedRun], gap: str) -> np.ndarray:
    """Return the gap of each run, NaN where it has none, float64 [n]."""
    return _floats([gap_of(entry.evaluation, gap) if entry.evaluation else None for entry in entries])


def values_of(entries: Sequence[EvaluatedRun], name: str) -> np.ndarray:
    """Return a measure of each run, NaN where it has none, float64 [n]."""
    found = [entry.evaluation.measures.get(name) if entry.evaluation else None for entry in entries]
    return _floats([one.value if one else None for one in found])


def measure_names(entries: Sequence[EvaluatedRun]) -> list[str]:
    """Return the names of all measures that any run has, in order of appearance."""
    return list(dict.fromkeys(name for entry in entries if entry.evaluation for name in entry.evaluation.measures))


def direction_of(entries: Sequence[EvaluatedRun], name: str) -> str | None:
    """Return "lower" or "higher" as the first run that knows says it."""
    for entry in entries:
        measured = entry.evaluation.measures.get(name) if entry.evaluation else None
        if measured is not None and measured.direction in ("lower", "higher"):
            return measured.direction
    return None


def _floats(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _measuring(comparison: Comparison) -> list[str]:
    """Return the commands that measure the runs which are not, those of a network of the user's own by themselves."""
    option = [] if comparison.checkpoint == "last" else ["--checkpoint", comparison.checkpoint]
    together: dict[tuple[str, ...], list[Path]] = {}
    for entry in comparison.unevaluated[:SHOWN]:
        if _has(entry.run, comparison.checkpoint):
            builder = {"model": {"builder": entry.config.get("model.builder")}}
            together.setdefault(tuple(named_again(builder)), []).append(entry.run.path)
    commands = [suggested_command("eval", *runs, *option, *named) for named, runs in together.items()]
    return [command for command in commands if command == printable(command, 8192)]


def _has(run: RunDirectory, checkpoint: str) -> bool:
    names = [info.name for info in list_checkpoints(run)]
    return bool(names) and checkpoint in ("last", "best", *names)


def _notes(comparison: Comparison) -> list[str]:
    notes = list(comparison.verdict.notes)
    if comparison.mixed:
        notes.append("Numbers of different conventions were ranked together (--allow-mixed); they are marked with *.")
        notes += [mixture.sentence() for mixture in comparison.mixed]
    if comparison.apart:
        names = ", ".join(entry.name for entry in comparison.apart[:10])
        notes.append(
            f"Outside the verdict, for they missed their training-loss target ({len(comparison.apart)}): {names}."
        )
    if comparison.unevaluated:
        names = " ".join(entry.name for entry in comparison.unevaluated[:SHOWN])
        number = len(comparison.unevaluated)
        notes.append(f"Without an evaluation of the checkpoint {comparison.checkpoint!r} ({number}): {names}.")
        notes += [f"{_HOW[' model.builder=' in command]}: `{command}`" for command in _measuring(comparison)]
    sizes = {entry.evaluation.n_test for entry in comparison.judged if entry.evaluation}
    if len(sizes - {None}) > 1:
        notes.append("The runs' test sets differ in size; the sign error takes the smallest.")
    if comparison.gap == "loss":
        notes.append(LOSS_GAP)
    notes += [f"{line}: passed over." for line in comparison.passed_over]
    return notes


_SHORT = {"tau": "kendall_tau", "rho": "spearman_rho", "psi": "granulated_psi", "k": "conditional_information"}
_SCORES: dict[str, Callable[[EvaluatedRun], float | None]] = {
    "gap": lambda entry: entry.evaluation.gap.error if entry.evaluation else None,
    "loss_gap": lambda entry: entry.evaluation.gap.loss if entry.evaluation else None,
    "train_loss": lambda entry: entry.evaluation.train.loss if entry.evaluation else None,
    "test_loss": lambda entry: entry.evaluation.test.loss if entry.evaluation else None,
    "compute": lambda entry: entry.compute.epochs if entry.compute else None,
    "test_accuracy": lambda entry: entry.evaluation.test.accuracy if entry.evaluation else None,
}


def statistic_of(sort: str | None) -> str:
    """Return the statistic that a sort asks the measures to be ranked by; τ where it names a column of runs."""
    name = _SHORT.get((sort or "").lower(), sort)
    return name if name in STATISTICS else "kendall_tau"


def check_sort(entries: Sequence[EvaluatedRun], sort: str | None) -> None:
    """Raise where a sort is neither a statistic nor a column of the table of runs.

    Raises:
        InputError: it is neither.
    """
    if sort is None or _names_statistic(sort):
        return
    judged = judged_of(entries)
    axes = [axis.name for axis in find_axes([entry.settings for entry in judged])]
    accepted = [*STATISTICS, "name", *_SCORES, *axes, *measure_names(judged)]
    if sort not in accepted:
        raise InputError(
            "--sort must name a statistic, a measure, a gap or a setting that differs", received=sort, accepted=accepted
        )


def ordered(comparison: Comparison, sort: str | None) -> Comparison:
    """Return the comparison with its runs in the order of a column; ascending, missing values last.

    Args:
        sort: one that `check_sort` accepts.
    """
    if sort is None or _names_statistic(sort):
        return comparison
    axes = {axis.name: axis for axis in comparison.axes}
    order = sorted(range(len(comparison.judged)), key=lambda index: _key(comparison, index, sort, axes))
    shuffled = [Axis(axis.name, axis.keys, tuple(axis.labels[i] for i in order)) for axis in comparison.axes]
    return replace(comparison, judged=tuple(comparison.judged[i] for i in order), axes=tuple(shuffled))


def unique_names(entries: Sequence[EvaluatedRun]) -> list[EvaluatedRun]:
    """Return the runs, those that share a name called by their parent directory as well, then by number."""
    counts = Counter(entry.name for entry in entries)
    longer = [
        replace(entry, name=printable(f"{entry.run.path.parent.name}/{entry.run.path.name}"))
        if counts[entry.name] > 1
        else entry
        for entry in entries
    ]
    counts, seen = Counter(entry.name for entry in longer), Counter[str]()
    unique = []
    for entry in longer:
        seen[entry.name] += 1
        unique.append(replace(entry, name=f"{entry.name} ({seen[entry.name]})") if counts[entry.name] > 1 else entry)
    return unique


def _names_statistic(sort: str) -> bool:
    return _SHORT.get(sort.lower(), sort) in STATISTICS


def _key(comparison: Comparison, index: int, sort: str, axes: dict[str, Axis]) -> tuple[bool, float, str]:
    entry = comparison.judged[index]
    if sort == "name":
        return False, 0.0, entry.name
    if sort in axes:
        return False, float(axes[sort].values.index(axes[sort].labels[index])), ""
    measured = entry.evaluation.measures.get(sort) if entry.evaluation else None
    value = _SCORES[sort](entry) if sort in _SCORES else (measured.value if measured else None)
    return value is None, value or 0.0, ""
