"""The generated parts of docs/study.md: Markdown from the tables alone, nothing from runs."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.study.families import family
from benchmarks.study.pilot import PILOT
from benchmarks.study.rows import is_whole
from benchmarks.study.slices import Family
from benchmarks.study.statistics import Floats, Interval, partial_rho, partial_tau, ranks_within
from benchmarks.study.tables import Row, Table

GAPS = {"gap_error": "the error gap", "test_error": "the test error"}
PLANNED = ("minima", "tuning", "regularizers", "plane")
RANK_BY = "granulated_psi"
NORMALISED, _VOLUME, _OTHER = "gamma_normalised", "volume", "other"


def rows_of(name: str, tables: Path) -> list[dict[str, str]]:
    """Return the rows of a family's table."""
    chosen = family(name, tables)
    return Table(tables / f"{name}.csv", chosen.keys).rows()


def is_complete(chosen: Family, rows: Sequence[Row]) -> bool:
    """Return whether every planned job has a row, and every one that finished its second evaluation too."""
    known = {chosen.key(row): row for row in rows}
    return bool(chosen.jobs) and all(is_whole(chosen, job, known.get(chosen.key(job))) for job in chosen.jobs)


def status(tables: Path) -> str:
    """Return how far each table is, and the hours that its rows took."""
    lines = ["| table | rows of planned | ranked | failed | hours |", "| --- " * 5 + "|"]
    for name in PLANNED:
        rows, planned = rows_of(name, tables), len(family(name, tables).jobs)
        states = Counter(row.get("state") for row in rows)
        ranked = sum(row.get("in_verdict") == "True" for row in rows)
        lines.append(
            f"| [{name}.csv](study/{name}.csv) | {len(rows)} of {planned or 'a number that the tuning decides'} "
            f"| {ranked} | {states['FAILED']} | {_hours(rows):.1f} |"
        )
    hours = "Hours on the clock of its jobs, pauses included, each on one core; the second evaluation is not counted."
    return "\n".join(lines) + f"\n\n{hours}"


def design(tables: Path) -> str:
    """Return the levels of each axis, and the slices in their order."""
    chosen = family("minima", tables)
    lines = ["| axis | levels (settings) |", "| --- | --- |"]
    for axis in chosen.axes:
        counts = Counter(job[axis] for job in chosen.jobs)
        lines.append(f"| `{axis}` | " + ", ".join(f"{level} ({count})" for level, count in counts.items()) + " |")
    seeds = Counter(tuple(job[axis] for axis in chosen.axes) for job in chosen.jobs)
    several = sum(count > 1 for count in seeds.values())
    return "\n".join(lines) + (
        f"\n\n{len(chosen.jobs)} runs of {len(seeds)} settings in {len(chosen.slices)} slices; "
        f"{several} settings ({several / len(seeds):.0%}) have two seeds."
    )


def pilot(tables: Path) -> str:
    """Return the table of the pilot."""
    rows = rows_of("pilot", tables)
    names = ("epochs to 0.1", "epochs to 0.03", "epochs to 0.01", "epochs")
    cells = [
        [*(row[axis] for axis in PILOT.axes), *(row.get(name) or "–" for name in names), _percent(row)] for row in rows
    ]
    errors = [float(row["test_error"]) for row in rows if row.get("test_error")]
    spread = f"{min(errors):.1%} to {max(errors):.1%}" if errors else "unknown"
    head = f"{len(rows)} of {len(PILOT.jobs)} runs; test errors from {spread}."
    return head + "\n\n" + markdown_table((*PILOT.axes, *names, "test error"), cells)


