"""Gamma over disjoint draws, with all that comes from the same Gram matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures import spectrum
from infomcr_cli.measures.estimate import Estimate, estimate, is_settled
from infomcr_cli.measures.gradient_noise import gradient_noise_variance
from infomcr_cli.measures.record import GramRecord, LayerGroup


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

    Args: served_by: by weight, see `plan.Assignment`.
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


def take_draws(
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
