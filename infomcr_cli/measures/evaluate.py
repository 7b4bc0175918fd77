"""Take measures of a network: the one entry for the verb `eval`."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.data.dataset import Dataset
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import Measure, MeasureValue, chosen_measures
from infomcr_cli.measures.context import InitialWeights, Subject
from infomcr_cli.measures.settings import check_measures

if TYPE_CHECKING:
    import keras


_log = logging.getLogger("infomcr.measures")
LONGEST_REASON = 300  # letters: TensorFlow explains itself at length


def evaluate_measures(
    model: keras.Model,
    dataset: Dataset,
    config: MeasureConfig,
    seed: int = 0,
    *,
    beginning: InitialWeights = lambda: None,
    train_loss: float | None = None,
    announce: Callable[[str], None] | None = None,
) -> dict[str, MeasureValue]:
    """Return the value of each measure that `config.names` chooses, with the convention it was taken by.

    One that cannot be had does not end the others: its value is None, and `extras` give the `reason`.

    Args:
        model:   gives logits for standardised images; left untouched.
        dataset: whose training images are measured on.
        config:  names of measures or a suite, and their settings.
        seed:    of random choices, for the measures that make any.
        beginning: gives the weights before training by name, or None; called only where a measure asks for them.
        train_loss: mean cross-entropy on the whole training set, nats, where it is known already.
        announce: is told first how long it will take, where everything is measured.

    Raises:
        InputError: a name is unknown, or a setting does not fit the data; nothing has been measured then.
    """
    check_measures(config, len(dataset.train))
    measures = chosen_measures(config.names)
    subject = Subject(model, dataset, config, seed, beginning, train_loss)
    if announce and config.names == "all":
        announce(f"{len(measures)} measures{_duration(measures, subject)}")
    return _Taking(subject).all_of(measures)


def _duration(measures: Iterable[Measure], subject: Subject) -> str:
    """What to say of the time it will take; nothing where the pass that would show it fails."""
    pass

    try:
        seconds = forecast([measure.name for measure in measures], subject)
    except Exception:  # the measures that need this pass fail too, and say why
        return ""
    return f", about {format_duration(seconds)} and the time to compile them"


class _Taking:
    """Measures of one subject, taken one after the other."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._logged: list[Exception] = []  # measures that share a failure share its line

    def all_of(self, measures: Iterable[Measure]) -> dict[str, MeasureValue]:
        return {measure.name: self._of(measure) for measure in measures}

    def _of(self, measure: Measure) -> MeasureValue:
        subject = self._subject
        order = "stored" if subject.dataset.stored_order else "stratified"
        convention = measure.convention(subject.config, len(subject.dataset.train), order)
        value = self._computed(measure)
        return replace(value, extras={"convention": convention, **value.extras})

    def _computed(self, measure: Measure) -> MeasureValue:
        try:
            return measure.compute(self._subject)
        except InputError as error:  # the measure does not suit this network or these images
            return measure.unavailable(str(error))
        except Exception as error:
            self._log(measure, error)
            return measure.unavailable(_in_a_line(error), error=_kind(error))

    def _log(self, measure: Measure, error: Exception) -> None:
        """Say on stderr what went wrong and where: it may be a fault of this program."""
        if any(error is before for before in self._logged):
            return
        self._logged.append(error)
        where = traceback.extract_tb(error.__traceback__)[-1]
        _log.warning("%s cannot be had: %s (%s:%s)", measure.name, _in_a_line(error), where.filename, where.lineno)
        _log.debug("%s", measure.name, exc_info=error)


def _in_a_line(error: Exception) -> str:
    message = " ".join(str(error).split())[:LONGEST_REASON]
    return f"{_kind(error)}: {message}" if message else _kind(error)


def _kind(error: Exception) -> str:
    return type(error).__name__.lstrip("_")


# Forward passes of equal time, measured on Wide ResNet 28-2 by benchmarks/measures.py.
GRADIENT, PRODUCT, GRAM = 4.0, 12.0, 12.0
SPECTRAL = 5000  # images, whatever the number of samples
KRYLOV = 12  # products that Lanczos takes at least
BISECTIONS = 14
TIMED = 100  # images


def passes(names: Iterable[str], config: MeasureConfig) -> float:
    """Return how many images have to pass forward through the network in the time that these measures take."""
    wanted = set(names)
    drawn = config.gamma.draws * config.gamma.draw_size * GRAM if wanted & _OF_GRAM else 0.0
    return drawn + config.samples * (1.0 + sum(_PASSES[name](config) for name in wanted & _PASSES.keys()))


def forecast(names: Iterable[str], subject: Subject) -> float:
    """Return seconds that these measures will take, compilation left out; one forward pass is made to find out."""
    return passes(names, subject.config) * _seconds_per_image(subject)


def format_duration(seconds: float) -> str:
    """Return a time as people say it; it is an estimate."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _seconds_per_image(subject: Subject) -> float:
    surface = subject.minimum.surface
    few = np.arange(min(TIMED, len(surface.labels)))
    surface.logits(surface.weights, few)  # compiles
    began = time.perf_counter()
    surface.logits(surface.weights, few)
    return (time.perf_counter() - began) / len(few)


_OF_GRAM = {
    "gamma",
    "fisher_trace",
    "spectral_norm",
    "frobenius_norm",
    "effective_rank",
    "fisher_rao_norm",
    "gradient_noise",
}
_PASSES: Mapping[str, Callable[[MeasureConfig], float]] = {
    "sharpness": lambda config: GRADIENT + 1,
    "adaptive_sharpness": lambda config: GRADIENT + 1,
    "relative_flatness": lambda config: 1,
    "spectral_product": lambda config: SPECTRAL / config.samples,
    "spectral_product_over_margin": lambda config: 0,
    "worst_case_sharpness": lambda config: 1.5 * config.sharpness.iterations * GRADIENT,
    "noise_scale": lambda config: BISECTIONS * config.noise.draws,
    "magnitude_noise_scale": lambda config: BISECTIONS * config.noise.draws,
    "hessian_trace": lambda config: 3 * config.curvature.probes * PRODUCT,
    "hessian_eigenvalue": lambda config: max(config.curvature.products, KRYLOV) * PRODUCT,
}
