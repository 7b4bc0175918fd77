"""The results of the minima: a table for each gap, which claims count, the costly measures, the noise of the seed.

The costly measures are those of 36 minima, so they have a table of their own: in it all measures are of these minima.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.study.families import family
from benchmarks.study.minima import COSTLY, is_core
from benchmarks.study.results import (
    GAPS,
    NORMALISED,
    RANK_BY,
    averaged,
    command,
    frame_of,
    incomplete,
    interval_text,
    is_complete,
    judgement,
    measure_table,
    partials_of,
    rows_of,
)
from benchmarks.study.statistics import seed_share

NOISE = "label_noise"  # the axis that changes the test error most; a measure may see nothing else
CORE_AXES = ("rate", "batch_size", "optimizer", NOISE)
_PLACED = ("gamma", NORMALISED, "train_loss")
_CHANGED = {"gamma": (1.0, "nats"), "train_loss": (1.0, "nats"), "test_error": (100.0, "points")}  # factor and unit
_BESIDE_COSTLY = ("fisher_trace", "sharpness", *_PLACED)


def minima(tables: Path) -> str:
    """Return the statistics of every measure, once the table is complete."""
    chosen, rows = family("minima", tables), rows_of("minima", tables)
    if not is_complete(chosen, rows):
        return incomplete("minima", rows, chosen)
    frame = without_costly(frame_of(tables / "minima.csv"))
    ranked = frame[frame["in_verdict"]]
    settings = averaged(ranked, chosen.axes)
    parts = [_about(frame, ranked, len(settings))]
    for gap, words in GAPS.items():
        found = judgement(frame, gap, chosen.axes)
        parts += [
            f"### By {words}",
            command("minima", gap, chosen.axes),
            measure_table(found, settings, gap, within=NOISE),
            _leaders(found),
            _claims(found, settings, gap),
        ]
    return "\n\n".join([*parts, *_costly(tables), _regularizer(settings, chosen.axes), _noise(ranked, chosen.axes)])


def without_costly(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table without the columns of the measures that only some minima have."""
    return frame[[name for name in frame if not str(name).startswith(COSTLY)]]


def _about(frame: pd.DataFrame, ranked: pd.DataFrame, settings: int) -> str:
    losses, errors = ranked["train_loss"], ranked["test_error"]
    failed = int((frame["state"] != "FINISHED").sum())
    levels = errors.groupby(ranked[NOISE])
    ranges = [f"{part.min():.1%} and {part.max():.1%} with {NOISE} {level:g}" for level, part in levels]
    missed = len(frame) - failed - len(ranked)
    return (
        f"{len(frame)} runs: {failed} failed, {missed} missed the target. The other {len(ranked)}, of {settings} "
        f"settings, are ranked. Their training losses lie between {losses.min():.4f} and {losses.max():.4f} nats, "
        f"their test errors between {' and between '.join(ranges)}."
    )


def _leaders(found: Mapping[str, Any]) -> str:
    """Say how many measures exclude zero, where gamma and the training loss stand, and the best of each family."""
    names = list(found["measures"])
    lows = {name: one["oriented"][RANK_BY]["low"] for name, one in found["measures"].items()}
    clear = [name for name in names if lows[name] is not None and lows[name] > 0]
    places = [f"`{name}` is number {names.index(name) + 1}" for name in _PLACED if name in names]
    psi = {name: interval_text(one["oriented"][RANK_BY]) for name, one in found["measures"].items()}
    best = [(kind, one["best"]) for kind, one in (found["families"] or {}).items() if one["best"]]
    families = "; ".join(f"{kind}: `{name}` {psi[name]}" for kind, name in best)
    tests = {name: one["against_best"]["p_value"] for name, one in found["measures"].items() if one["against_best"]}
    worse = sum(p is not None and p < 0.05 for p in tests.values())
    p_loss = "–" if tests.get("train_loss") is None else f"{tests['train_loss']:.2f}"
    return (
        f"By Ψ the interval of {len(clear)} of {len(names)} measures lies above 0. {', '.join(places)}. "
        f"Best of each family: {families}. Intervals are not corrected for the number of measures. {worse} measures "
        f"are significantly worse than the best in Ψ, corrected for that choice (`train_loss`: p {p_loss})."
    )


