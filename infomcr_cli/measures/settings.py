"""Whether settings of measures can be met, before hours of training show it."""

from __future__ import annotations

from infomcr_cli.config.byte_size import shown
from infomcr_cli.config.measure_schema import GammaConfig, MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures.registry import SUITES, chosen_measures


def check_measures(config: MeasureConfig, train_size: int | None = None) -> None:
    """Check that the measures exist and that their draws can be had.

    Args:   train_size: images that the run trains on, from which draws are taken; None: not known yet.
    Raises: InputError: a name is unknown, or sizes do not fit together.
    """
    # What a suite holds is not asked: the modules of all measures take half a second to import. All hold gamma.
    chosen = None if config.names in SUITES else chosen_measures(config.names)
    if chosen == []:
        raise InputError("measure.names must name at least one measure", advice="`infomcr measures` lists them.")
    _check_draws(config.gamma)
    _check_memory(config.gamma)
    if train_size is not None and (chosen is None or any("gram" in measure.needs for measure in chosen)):
        _check_images(config.gamma, train_size)


def _check_draws(gamma: GammaConfig) -> None:
    if gamma.draw_size > gamma.samples:
        rule = "measure.gamma.draw_size must not exceed measure.gamma.samples"
        raise InputError(rule, received=f"{gamma.draw_size} and {gamma.samples}")
    if gamma.batch_norm == "batch" and gamma.draw_size % gamma.chunk_size:
        rule = "measure.gamma.chunk_size must divide measure.gamma.draw_size where batch_norm=batch"
        raise InputError(rule, received=f"{gamma.chunk_size} and {gamma.draw_size}")


def _check_memory(gamma: GammaConfig) -> None:
    needed = gamma.draw_size**2 * 8  # the Gram matrix of a draw, float64
    if needed > gamma.memory:
        received = f"{shown(gamma.memory)}, for {gamma.draw_size} images"
        advice = f"Try measure.gamma.memory={shown(2 * 10**9 * (1 + needed // 10**9))}."
        raise InputError("measure.gamma.memory must hold the matrix of a draw", received=received, advice=advice)


def _check_images(gamma: GammaConfig, train_size: int) -> None:
    if gamma.draw_size > train_size:
        rule = "measure.gamma.draw_size must not exceed the number of training images that draws come from"
        advice = f"Try measure.gamma.draw_size={max(2, train_size // 2)}."
        raise InputError(rule, received=f"{gamma.draw_size}, of {train_size} images", advice=advice)
