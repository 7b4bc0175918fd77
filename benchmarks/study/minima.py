"""The minima of the study: axes, levels and slices, as the pilot left them. Nothing here changes after the pilot."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.study.pilot import PILOT, REGULARIZER, WIDTHS, decay
from benchmarks.study.place import spelled
from benchmarks.study.slices import Family, Levels, Settings, Slice, crossed
from benchmarks.study.tables import Row

AXES = ("rate", "batch_size", "width", "l2", "optimizer", "label_noise", "regularizer")
# Rates at batches of 32; at others they go with the root of the batch size. A rate is a level, not a number: AdamW's
# rates are a fraction of SGD's, and the axis must not tell optimizers or batch sizes apart.
RATES = {
    "sgd": {"low": 0.04, "middle": 0.063, "high": 0.1},
    "adamw": {"low": 1.5e-3, "middle": 3e-3, "high": 6e-3},
}
L2 = {
    "sgd": {"zero": "0", "middle": "1e-4", "high": "5e-4"},
    "adamw": {"zero": "0", "middle": "5e-2", "high": "2.5e-1"},
}
BETA = "10"
THREE_RATES, BATCHES = ("low", "middle", "high"), ("16", "32", "64")
NOISES = ("0", "0.1")  # share of the training labels that are replaced, by the same ones for all runs
SIZES = ("12", "16", "24")
BASE_WIDTH = SIZES[0]
COSTLY = ("hessian_trace", "hessian_eigenvalue")


def settings(levels: Levels) -> Settings:
    """Return the overrides of a run."""
    optimizer = levels["optimizer"]
    return {
        **decay(optimizer, L2[optimizer][levels["l2"]]),
        "optimizer.learning_rate": learning_rate(optimizer, levels["rate"], levels["batch_size"]),
        "data.batch_size": levels["batch_size"],
        "model.widths": WIDTHS[levels["width"]],
        "data.label_noise": levels["label_noise"],
        **({"reg": "off"} if levels["regularizer"] == "off" else {**REGULARIZER, "reg.beta": BETA}),
        "seed": levels["seed"],
    }


def learning_rate(optimizer: str, level: str, batch_size: str) -> str:
    """Return the learning rate of a level.

    Examples:
        >>> [learning_rate("sgd", "high", size) for size in ("16", "32", "64")]
        ['0.0707', '0.1', '0.141']
    """
    return f"{RATES[optimizer][level] * math.sqrt(int(batch_size) / 32):.3g}"


def further(levels: Levels) -> tuple[str, ...]:
    """Return the measures of the second evaluation: gamma of normalised logits, the Hessian on the stated subset."""
    return ("gamma", *COSTLY) if is_core(levels) else ("gamma",)


def is_core(levels: Levels) -> bool:
    """Return whether a minimum is of the complete grid of rate, batch size, optimizer and label noise."""
    core = {"width": BASE_WIDTH, "l2": "middle", "regularizer": "off", "seed": "0"}
    return all(levels[axis] == level for axis, level in core.items())


def is_core_of_sgd(levels: Levels) -> bool:
    """Return whether gamma is measured along training: nine minima of rate and batch size."""
    return is_core(levels) and levels["optimizer"] == "sgd" and levels["label_noise"] == "0"


def _slice(
    width: str, l2: str, optimizer: str, label_noise: str, regularizer: str = "off", seeds: Sequence[str] = ("0",)
) -> Slice:
    """Return nine settings: three rates by three batch sizes, of one or more seeds."""
    one: Mapping[str, str] = {
        "width": width, "l2": l2, "optimizer": optimizer, "label_noise": label_noise, "regularizer": regularizer,
    }  # fmt: skip
    name = "-".join(("minima", *one.values(), *seeds))
    levels = {"rate": THREE_RATES, "batch_size": BATCHES, **{axis: (level,) for axis, level in one.items()}}
    return crossed(name, {**levels, "seed": tuple(seeds)})


_PAIRS = tuple((optimizer, noise) for noise in NOISES for optimizer in RATES)
_WIDTHS = tuple(_slice(width, "middle", *pair) for width in SIZES for pair in _PAIRS)
_DECAYS = tuple(_slice(BASE_WIDTH, l2, optimizer, "0") for l2 in ("zero", "high") for optimizer in RATES)
_REGULARIZED = tuple(_slice(BASE_WIDTH, "middle", optimizer, "0", "on") for optimizer in RATES)
_SECOND_SEEDS = (
    *(_slice(BASE_WIDTH, "middle", *pair, seeds=("1",)) for pair in _PAIRS),
    *(_slice(BASE_WIDTH, "high", optimizer, "0", seeds=("1",)) for optimizer in RATES),
)

MINIMA = Family(
    name="minima",
    preset=("experiment=study",),
    axes=AXES,
    settings=settings,
    slices=(*_WIDTHS, *_DECAYS, *_REGULARIZED, *_SECOND_SEEDS),
    further=further,
    followed=is_core_of_sgd,
)


def open_questions(pilot: Iterable[Row]) -> list[str]:
    """Return why the plan is not final yet: runs of the pilot that are missing, or that missed the target.

    Only runs at levels of the plan count; flipped images and higher rates, for example, were tried and dropped.

    Args:
        pilot: the rows of its table.
    """
    rows = {PILOT.key(row): row for row in pilot}
    levels = {spelled(MINIMA.overrides({**job, "seed": "0"})) for job in MINIMA.jobs}
    plain = [job for job in PILOT.jobs if job["augment"] == "plain"]
    planned = [job for job in plain if any(one <= spelled(PILOT.overrides(job)) for one in levels)]
    missing = [job for job in planned if PILOT.key(job) not in rows]
    missed = [job for job in planned if job not in missing and not rows[PILOT.key(job)].get(REACHED)]
    found = [f"{len(missing)} of {len(planned)} runs of the pilot at levels of the plan are missing"] if missing else []
    return found + [f"missed the target in the pilot: {' '.join(PILOT.overrides(job))}" for job in missed]


REACHED = "epochs to 0.03"
