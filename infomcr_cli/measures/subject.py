"""What measures are taken of: a network and its data, with what several measures share made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.measure_schema import GammaConfig, MeasureConfig
from infomcr_cli.data.record import Dataset
from infomcr_cli.measures.draws import disjoint_draws, stratified_permutation
from infomcr_cli.measures.gamma import GammaResult, take_draws
from infomcr_cli.measures.record import GramRecord
from infomcr_cli.measures.shared_result import shared_result

if TYPE_CHECKING:
    import keras

    from infomcr_cli.measures.engine import GramEngine
    from infomcr_cli.measures.minimum import Minimum

Beginning = Callable[[], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Subject:
    """A network under measurement.

    Args:
        model:   gives logits.
        dataset: its training images are what gamma is drawn from.
        config:  settings of all measures.
        seed:    of every random choice of a measure; never of the draws of gamma, which are the same for all runs.
        beginning: gives the weights before training by name, or None where the run has none of its own.
        train_loss: mean cross-entropy on the whole training set, nats; None: not known.
    """

    model: keras.Model
    dataset: Dataset
    config: MeasureConfig
    seed: int
    beginning: Beginning = lambda: None
    train_loss: float | None = None

    @shared_result
    def minimum(self) -> Minimum:
        """The network on the first `samples` training images, for all measures that need no Gram matrix."""
        from infomcr_cli.measures.minimum import Minimum

        train, count = self.dataset.train, self.config.samples
        order = np.arange(len(train)) if self.dataset.stored_order else stratified_permutation(train.labels)
        images, labels = self.dataset.standardise(train.images[order[:count]]), train.labels[order[:count]]
        return Minimum(self, images, labels)

    @shared_result
    def gram_draws(self) -> GammaResult:
        """The draws of gamma, from which all measures of the Gram matrix follow."""
        settings, train = self.config.gamma, self.dataset.train
        engine = engine_for(self.model, settings)
        indices = disjoint_draws(
            train.labels,
            stored_order=self.dataset.stored_order,
            samples=settings.samples,
            draw_size=settings.draw_size,
            draws=settings.draws,
        )

        def measure(chosen: NDArray[np.int64]) -> GramRecord:
            return engine(self.dataset.standardise(train.images[chosen]), train.labels[chosen])

        return take_draws(measure, indices, settings.target_se)


_latest: dict[Any, GramEngine] = {}


def engine_for(model: keras.Model, settings: GammaConfig) -> GramEngine:
    """Return the engine of a model; the latest one is kept, since checkpoints of one run share it."""
    from infomcr_cli.measures.engine import GramEngine

    wanted = {
        name: getattr(settings, name) for name in ("batch_norm", "logit_scale", "chunk_size", "memory", "precision")
    }
    key = (id(model), settings.draw_size, *wanted.values())
    if key not in _latest:
        _latest.clear()
        _latest[key] = GramEngine(model, **wanted)
    return _latest[key]
