"""The tables of a comparison as text cells, which the terminal and the HTML page both show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from infomcr_cli.judging.two_runs import LEVEL
from infomcr_cli.report.columns import MEASURE
from infomcr_cli.report.conventions import unit_of
from infomcr_cli.report.evaluated_run import GAPS, UNIT, EvaluatedRun, gap_label

if TYPE_CHECKING:
    from infomcr_cli.report.comparison import Comparison

NONE = "–"
GAMMA, RUN = "gamma", "run"
MOST_CHARACTERS = 60  # of a name that is made of settings
_COMPUTE = "compute"
_HASH = re.compile(r"-[0-9a-f]{8}([0-9a-f]{8})?$")  # at the end of a name that the user did not give
_Groups = Sequence[Sequence[EvaluatedRun]]
_SORTED_BY = {"gap": GAPS["error"], "loss_gap": GAPS["loss"]}  # column of the table that a word of --sort means
_RUNS_CAPTION = "±: the standard deviation over seeds, or the standard error of a single run"
_ANSWERS_CAPTION = "; in comparisons of two runs or settings, always the standard error"
_COMPUTE_CAPTION = f"compute: forward and backward passes of the training, in {UNIT}"


@dataclass(frozen=True)
class TextTable:
    """A table of text. The first column names the row and is repeated if the table is too wide for one block."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


def format_number(value: float | None, digits: int = 3) -> str:
    """Return a number with a few significant digits, or a dash if there is none.

    Examples:
        >>> format_number(0.12345), format_number(999.6), format_number(1.5e6), format_number(None)
        ('0.123', '999.6', '1.5e+06', '–')
    """
    if value is None or not np.isfinite(value):
        return NONE
    return f"{value:.{digits}g}" if abs(value) < 999.5 else f"{value:.4g}"


def format_p_value(value: float, kind: str = "g", digits: int = 2) -> str:
    """Return a p-value with a few digits, or with as many as show on which side of 0.05 it is.

    Args:
        kind: of format: "g" counts significant digits, "f" decimals.

    Examples:
        >>> format_p_value(0.0004), format_p_value(0.123), format_p_value(0.0496), format_p_value(0.0503, "f", 3)
        ('< 0.001', '0.12', '0.0496', '0.050')
    """
    if value < 0.001:
        return "< 0.001"
    texts = (f"{value:.{count}{kind}}" for count in range(digits, 17))
    return next((text for text in texts if (float(text) < LEVEL) == (value < LEVEL)), f"{value}")


def format_stat(value: float | None) -> str:
    """Return a statistic with two decimals, or a dash if there is none.

    Examples:
        >>> format_stat(-0.001), format_stat(None)
        ('0.00', '–')
    """
    return NONE if value is None else f"{round(value, 2) + 0.0:.2f}"  # adding 0 removes the sign of a negative zero


def with_error(value: float | None, error: float | None) -> str:
    """Return a number with its error, to the digits that the error allows: one of the error, two if the first is 1.

    An error that is no more than rounding is not shown.

    Examples:
        >>> with_error(-378.19, 8.07), with_error(0.1765, 0.0398), with_error(3.2, 11.4), with_error(12.345, None)
        ('-378 ± 8', '0.18 ± 0.04', '3 ± 11', '12.3')
        >>> with_error(14.3636363636, 2e-15)
        '14.4'
    """
    if value is None or not error or not np.isfinite([value, error]).all() or abs(error) < 1e-12 * abs(value):
        return format_number(value)
    error = abs(error)
    place = int(np.floor(np.log10(error)))  # of the first digit of the error
    decimals = -place + (f"{error:e}"[0] == "1")
    if place < -4 or max(abs(value), error) >= 1e6:
        digits = max(1, int(np.floor(np.log10(abs(value) or error))) + decimals + 1)
        return f"{value:.{min(digits, 12)}g} ± {error:.{decimals + place + 1}g}"
    shown = round(value, decimals) + 0.0
    return f"{shown:.{max(0, decimals)}f} ± {round(error, decimals):.{max(0, decimals)}f}"


def in_full(value: float | None, error: float | None) -> str:
    """Return a value with its error; a count, which has none, with all its digits.

    Examples:
        >>> in_full(77562.0, None), in_full(0.12345, None)
        ('77,562', '0.123')
    """
    is_count = value is not None and not error and 1000 <= abs(value) < 1e12 and value == int(value)
    return f"{value:,.0f}" if is_count else with_error(value, error)


def with_unit(name: str, unit: str | None) -> str:
    """Return the head of a column with its unit."""
    return f"{name}, {unit}" if unit else name


def mark_mixed(name: str, mixed: bool) -> str:
    """Return a name, with a star if its numbers are of several conventions, which --allow-mixed permits."""
    return f"{name}*" if mixed else name


def runs_table(comparison: Comparison) -> TextTable:
    """Return gamma, gaps, the settings that differ, compute and the other measures of the ranked runs.

    Replicates are one row, as mean ± standard deviation. What `--sort` names comes first, a measure that is the same
    in all runs stands below the table.
    """
    groups = replicates(comparison)
    names = [group_name(comparison, members) for members in groups]
    columns = [("#", [str(index + 1) for index in range(len(groups))]), (RUN, names)]
    found = {name: column for name, column in _columns(comparison, groups) if name != RUN}
    if (first := _SORTED_BY.get(comparison.sort or "", comparison.sort)) in found:
        columns.append(found.pop(first))
    heads, cells = zip(*columns, *found.values(), strict=True)
    return TextTable("Runs", heads, tuple(zip(*cells, strict=True)), _caption(comparison))


