"""Which training images a draw consists of: disjoint, the same for every network on the same data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures import gamma as spectrum
from infomcr_cli.measures.estimate import Estimate, estimate, is_settled
from infomcr_cli.measures.gamma import gradient_noise_variance
from infomcr_cli.measures.gram.record import GramRecord, LayerGroup

Indices = NDArray[np.int64]
PERMUTATION_SEED = 0  # fixed, not a run's seed: runs are compared on the same images


def disjoint_draws(
    labels: NDArray[Any], *, stored_order: bool, samples: int, draw_size: int, draws: int
) -> list[Indices]:
    """Return at most `draws` disjoint draws of `draw_size` images from the first `samples` ones.

    Args:
        labels:       of all training images, [n].
        stored_order: whether the images have an order of their own; else one stratified permutation orders them.

    Raises:
        InputError: the set holds fewer images than one draw.
    """
    order = np.arange(len(labels)) if stored_order else stratified_permutation(labels)
    order = order[:samples]
    possible = min(draws, len(order) // draw_size)
    if possible < 1:
        rule = "measure.gamma.draw_size must not exceed the number of training images that draws come from"
        raise InputError(rule, received=f"{draw_size}, of {len(order)} images")
    return [order[start : start + draw_size] for start in range(0, possible * draw_size, draw_size)]


def stratified_permutation(labels: NDArray[Any], seed: int = PERMUTATION_SEED) -> Indices:
    """Return a permutation in which every stretch holds the classes in nearly the proportions of the whole set.

    Image j of the n_c of a class, in random order, goes to the place (j + u)/n_c, u uniform in [0, 1).
    """
    generator = np.random.default_rng(seed)
    places = np.empty(len(labels))
    for name in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == name))
        places[members] = (np.arange(len(members)) + generator.random(len(members))) / len(members)
    return np.argsort(places, kind="stable")


@dataclass(frozen=True)
class DrawSummary:
    """What is kept of one draw: numbers, not matrices.

    Args:
        gamma:          nats; None where the draw is deficient.
        eigenvalues:    of G/N, descending, [N].
        gradient_noise: None for a draw of one sample.
    """

    gamma: float | None
    rank: int
    eigenvalues: NDArray[np.float64]
    fisher_trace: float
    spectral_norm: float
    frobenius_norm: float
    effective_rank: float
    fisher_rao_norm: float
    gradient_noise: float | None
    mean_loss: float
    groups: dict[str, LayerGroup]


def summarise(record: GramRecord) -> DrawSummary:
    """Reduce a draw to its numbers."""
    gram = record.gram
    return DrawSummary(
        gamma=None if record.is_deficient else record.log_volume(),
        rank=record.rank,
        eigenvalues=np.maximum(spectrum.eigenvalues(gram), 0.0) / len(gram),
        fisher_trace=spectrum.fisher_trace(gram),
        spectral_norm=spectrum.spectral_norm(gram),
        frobenius_norm=spectrum.frobenius_norm(gram),
        effective_rank=spectrum.effective_rank(gram),
        fisher_rao_norm=spectrum.fisher_rao_norm(record.products),
        gradient_noise=gradient_noise_variance(gram) if len(gram) > 1 else None,
        mean_loss=float(record.losses.mean()),
        groups=record.groups,
    )


@dataclass(frozen=True)
class GammaResult:
    """Draws of one network, in order.

    Args:
        served_by: by weight, see `plan.GradientPlan`.
    """

    draws: tuple[DrawSummary, ...]
    served_by: dict[str, str]

    def over_draws(self, name: str) -> Estimate:
        """Return the estimate of one number of `DrawSummary` over the draws."""
        return estimate([getattr(draw, name) for draw in self.draws])

    def mean_spectrum(self) -> NDArray[np.float64]:
        """Return the eigenvalues of G/N, descending, averaged over draws, [N]."""
        return np.asarray(np.mean([draw.eigenvalues for draw in self.draws], axis=0), np.float64)

    def by_group(self) -> dict[str, dict[str, float | int | None]]:
        """Return for each layer group its part of the Fisher trace and its own log-volume, averaged over draws."""
        return {name: self._group(name) for name in self.draws[0].groups}

    def _group(self, name: str) -> dict[str, float | int | None]:
        parts = [draw.groups[name] for draw in self.draws]
        volume = estimate([part.log_volume for part in parts])
        return {
            "fisher_trace": float(np.mean([part.trace for part in parts])),
            "log_volume": volume.value,
            "deficient": volume.deficient,
            "weights": parts[0].weights,
        }


def run_draws(
    measure: Callable[[NDArray[np.int64]], GramRecord],
    draws: Iterable[NDArray[np.int64]],
    target_se: float | None = None,
) -> GammaResult:
    """Measure draw after draw, until all are done or gamma's standard error is at most `target_se` nats."""
    found: list[DrawSummary] = []
    served: dict[str, str] = {}
    for indices in draws:
        record = measure(indices)
        served = record.served_by
        found.append(summarise(record))
        if is_settled([draw.gamma for draw in found], target_se):
            break
    return GammaResult(tuple(found), served)
