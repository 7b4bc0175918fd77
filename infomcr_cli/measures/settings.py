"""Whether settings of measures can be met, before hours of training show it."""

from __future__ import annotations

from infomcr_cli.config.measure_schema import GammaConfig, MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures.registry import SUITES, chosen_measures


def check_measures(config: MeasureConfig) -> None:
    """Check that the measures exist and that their draws can be had.

    Raises: InputError: a name is unknown, or sizes do not fit together.
    """
    # What a suite holds is not asked: the modules of all measures take half a second to import.
    if config.names not in SUITES and not chosen_measures(config.names):
        raise InputError("measure.names must name at least one measure", advice="`infomcr measures` lists them.")
    _check_draws(config.gamma)


def _check_draws(gamma: GammaConfig) -> None:
    if gamma.draw_size > gamma.samples:
        rule = "measure.gamma.draw_size must not exceed measure.gamma.samples"
        raise InputError(rule, received=f"{gamma.draw_size} and {gamma.samples}")
    if gamma.batch_norm == "batch" and gamma.draw_size % gamma.chunk_size:
        rule = "measure.gamma.chunk_size must divide measure.gamma.draw_size where batch_norm=batch"
        raise InputError(rule, received=f"{gamma.chunk_size} and {gamma.draw_size}")
