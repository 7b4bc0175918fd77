"""Take measures of a network: the one entry for the verb `eval`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from infomcr_cli.config.measure_schema import MeasureConfig
from infomcr_cli.data.record import Dataset
from infomcr_cli.measures.registry import MeasureValue, chosen_measures
from infomcr_cli.measures.subject import Beginning, Subject

if TYPE_CHECKING:
    import keras


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
    """Return the value of each measure that `config.names` chooses.

    Args:
        model:   gives logits for standardised images; left untouched.
        dataset: whose training images are measured on.
        config:  names of measures or a suite, and their settings.
        seed:    of random choices, for the measures that make any.
        beginning: gives the weights before training by name, or None; called only where a measure asks for them.
        train_loss: mean cross-entropy on the whole training set, nats, where it is known already.
        announce: is told first how long it will take, where everything is measured.
    Raises:  InputError: a name is unknown, or a setting does not fit the data.
    """
    measures = chosen_measures(config.names)
    subject = Subject(model, dataset, config, seed, beginning, train_loss)
    if announce and config.names == "all":
        from infomcr_cli.measures.forecast import forecast, in_words

        expected = forecast([measure.name for measure in measures], subject)
        announce(f"{len(measures)} measures, about {in_words(expected)} and the time to compile them")
    return {measure.name: measure.compute(subject) for measure in measures}