def constant_measures(comparison: Comparison) -> dict[str, float]:
    """Return measure → value of the measures that have the same value in all of several runs."""
    values = {name: [run.value(name) for run in comparison.included] for name in comparison.measures}
    several = len(comparison.included) > 1
    return {name: found[0] for name, found in values.items() if several and len({*found}) == 1 and found[0] is not None}


def _columns(comparison: Comparison, groups: _Groups) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """Yield name, head and cells of each column behind the name of the run."""
    same = constant_measures(comparison)
    found = [
        name
        for name in comparison.measures
        if name not in same and any(run.value(name) is not None for run in comparison.included)
    ]
    if GAMMA in found:
        yield GAMMA, _measure_column(comparison, groups, GAMMA)
    for gap in dict.fromkeys((comparison.gap, "error", "test_error", "loss")):
        yield GAPS[gap], (gap_label(gap), [_mean_gap(members, gap) for members in groups])
    for axis in comparison.axes:
        label_of = dict(zip((run.name for run in comparison.included), axis.labels, strict=True))
        yield axis.name, (axis.name, [label_of[members[0].name] for members in groups])
    if any(len(members) > 1 for members in groups):
        yield "number of seeds", ("seeds", [str(len(members)) for members in groups])
    costs = [_mean([(run.compute.epochs if run.compute else None, None) for run in members]) for members in groups]
    if any(cost != NONE for cost in costs):
        yield _COMPUTE, (with_unit(_COMPUTE, "epochs"), costs)
    for name in found:
        if name != GAMMA:
            yield f"{MEASURE}{name}" if name == _COMPUTE else name, _measure_column(comparison, groups, name)


def _measure_column(comparison: Comparison, groups: _Groups, name: str) -> tuple[str, list[str]]:
    head = with_unit(mark_mixed(name, name in comparison.mixed_measures), unit_of(comparison.included, name))
    return head, [_mean([(run.value(name), run.std_error(name)) for run in members]) for members in groups]


def _caption(comparison: Comparison) -> str:
    parts = [_RUNS_CAPTION + (_ANSWERS_CAPTION if comparison.answers else "")]
    if any(run.compute for run in comparison.included):
        parts.append(_COMPUTE_CAPTION)
    if same := constant_measures(comparison):
        parts.append(f"The same in all runs: {', '.join(f'{name} {in_full(same[name], None)}' for name in same)}")
    return ". ".join(parts) + "."


def group_name(comparison: Comparison, members: Sequence[EvaluatedRun]) -> str:
    """Return what runs that differ in their seed are called: what differs from the others; of one run its name.

    A single run is called by what differs too if its name was made of a hash.
    """
    first, more = members[0], len(members) - 1
    if not more and not _HASH.search(first.name):
        return first.name
    row = comparison.row_of[first.name]
    names = short_names([axis.name for axis in comparison.axes])
    differing = " ".join(f"{name}={axis.labels[row]}" for name, axis in zip(names, comparison.axes, strict=True))
    if 0 < len(differing) <= MOST_CHARACTERS:
        return differing
    return first.name + (f" + {more} seed{'s' if more > 1 else ''}" if more else "")


def short_names(names: Sequence[str]) -> list[str]:
    """Return settings without their groups, except where two settings then have one name.

    Examples:
        >>> short_names(["data.batch_size", "reg.name", "model.name", "model.depth"])
        ['batch_size', 'reg', 'model', 'depth']
        >>> short_names(["optimizer.factor", "schedule.factor"])
        ['optimizer.factor', 'schedule.factor']
    """
    whole = [name.removesuffix(".name") for name in names]
    short = [name.rpartition(".")[2] for name in whole]
    return [one if short.count(one) == 1 else name for one, name in zip(short, whole, strict=True)]


def _mean_gap(members: Sequence[EvaluatedRun], gap: str) -> str:
    scale = 1 if gap == "loss" else 100
    pairs = [(run.gap(gap), run.gap_std_error(gap)) for run in members]
    return _mean([tuple(None if one is None else scale * one for one in pair) for pair in pairs])


def _mean(pairs: Sequence[tuple[float | None, ...]]) -> str:
    """Return the mean of values of replicates ± their standard deviation; of one (value, standard error) both."""
    known = [pair for pair in pairs if pair[0] is not None]
    if len(known) < 2:
        return with_error(*known[0]) if known else NONE
    values = np.array([value for value, _ in known], np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return with_error(float(values.mean()), float(values.std(ddof=1)))


def unranked_table(comparison: Comparison) -> TextTable:
    """Return the runs that are not ranked, with the reason."""
    rows = [
        (
            run.name,
            "missed its target training loss" if run.missed_target else "training loss too high",
            format_number(run.evaluation.train.loss),
        )
        for run in comparison.excluded
    ]
    rows += [(run.name, f"not evaluated ({run.state})", NONE) for run in comparison.unevaluated]
    rows += [(name, "cannot be read", NONE) for name in comparison.ranking.left_out.runs]
    return TextTable("Runs that are not ranked", ("run", "why", "training loss, nats"), tuple(rows))


def replicates(comparison: Comparison) -> list[list[EvaluatedRun]]:
    """Return the ranked runs grouped by their labels on all axes, in their order: a group differs in its seeds.

    If there are only two runs, each is a group: a user who compares two runs wants to know how they differ.
    """
    groups: dict[tuple[str, ...], list[EvaluatedRun]] = {}
    for index, run in enumerate(comparison.included):
        groups.setdefault(tuple(axis.labels[index] for axis in comparison.axes), []).append(run)
    return [[run] for run in comparison.included] if len(comparison.included) == 2 else list(groups.values())
