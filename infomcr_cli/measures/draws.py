"""The draws of gamma: which training images each one holds, and the measures that are read from them.

Draws are disjoint, and the same for every network. A draw measure is a number of one draw, averaged over draws, at no
cost beside the draws: one pass over them serves all of these measures. To add one, decorate a function from a `Draw` to
a number, in a file of `measures/library`, with `register_draw_measure`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures import gamma as formulas
from infomcr_cli.measures.base import GRAM, Suite, register_measure
from infomcr_cli.measures.families import Change, Family
from infomcr_cli.measures.gram.record import GramRecord, LayerGroup
from infomcr_cli.measures.value import Direction, MeasureValue, is_converged, mean_over_draws
from infomcr_cli.measures.work import gram_passes

if TYPE_CHECKING:
    import keras

    from infomcr_cli.measures.context import MeasureContext

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
PERMUTATION_SEED = 0  # fixed, not a run's seed: runs are compared on the same images
SETTINGS = tuple(
    f"gamma.{name}"
    for name in ("samples", "draws", "draw_size", "batch_norm", "logit_scale", "chunk_size", "precision", "target_se")
)


@dataclass(frozen=True)
class Draw:
    """What the measures of one draw of N samples read.

    Args:
        record:          of its per-sample gradients.
        labels:          true classes, [N].
        squared_norm:    ‖w‖² of all trainable weights.
        prior_precision: of each weight, for one sample.
    """

    record: GramRecord
    labels: NDArray[np.int32]
    squared_norm: float
    prior_precision: float

    @property
    def gram(self) -> Array:
        """G, [N, N]."""
        return self.record.gram

    @cached_property
    def scaled_gram(self) -> Array | None:
        """G over its greatest diagonal entry, [N, N], for what does not depend on its size; None if G is zero.

        For gradients of length 1e-200, G itself underflows to zero; this matrix does not.
        """
        lengths = self.record.log_lengths
        greatest = lengths.max()
        return formulas.rescaled(self.record.unit_gram, lengths - greatest) if np.isfinite(greatest) else None

    @cached_property
    def eigenvalues(self) -> Array:
        """Eigenvalues of G/N, descending, at least 0, [N]."""
        return np.maximum(formulas.eigenvalues(self.gram), 0.0) / len(self.gram)


Number = Callable[[Draw], float | None]
GAMMA = "gamma"  # its measure has more to say than a mean, and its draws decide when there are enough
_NUMBERS: dict[str, Number] = {GAMMA: lambda draw: draw.record.gamma}


def register_draw_measure(
    *,
    name: str,
    formula: str,
    source: str,
    family: Family,
    unit: str,
    missing: str,
    direction: Direction = "lower",
    invariance: tuple[Change, ...] = (),
    settings: tuple[str, ...] = (),
    suite: Suite = "all",
) -> Callable[[Number], Number]:
    """Return a decorator that registers the mean of a number over draws; see `Measure` for the other arguments.

    Args:
        missing:  the reason if no draw has the number.
        settings: what it depends on besides those of the draws.
    """

    def register(number: Number) -> Number:
        _NUMBERS[name] = number

        def averaged(ctx: MeasureContext) -> MeasureValue:
            return mean_over_draws([draw.numbers[name] for draw in ctx.once(gram_draws)], missing)

        register_measure(
            name=name,
            formula=formula,
            source=source,
            family=family,
            invariance=invariance,
            unit=unit,
            direction=direction,
            cost="none in addition to gamma's draws",
            passes=gram_passes,
            needs=(GRAM,),
            settings=(*SETTINGS, *settings),
            suite=suite,
        )(averaged)
        return number

    return register


@dataclass(frozen=True)
class DrawSummary:
    """What is kept of one draw: numbers, not matrices.

    Args:
        numbers:         of each draw measure; None if this draw does not have it.
        eigenvalues:     of G/N, descending, [N].
        gradient_method: by weight, as in `GramRecord`.
    """

    numbers: Mapping[str, float | None]
    rank: int
    eigenvalues: Array
    groups: dict[str, LayerGroup]
    gradient_method: dict[str, str]


def summarise(draw: Draw) -> DrawSummary:
    """Reduce a draw to its numbers."""
    numbers = {name: number(draw) for name, number in _NUMBERS.items()}
    record = draw.record
    return DrawSummary(numbers, record.rank, draw.eigenvalues, record.groups, record.gradient_method)


def gram_draws(ctx: MeasureContext) -> list[DrawSummary]:
    """Measure draw after draw, until all are done or gamma's standard error is at most `target_se` nats."""
    from infomcr_cli.measures.gram import engine

    settings, train = ctx.config.gamma, ctx.dataset.train
    gram_engine = engine.engine_for(ctx.model, settings)
    draws = disjoint_draws(
        train.labels,
        stored_order=ctx.dataset.stored_order,
        samples=settings.samples,
        draw_size=settings.draw_size,
        draws=settings.draws,
    )
    samples = ((ctx.dataset.standardise(train.images[chosen]), train.labels[chosen]) for chosen in draws)
    norm, prior = squared_weight_norm(ctx.model), ctx.config.laplace.prior_precision
    found: list[DrawSummary] = []
    one_by_one = (gram_engine(*draw) for draw in samples)
    with closing(gram_engine.over(samples, ctx.devices) if ctx.devices else one_by_one) as records:
        for chosen, record in zip(draws, records, strict=True):
            found.append(summarise(Draw(record, train.labels[chosen], norm, prior)))
            ctx.on_part(len(found), len(draws), "draws")
            if is_converged([one.numbers[GAMMA] for one in found], settings.target_se):
                break
    return found


def squared_weight_norm(model: keras.Model) -> float:
    """Return ‖w‖² of all trainable weights."""
    from infomcr_cli.measures.stateless import trainable_weights

    return float(sum(np.sum(np.square(np.asarray(v, np.float64))) for v in trainable_weights(model)))


def disjoint_draws(
    labels: NDArray[Any], *, stored_order: bool, samples: int, draw_size: int, draws: int
) -> list[Indices]:
    """Return at most `draws` disjoint draws of `draw_size` images from the first `samples` ones.

    Args:
        labels:       of all training images, [n].
        stored_order: whether the source gives the images an order; if not, a stratified permutation orders them.

    Raises:
        InputError: there are fewer images than one draw needs.
    """
    order = image_order(labels, stored_order)[:samples]
    possible = min(draws, len(order) // draw_size)
    if possible < 1:
        rule = "measure.gamma.draw_size must not exceed the number of training images that draws come from"
        raise InputError(rule, received=f"{draw_size}, of {len(order)} images")
    return [order[start : start + draw_size] for start in range(0, possible * draw_size, draw_size)]


def image_order(labels: NDArray[Any], stored_order: bool) -> Indices:
    """Return the order in which training images are measured: their own, or a fixed stratified permutation."""
    return np.arange(len(labels)) if stored_order else stratified_permutation(labels)


def stratified_permutation(labels: NDArray[Any], seed: int = PERMUTATION_SEED) -> Indices:
    """Return a permutation in which every stretch has the classes in nearly the proportions of the whole set.

    Image j of the n_c of a class, in random order, goes to the place (j + u)/n_c, u uniform in [0, 1).
    """
    generator = np.random.default_rng(seed)
    places = np.empty(len(labels))  # in [0, 1), by image
    for name in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == name))
        places[members] = (np.arange(len(members)) + generator.random(len(members))) / len(members)
    return np.argsort(places, kind="stable")