def _claims(found: Mapping[str, Any], settings: pd.DataFrame, gap: str, names: Sequence[str] = ()) -> str:
    """Say which measures meet the rule of the plan, which meet its corrections too, and which survive Bonferroni's.

    Args:
        names: measures that are considered; none: all.
    """
    psi = {name: one["oriented"][RANK_BY]["value"] for name, one in found["measures"].items()}
    considered = [name for name in psi if name != "train_loss" and (not names or name in names)]
    least = psi["train_loss"]
    better = [name for name in considered if least is not None and psi[name] is not None and psi[name] > least]

    def lows(name: str, level: float) -> list[float]:
        parts = partials_of(settings, name, gap, found["measures"][name]["direction"], within=NOISE, level=level)
        return [-1.0 if one.low is None else one.low for one in parts]

    usual = {name: lows(name, 0.95) for name in better}
    planned = [name for name in better if usual[name][0] > 0]
    met = [name for name in planned if min(usual[name]) > 0]
    lasting = [name for name in met if min(lows(name, 1 - 0.05 / len(considered))) > 0]
    return (
        f"By the plan's rule {len(planned)} of {len(considered)} measures count: {_listed(planned)}. After its two "
        f"corrections {len(met)} are left: {_listed(met)}. With intervals corrected for {len(considered)} "
        f"measures (Bonferroni) {len(lasting)}: {_listed(lasting)}."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _costly(tables: Path) -> list[str]:
    """Return the tables of the minima whose Hessian was measured: one run of each setting, all measures of these."""
    frame = frame_of(tables / "minima.csv")
    if not {*COSTLY} <= {*frame}:
        return []
    core = frame[[is_core(row) for row in rows_of("minima", tables)]]
    core = core[core["in_verdict"]]
    parts = [
        f"### The Hessian, and other measures of the same {len(core)} minima",
        f"What `infomcr judge` gives for the rows that have `hessian_trace`, with `--axes {','.join(CORE_AXES)}`.",
    ]
    settings = averaged(core, CORE_AXES)
    for gap, words in GAPS.items():
        found = judgement(core, gap, CORE_AXES)
        shown = [name for name in found["measures"] if name in (*COSTLY, *_BESIDE_COSTLY)]
        part = {**found, "measures": {name: found["measures"][name] for name in shown}, "references": {}}
        parts += [
            f"By {words}:",
            measure_table(part, settings, gap, within=NOISE),
            _claims(found, settings, gap, COSTLY),
        ]
    return parts


def _regularizer(settings: pd.DataFrame, axes: Sequence[str]) -> str:
    """Say by how much the regularizer changes gamma and the errors, over the pairs of settings that differ in it."""
    others = [axis for axis in axes if axis != "regularizer"]
    found = {name: settings.pivot(index=others, columns="regularizer", values=name).dropna() for name in _CHANGED}
    lines = []
    for name, (factor, unit) in _CHANGED.items():
        change = factor * (found[name]["on"] - found[name]["off"])
        mean, n = float(change.mean()), len(change)
        low, high = stats.t.interval(0.95, n - 1, loc=mean, scale=change.std(ddof=1) / np.sqrt(n))
        lines.append(f"- `{name}`: {mean:+.3g} [{low:+.3g}, {high:+.3g}] {unit}")
    pairs = f"{len(found['gamma'])} pairs of settings that differ in the regularizer alone"
    about = f"Not planned. Mean change over {pairs}, with its 95 % interval (Student's t):"
    return "\n".join(["### The regularizer at one target loss", "", about, "", *lines])


def _noise(ranked: pd.DataFrame, axes: Sequence[str]) -> str:
    """Say what share of the variance between runs a change of the seed makes, for each level of label noise."""
    names = [name for name in ("test_error", *_PLACED) if name in ranked]
    lines = []
    for level, part in ranked.groupby(NOISE):
        settings = list(part[list(axes)].astype(str).itertuples(index=False, name=None))
        shares = {name: seed_share(part[name].to_numpy(np.float64), settings) for name in names}
        found = ", ".join(f"`{name}` {share:.0%}" for name, share in shares.items() if share is not None)
        lines.append(f"- {NOISE} {level:g}: {found}")
    return "### Noise of the seed\n\nShare of the variance between runs that the seed makes:\n\n" + "\n".join(lines)
