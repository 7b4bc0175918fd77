"""Regularizers at equal compute: strengths tuned on a validation split, then five seeds of the best strength each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks.study.slices import Family, Levels, Settings, Slice, crossed
from benchmarks.study.tables import Row, Table

AXES = ("method", "strength")
# The same budget for each method: four strengths, of `off` that of its L2 penalty, which the others leave as it is.
L2 = "5e-4"
STRENGTHS = {
    "off": ("optimizer.l2", ("1e-4", "5e-4", "2e-3", "5e-3")),
    "on": ("reg.beta", ("3", "10", "30", "100")),
    "sam": ("reg.rho", ("0.02", "0.05", "0.1", "0.2")),
    "gradient_norm": ("reg.radius", ("0.02", "0.05", "0.1", "0.2")),
}
SEEDS = ("0", "1", "2", "3", "4")
TUNING_SEED = "100"  # none of those that are compared
_SHARED = (
    "experiment=study",
    "data.train_size=10000",
    "data.validation_size=5000",
    "data.batch_size=128",
    "model.widths=[12,24,48]",
    "optimizer.learning_rate=0.1",
    "schedule.stop_at_train_loss=null",
)
PRESET = (*_SHARED, "schedule.epochs=10", "schedule.match_compute=true")


def settings(levels: Levels) -> Settings:
    """Return the overrides of a run."""
    key, _ = STRENGTHS[levels["method"]]
    return {"optimizer.l2": L2, "reg": levels["method"], key: levels["strength"], "seed": levels["seed"]}


EPOCHS = {"on": "10", "sam": "12", "gradient_norm": "12"}  # that the methods have at the compute of 24 plain epochs
# Not planned: `off` for as many epochs as the others have, with their L2 penalty, to see what their price decides.
SAME_EPOCHS = Family(
    name="same_epochs",
    preset=_SHARED,
    axes=("epochs",),
    settings=lambda levels: {
        "optimizer.l2": L2,
        "reg": "off",
        "schedule.epochs": levels["epochs"],
        "seed": levels["seed"],
    },
    slices=(crossed("same-epochs", {"epochs": tuple(dict.fromkeys(EPOCHS.values())), "seed": SEEDS}),),
    further=lambda _: ("gamma",),
    answers=True,
)
TUNING = Family(
    name="tuning",
    preset=PRESET,
    axes=AXES,
    settings=settings,
    slices=tuple(
        crossed(f"tuning-{method}", {"method": (method,), "strength": strengths, "seed": (TUNING_SEED,)})
        for method, (_, strengths) in STRENGTHS.items()
    ),
    measured=False,
)


def regularizers(tables: Path) -> Family:
    """Return the family that is compared: without slices until every strength has been tried."""
    best = best_strengths(Table(tables / "tuning.csv", TUNING.keys).rows())
    return Family(
        name="regularizers",
        preset=PRESET,
        axes=AXES,
        settings=settings,
        slices=tuple(_slice(method, strength) for method, strength in best.items()),
        further=lambda _: ("gamma",),
        answers=True,
    )


def best_strengths(rows: Iterable[Row]) -> dict[str, str]:
    """Return method → the strength of the lowest validation error; empty until every strength has a row.

    Of equal errors the weaker strength is taken.
    """
    errors = {(row["method"], row["strength"]): row.get("validation_error") or "inf" for row in rows}
    wanted = {(method, strength) for method, (_, strengths) in STRENGTHS.items() for strength in strengths}
    if not wanted <= errors.keys():
        return {}
    return {
        method: min(strengths, key=lambda strength: float(errors[method, strength]))
        for method, (_, strengths) in STRENGTHS.items()
    }


def _slice(method: str, strength: str) -> Slice:
    return crossed(f"regularizers-{method}", {"method": (method,), "strength": (strength,), "seed": SEEDS})
