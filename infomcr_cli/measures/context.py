"""The context of all measures: a network, its data and settings, and the results that measures share."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.data.dataset import Dataset
from infomcr_cli.errors import InputError
from infomcr_cli.measures.draws import image_order
from infomcr_cli.measures.history import RunHistory

if TYPE_CHECKING:
    import keras

    from infomcr_cli.measures.loss_surface import LossSurface


T = TypeVar("T")
OnPart = Callable[[int, int, str], None]
InitialWeights = Callable[[], Mapping[str, Any] | None]


@dataclass(frozen=True)
class MeasureContext:
    """A network under measurement.

    Args:
        model:           gives logits.
        dataset:         its training images are measured on.
        config:          settings of all measures.
        seed:            of every random choice of a measure; never of the draws of gamma, which are the same for all
                         runs.
        initial_weights: returns the weights before training by name, or None if the run did not start from random ones.
        train_loss:      mean cross-entropy on the whole training set, nats; None if not known.
        history:         what the training of the run recorded; None for a network without a run.
        devices:         that share the draws of gamma; none: the one that TensorFlow chooses.
        on_part:         is called as parts of a long measure are done: how many, of how many, and what they are.
    """

    model: keras.Model
    dataset: Dataset
    config: MeasureConfig
    seed: int = 0
    initial_weights: InitialWeights = lambda: None
    train_loss: float | None = None
    history: RunHistory | None = None
    devices: Sequence[str] = ()
    on_part: OnPart = lambda done, total, what: None
    _outcomes: dict[Callable[..., Any], tuple[Any, Exception | None]] = field(default_factory=dict, repr=False)

    def once(self, compute: Callable[[MeasureContext], T]) -> T:
        """Return `compute(self)`, computed at the first call.

        An exception is kept as well, and raised again: what failed after hours is not tried a second time.

        Args:
            compute: a function of the module level, which is the key of its result.
        """
        if compute not in self._outcomes:
            try:
                self._outcomes[compute] = compute(self), None
            except Exception as error:
                traceback.clear_frames(error.__traceback__)  # they may hold the arrays that did not fit into memory
                self._outcomes[compute] = None, error
        value, failure = self._outcomes[compute]
        if failure is not None:
            raise failure
        return value

    @property
    def surface(self) -> LossSurface:
        """The loss on the first `samples` training images as a function of the weights."""
        return self.once(_loss_surface)

    @property
    def normalised_surface(self) -> LossSurface:
        """The same with normalised logits, so that confidence alone changes nothing."""
        return self.once(_normalised_surface)


def _loss_surface(ctx: MeasureContext) -> LossSurface:
    from infomcr_cli.measures.loss_surface import LossSurface

    train, count = ctx.dataset.train, ctx.config.samples
    chosen = image_order(train.labels, ctx.dataset.stored_order)[:count]
    images = ctx.dataset.standardise(train.images[chosen])
    return LossSurface(ctx.model, images, train.labels[chosen], batch_size=ctx.config.batch_size)


def _normalised_surface(ctx: MeasureContext) -> LossSurface:
    from infomcr_cli.measures.loss_surface import LossSurface, normalised

    plain = ctx.surface
    if plain.clean_logits.shape[1] < 3:  # they are ±1/√2, and their derivative is rounding
        rule = "measures with normalised logits need at least three classes: of two only the sign would be left"
        raise InputError(rule, received=2)
    return LossSurface(ctx.model, plain.images, plain.labels, batch_size=ctx.config.batch_size, readout=normalised)
