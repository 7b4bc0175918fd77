"""Measure a checkpoint as it is and after its layers were rescaled without a change of the function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from infomcr_cli import runtime
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.screen import say
from infomcr_cli.data import evaluation_batches, load_dataset
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import check_measures
from infomcr_cli.measures.evaluate import MeasuredNetwork, evaluate_measures, measured_network
from infomcr_cli.measures.rescaling import RescalablePlace, rescalable_places, rescale
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.models import named_weights
from infomcr_cli.models.names import assign_all
from infomcr_cli.runs import Checkpoint, RunDirectory, load_checkpoint
from infomcr_cli.runs.checkpoint import check_data

FEW = 64  # images on which the function is compared
SAME = 1e-3  # largest relative change of the logits: what rounding in float32 leaves, and no more


@dataclass(frozen=True)
class RescaledEvaluation:
    """Measures of one checkpoint.

    Args:
        original:      as it is.
        rescaled:      after each rescaling.
        places:        names of the layers that were rescaled.
        logits_change: largest change of a logit over the largest logit, of all rescalings; rounding alone.
    """

    original: Mapping[str, MeasureValue]
    rescaled: tuple[Mapping[str, MeasureValue], ...]
    places: tuple[str, ...]
    logits_change: float


def measure_rescaled(
    run: RunDirectory, config: RunConfig, checkpoint: str, console: Console, *, draws: int, largest: float
) -> RescaledEvaluation:
    """Measure a checkpoint, and again after each of `draws` random rescalings with factors up to `largest`.

    Nothing is written to the run.

    Raises:
        InputError: the network has no layers that can be rescaled, or rescaling changed its function.
    """
    measured, saved, places = _open(run, config, checkpoint, draws)
    variables = named_weights(measured.model)
    loss = measured.score(evaluation_batches(measured.dataset.train, measured.dataset, config.measure.batch_size)).loss
    say(console, f"{run.name} {checkpoint}: unchanged")
    original = evaluate_measures(measured.context(run, saved.step, loss), console)
    logits, found, change = _logits(measured), [], 0.0
    for draw in range(draws):
        assign_all(variables, saved.weights)
        rescale(places, largest=largest, rng=np.random.default_rng([config.seed, draw]))
        now = _logits(measured)
        change = max(change, float(np.abs(now - logits).max() / np.abs(logits).max()))
        if not change <= SAME:
            raise InputError("rescaling must not change the network's function", received=f"{change:g} of a logit")
        say(console, f"{run.name} {checkpoint}: rescaled, {draw + 1} of {draws}")
        found.append(evaluate_measures(measured.context(run, saved.step, loss), console))
    assign_all(variables, saved.weights)
    return RescaledEvaluation(original, tuple(found), tuple(place.name for place in places), change)


def check_rescaling(run: RunDirectory, config: RunConfig, checkpoint: str, *, draws: int) -> None:
    """Raise unless a checkpoint can be measured and rescaled, before networks are trained to compare it with.

    Raises:
        InputError: there is no such checkpoint, it does not fit, or no layer can be rescaled.
    """
    _open(run, config, checkpoint, draws)


def _open(
    run: RunDirectory, config: RunConfig, checkpoint: str, draws: int
) -> tuple[MeasuredNetwork, Checkpoint, list[RescalablePlace]]:
    """Return the network with the weights of a checkpoint, the checkpoint, and the layers that can be rescaled."""
    runtime.prepare_to_measure(config)
    dataset = load_dataset(config.data, seed=config.seed)
    check_measures(config.measure, len(dataset.train))
    measured, saved = measured_network(run, config, dataset), load_checkpoint(run, checkpoint)
    check_data(saved, dataset.fingerprint)
    assign_all(named_weights(measured.model), saved.weights)
    places = rescalable_places(measured.model) if draws else []
    if draws and not places:  # before hours of measuring
        raise InputError(
            "the network has no layers that can be rescaled without changing its function",
            received=measured.model.name,
            advice="Try --rescalings 0 with --seeds, --orders or --more-epochs.",
        )
    return measured, saved, places


def _logits(measured: MeasuredNetwork) -> np.ndarray:
    few = measured.dataset.standardise(measured.dataset.train.images[:FEW])
    return np.asarray(measured.model(few, training=False), np.float64)