def frame_of(path: Path) -> pd.DataFrame:
    """Return a table with numbers as numbers; only an empty cell is none."""
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def averaged(frame: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """Return one row for each setting: the means over its seeds."""
    return frame.groupby(list(axes), sort=False, as_index=False).mean(numeric_only=True)


def judgement(frame: pd.DataFrame, gap: str, axes: Sequence[str]) -> dict[str, Any]:
    """Return the document of `infomcr judge --by-family`, measures in the order of Ψ."""
    from infomcr_cli.report.judge_table import judge

    found = judge(frame, gap=gap, axes=axes, by_family=True, rank_by=RANK_BY).to_dict()
    families = with_normalised(found["families"], list(found["measures"]))
    for one in families.values():
        if one["best"] and found["measures"][one["best"]]["oriented"][RANK_BY]["low"] is None:
            one["best"] = None  # too few minima have it
    return {**found, "families": families}


def with_normalised(families: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """Return families with gamma of normalised logits, which no registry knows, in that of gamma.

    Args:
        order: all measures, best first.
    """
    own = {kind: list(one["measures"]) for kind, one in families.items()}
    if NORMALISED in own.get(_OTHER, ()):
        own[_OTHER].remove(NORMALISED)
        own.setdefault(_VOLUME, []).append(NORMALISED)
    ordered = {kind: sorted(names, key=order.index) for kind, names in own.items() if names}
    firsts = sorted(ordered, key=lambda kind: order.index(ordered[kind][0]))
    is_ranked = any(one["best"] for one in families.values())
    return {kind: {"best": ordered[kind][0] if is_ranked else None, "measures": ordered[kind]} for kind in firsts}


def command(name: str, gap: str, axes: Sequence[str], option: str = "") -> str:
    """Say which command prints the statistics of a table.

    Args:
        name:   of the table.
        option: a further option, with a space before it.
    """
    words = f"docs/study/{name}.csv --gap {gap} --axes {shlex.quote(','.join(axes))} --by-family{option}"
    return (
        f"Computed by `infomcr judge {words}`, which orders by τ; the order here, and the best of a family, are by Ψ. "
        "τ and ρ given the training loss besides."
    )


def measure_table(found: Mapping[str, Any], frame: pd.DataFrame, gap: str, *, within: str = "") -> str:
    """Return a line for each measure: family, n, Ψ, τ, partial τ and ρ given the training loss, K and the sign error.

    Args:
        frame:  a row for each setting.
        within: an axis; ρ given the training loss within its levels is a further column.
    """
    families = {name: one for one, part in (found["families"] or {}).items() for name in part["measures"]}
    further = (f"the same within {within}",) if within else ()
    given = ("τ given training loss", "ρ given training loss", *further)
    head = ("measure", "family", "better", "n", "Ψ (groups)", "τ", *given, "K", "sign error (pairs)")
    cells = []
    for name, one in {**found["measures"], **found["references"]}.items():
        partials = partials_of(frame, name, gap, one["direction"], within=within)
        cells.append(_cells(name, families.get(name, "–"), one, partials))
    return markdown_table(head, cells)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown.

    Examples:
        >>> markdown_table(("a", "b"), [("1", "2")])
        '| a | b |\\n| --- | --- |\\n| 1 | 2 |'
    """
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def partials_of(
    frame: pd.DataFrame, name: str, gap: str, direction: str | None, *, within: str = "", level: float = 0.95
) -> list[Interval]:
    """Return partial τ and ρ of a measure given the training loss, and ρ within the levels of an axis if one is named.

    Positive means that the measure ranks as its direction claims; for the training loss itself there are none.

    Args:
        level: coverage of the intervals.
    """
    if name == "train_loss" or name not in frame:
        return [Interval(None)] * (3 if within else 2)
    columns: list[Floats] = [frame[one].to_numpy(np.float64) for one in (name, gap, "train_loss")]
    found = [partial_tau(*columns, level=level), partial_rho(*columns, level=level)]
    if within:
        found.append(partial_rho(*(ranks_within(one, frame[within].to_numpy()) for one in columns), level=level))
    return [oriented(one, direction) for one in found]


def oriented(one: Interval, direction: str | None) -> Interval:
    """Return an interval so that positive means that the measure ranks as its direction claims."""
    if direction != "higher" or one.value is None:
        return one
    low, high = (None if bound is None else -bound for bound in (one.high, one.low))
    return Interval(-one.value, low, high)


def interval_text(one: Mapping[str, Any]) -> str:
    """Return a value with its interval, a dash for none.

    Examples:
        >>> interval_text({"value": 0.5, "low": 0.25, "high": 0.75}), interval_text({"value": None})
        ('0.50 [0.25, 0.75]', '–')
    """
    if one["value"] is None:
        return "–"
    return f"{one['value']:.2f}" + ("" if one.get("low") is None else f" [{one['low']:.2f}, {one['high']:.2f}]")


def _cells(name: str, kind: str, one: Mapping[str, Any], partials: Sequence[Interval]) -> list[str]:
    groups, info, error = one["granulated_psi"]["groups"], one["conditional_information"], one["oriented"]["sign_error"]
    return [
        name,
        kind,
        one["direction"] or "–",
        str(one["n"]),
        f"{interval_text(one['oriented']['granulated_psi'])} ({sum(groups.values())})",
        interval_text(one["oriented"]["kendall_tau"]),
        *(interval_text(vars(partial)) for partial in partials),
        "–" if info["value"] is None else f"{info['value']:.3f}",
        "–" if error["mean"] is None else f"{error['mean']:.2f} ({one['sign_error']['pairs']})",
    ]


def incomplete(name: str, rows: Sequence[Row], chosen: Family) -> str:
    """Say how much of a table there is; it shows nothing before it is complete."""
    jobs = {chosen.key(job): job for job in chosen.jobs}
    lacking = sum(not is_whole(chosen, jobs[chosen.key(row)], row) for row in rows if chosen.key(row) in jobs)
    second = f", {lacking} of them without the second evaluation" if lacking else ""
    return f"The table {name}.csv is incomplete: {len(rows)} of {len(chosen.jobs)} rows{second}. It shows nothing yet."


def _hours(rows: Sequence[Row]) -> float:
    names = ("compute_seconds", "compute_seconds_measures")
    return sum(float(row.get(name) or 0) for row in rows for name in names) / 3600


def _percent(row: Row) -> str:
    return f"{float(row['test_error']):.1%}" if row.get("test_error") else "–"


PARTS: Mapping[str, Callable[[Path], str]] = {
    "status": status,
    "design": design,
    "pilot": pilot,
}
