"""A result that several measures share, computed once; a failure is shared as well."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import GammaConfig, MeasureConfig
from infomcr_cli.data.dataset import Dataset
from infomcr_cli.measures.draws import GammaResult, disjoint_draws, run_draws, stratified_permutation
from infomcr_cli.measures.gram.record import GramRecord

if TYPE_CHECKING:
    import keras

    from infomcr_cli.measures.gram.engine import GramEngine


T = TypeVar("T")


class shared_result(Generic[T]):
    """A `cached_property` that keeps an exception too: what took hours and failed is not tried again."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._place = f"_{name}_outcome"

    def __get__(self, instance: Any, owner: type | None = None) -> T:
        kept = vars(instance)
        if self._place not in kept:
            kept[self._place] = self._outcome(instance)
        value, error = kept[self._place]
        if error is not None:
            raise error
        return value

    def _outcome(self, instance: Any) -> tuple[T | None, Exception | None]:
        try:
            return self._compute(instance), None
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # they hold the arrays for which there was no memory, perhaps
            return None, error


InitialWeights = Callable[[], Mapping[str, Any] | None]


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
    beginning: InitialWeights = lambda: None
    train_loss: float | None = None

    @shared_result
    def minimum(self) -> Minimum:
        """The network on the first `samples` training images, for all measures that need no Gram matrix."""
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

        return run_draws(measure, indices, settings.target_se)


_latest: dict[Any, GramEngine] = {}


def engine_for(model: keras.Model, settings: GammaConfig) -> GramEngine:
    """Return the engine of a model; the latest one is kept, since checkpoints of one run share it."""
    from infomcr_cli.measures.gram.engine import GramEngine

    wanted = {
        name: getattr(settings, name) for name in ("batch_norm", "logit_scale", "chunk_size", "memory", "precision")
    }
    key = (id(model), settings.draw_size, *wanted.values())
    if key not in _latest:
        _latest.clear()
        _latest[key] = GramEngine(model, **wanted)
    return _latest[key]


class Minimum:
    """What the measures that are not read off a Gram matrix are taken at.

    Args:
        subject:        network and settings.
        images, labels: the samples, standardised.
    """

    def __init__(self, subject: Subject, images: Any, labels: Any) -> None:
        self.model, self.config, self.seed = subject.model, subject.config, subject.seed
        self.train_loss, self._initial_weights = subject.train_loss, subject.beginning
        from infomcr_cli.measures.loss_surface import LossSurface

        self.surface = LossSurface(subject.model, images, labels, batch_size=subject.config.batch_size)

    @shared_result
    def initial(self) -> Mapping[str, Any] | None:
        """Weights before training, by name; None where the run has none of its own."""
        return self._initial_weights()

    @property
    def trainable(self) -> dict[str, Any]:
        """Trainable weights by name."""
        from infomcr_cli.measures.stateless import trainable_weights
        from infomcr_cli.models import named_weights

        wanted = {id(variable) for variable in trainable_weights(self.model)}
        return {name: np.asarray(v) for name, v in named_weights(self.model).items() if id(v) in wanted}

    @shared_result
    def margin(self) -> float:
        """10th percentile of the margins, in units of logits."""
        from infomcr_cli.measures.library.simple import tenth_percentile_margin

        return tenth_percentile_margin(self.surface.clean_logits, self.surface.labels)

    @shared_result
    def log_frobenius(self) -> float:
        """Logarithm of the product of squared Frobenius norms."""
        from infomcr_cli.measures.library.layer_norms import log_frobenius_product

        return log_frobenius_product(self.model)

    @shared_result
    def log_spectral(self) -> float:
        """Logarithm of the product of squared spectral norms."""
        from infomcr_cli.measures.library.layer_norms import log_spectral_product

        return log_spectral_product(self.model)
