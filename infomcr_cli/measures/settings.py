"""Check the settings of measures before hours of training."""

from __future__ import annotations

from infomcr_cli.config.byte_size import shown
from infomcr_cli.config.schema.measure import GammaConfig, MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import GRAM, SUITES, chosen_measures


def check_measures(config: MeasureConfig, train_size: int | None = None) -> None:
    """Check that the measures exist and that there are enough images for the draws, as `eval` would.

    Args:
        train_size: training images that there are to measure on; None: not known yet, and not checked.

    Raises:
        InputError: a name is unknown, or sizes do not fit together or are more than the images.
    """
    gamma = config.gamma
    _check_draws(gamma)
    _check_memory(gamma)
    if config.names in SUITES:  # not looked up, since the modules of all measures take half a second to import
        takes_draws = True  # every suite has gamma
    elif chosen := chosen_measures(config.names):
        takes_draws = any(GRAM in measure.needs for measure in chosen)
    else:
        raise InputError("measure.names must name at least one measure", advice="`infomcr measures` lists them.")
    if takes_draws and train_size is not None and gamma.draw_size > train_size:
        raise InputError(
            "measure.gamma.draw_size must not exceed the number of training images",
            received=f"draw_size={gamma.draw_size}, {train_size} images",
            advice=f"Try measure.gamma.draw_size={_fitting(gamma, train_size)}." if train_size > 1 else None,
        )


def _check_draws(gamma: GammaConfig) -> None:
    if gamma.draw_size > gamma.samples:
        rule = "measure.gamma.draw_size must not exceed measure.gamma.samples"
        raise InputError(rule, received=f"{gamma.draw_size} and {gamma.samples}")
    if gamma.batch_norm == "batch" and gamma.draw_size % gamma.chunk_size:
        rule = "measure.gamma.chunk_size must divide measure.gamma.draw_size if batch_norm=batch"
        raise InputError(rule, received=f"{gamma.chunk_size} and {gamma.draw_size}")


def _fitting(gamma: GammaConfig, images: int) -> int:
    """The largest draw of so many images, in whole chunks if images share batch statistics."""
    whole = images - images % gamma.chunk_size if gamma.batch_norm == "batch" else images
    return max(2, whole)


def _check_memory(gamma: GammaConfig) -> None:
    needed = gamma.draw_size**2 * 8  # the Gram matrix of a draw, float64
    if needed > gamma.memory:
        received = f"{shown(gamma.memory)}, for {gamma.draw_size} images"
        advice = f"Try measure.gamma.memory={shown(2 * 10**9 * (1 + needed // 10**9))}."
        raise InputError("measure.gamma.memory must hold the matrix of a draw", received=received, advice=advice)
