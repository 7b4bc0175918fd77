"""Take measures of a network: the one entry for the verb `eval`."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from infomcr_cli.config.measure_schema import MeasureConfig
from infomcr_cli.data.record import Dataset
from infomcr_cli.errors import InputError
from infomcr_cli.measures.registry import Measure, MeasureValue, chosen_measures
from infomcr_cli.measures.settings import check_measures
from infomcr_cli.measures.subject import Beginning, Subject

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
    beginning: Beginning = lambda: None,
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
    Raises:  InputError: a name is unknown, or a setting does not fit the data; nothing has been measured then.
    """
    check_measures(config, len(dataset.train))
    measures = chosen_measures(config.names)
    subject = Subject(model, dataset, config, seed, beginning, train_loss)
    if announce and config.names == "all":
        announce(f"{len(measures)} measures{_duration(measures, subject)}")
    return _Taking(subject).all_of(measures)


def _duration(measures: Iterable[Measure], subject: Subject) -> str:
    """What to say of the time it will take; nothing where the pass that would show it fails."""
    from infomcr_cli.measures.forecast import forecast, in_words

    try:
        seconds = forecast([measure.name for measure in measures], subject)
    except Exception:  # the measures that need this pass fail too, and say why
        return ""
    return f", about {in_words(seconds)} and the time to compile them"


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
