"""Width against batch size, five levels each: the plane of Yang et al. (NeurIPS 2021, arXiv:2107.11228), in small."""

from __future__ import annotations

from benchmarks.study.slices import Family, Levels, Settings, Slice, crossed

WIDTHS = {str(width): f"[{width},{2 * width},{4 * width}]" for width in (4, 6, 8, 12, 16)}
BATCHES = ("16", "32", "64", "128", "256")
SEEDS = ("0", "1")


def settings(levels: Levels) -> Settings:
    """Return the overrides of a run."""
    return {
        "data.batch_size": levels["batch_size"],
        "model.widths": WIDTHS[levels["width"]],
        "seed": levels["seed"],
    }


def _slice(seed: str, batch_size: str) -> Slice:
    levels = {"width": tuple(WIDTHS), "batch_size": (batch_size,), "seed": (seed,)}
    return crossed(f"plane-{batch_size}-{seed}", levels)


# One rate throughout the plane and a fixed number of epochs, as there: not every run fits its images.
PLANE = Family(
    name="plane",
    preset=(
        "experiment=study",
        "schedule.stop_at_train_loss=null",
        "schedule.epochs=50",
        "optimizer.learning_rate=0.1",
    ),
    axes=("width", "batch_size"),
    settings=settings,
    slices=tuple(_slice(seed, batch_size) for seed in SEEDS for batch_size in BATCHES),
    further=lambda _: ("gamma", "hessian_trace", "hessian_eigenvalue"),
)
