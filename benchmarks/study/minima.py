"""The minima of the study: axes, levels and slices, as the pilot left them. Nothing here changes after the pilot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.study.pilot import AUGMENT, REGULARIZER, WIDTHS, decay
from benchmarks.study.slices import Family, Levels, Settings, Slice, crossed

AXES = ("rate", "batch_size", "width", "l2", "optimizer", "augment", "regularizer")
# A rate is a level, not a number: AdamW's rates are a fraction of SGD's, and the axis must not tell optimizers apart.
RATES = {
    "sgd": {"low": "0.05", "middle": "0.1", "high": "0.2"},
    "adamw": {"low": "2e-3", "middle": "4e-3", "high": "8e-3"},
}
# At the middle rate both shrink a weight by about as much in a step: 2 · l2 · rate of SGD is decay · rate of AdamW.
L2 = {
    "sgd": {"zero": "0", "middle": "1e-4", "high": "1e-3"},
    "adamw": {"zero": "0", "middle": "5e-3", "high": "5e-2"},
}
BETA = "10"
THREE_RATES, BATCHES = ("low", "middle", "high"), ("16", "32", "64")
BASE_WIDTH = "8"
COSTLY = ("hessian_trace", "hessian_eigenvalue")


def settings(levels: Levels) -> Settings:
    """Return the overrides of a run."""
    optimizer = levels["optimizer"]
    return {
        **decay(optimizer, L2[optimizer][levels["l2"]]),
        "optimizer.learning_rate": RATES[optimizer][levels["rate"]],
        "data.batch_size": levels["batch_size"],
        "model.widths": WIDTHS[levels["width"]],
        **AUGMENT[levels["augment"]],
        **({"reg": "off"} if levels["regularizer"] == "off" else {**REGULARIZER, "reg.beta": BETA}),
        "seed": levels["seed"],
    }


def further(levels: Levels) -> tuple[str, ...]:
    """Return the measures of the second evaluation: gamma of normalised logits, the Hessian on the stated subset."""
    core = levels["width"] == BASE_WIDTH and levels["l2"] == "middle" and levels["seed"] == "0"
    return ("gamma", *COSTLY) if core and levels["regularizer"] == "off" else ("gamma",)


def _slice(
    width: str, l2: str, optimizer: str, augment: str, regularizer: str = "off", seeds: Sequence[str] = ("0",)
) -> Slice:
    """Return nine settings: three rates by three batch sizes, of one or more seeds."""
    one: Mapping[str, str] = {
        "width": width, "l2": l2, "optimizer": optimizer, "augment": augment, "regularizer": regularizer,
    }  # fmt: skip
    name = "-".join(("minima", *one.values(), *seeds))
    levels = {"rate": THREE_RATES, "batch_size": BATCHES, **{axis: (level,) for axis, level in one.items()}}
    return crossed(name, {**levels, "seed": tuple(seeds)})


_PAIRS = tuple((optimizer, augment) for augment in AUGMENT for optimizer in RATES)
_WIDTHS = tuple(_slice(width, "middle", *pair) for width in WIDTHS for pair in _PAIRS)
_DECAYS = tuple(_slice(BASE_WIDTH, l2, *pair) for l2 in ("zero", "high") for pair in _PAIRS)
_REGULARIZED = tuple(_slice(BASE_WIDTH, "middle", optimizer, "plain", "on") for optimizer in RATES)
_SECOND_SEEDS = (
    *(_slice(BASE_WIDTH, "middle", *pair, seeds=("1",)) for pair in _PAIRS),
    *(_slice(BASE_WIDTH, "middle", optimizer, "plain", "on", ("1",)) for optimizer in RATES),
    *(_slice(BASE_WIDTH, "high", optimizer, "plain", seeds=("1",)) for optimizer in RATES),
)

MINIMA = Family(
    name="minima",
    preset=("experiment=study",),
    axes=AXES,
    settings=settings,
    slices=(*_WIDTHS, *_DECAYS, *_REGULARIZED, *_SECOND_SEEDS),
    further=further,
)
