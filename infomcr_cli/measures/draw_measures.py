"""Measures of the draws of gamma: each is a number of one draw, averaged over draws, at no cost beside the draws.

One pass over the draws serves all of them. To add one, decorate a function from a `Draw` to a number, in a file of
`measures/library`, with `register_draw_measure`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures import gamma as formulas
from infomcr_cli.measures.base import GRAM, Compute, Suite, register_measure
from infomcr_cli.measures.draws import disjoint_draws
from infomcr_cli.measures.families import Change, Family
from infomcr_cli.measures.gram.record import GramRecord, LayerGroup
from infomcr_cli.measures.value import Direction, MeasureValue, is_converged, mean_over_draws
from infomcr_cli.measures.work import gram_passes

if TYPE_CHECKING:
    import keras

    from infomcr_cli.measures.context import MeasureContext

Array = NDArray[np.float64]
SETTINGS = tuple(
    f"gamma.{name}"
    for name in ("samples", "draws", "draw_size", "batch_norm", "logit_scale", "chunk_size", "precision")
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

        Gradients of 1e-200 have a G that is zero in floating point, and a right one here.
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
        register_measure(
            name=name,
            formula=formula,
            source=source,
            family=family,
            invariance=invariance,
            unit=unit,
            direction=direction,
            cost="none beside gamma's draws",
            passes=gram_passes,
            needs=(GRAM,),
            settings=(*SETTINGS, *settings),
            suite=suite,
        )(_averaged(name, missing))
        return number

    return register


def _averaged(name: str, missing: str) -> Compute:
    return lambda ctx: mean_of_number(ctx, name, missing)


def mean_of_number(ctx: MeasureContext, name: str, missing: str) -> MeasureValue:
    """Return the mean of a number over the draws; if no draw has it, `missing` is the reason."""
    found = mean_over_draws([draw.numbers[name] for draw in ctx.once(gram_draws)])
    return found if found.value is not None else MeasureValue(None, extras={**found.extras, "reason": missing})


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
    with closing(gram_engine.over(samples, ctx.devices)) as records:
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
