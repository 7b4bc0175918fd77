"""Stochastic-gradient Langevin dynamics around a minimum, on any loss that has a gradient.

| symbol | meaning |
| --- | --- |
| w* | the minimum that the chain stays near, [W] |
| b | factor of the loss, nβ |
| γ | localisation: strength of the pull back to w* |
| ε | step size |
| κ | stiffness: the largest curvature of L near w* |

The chain's distribution tends to p(w) ∝ exp(-b L(w) - γ/2 ‖w - w*‖²).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
POWER_ITERATIONS = 8


@dataclass(frozen=True)
class Target:
    """The distribution p(w) ∝ exp(-b L(w) - γ/2 ‖w - w*‖²).

    Args:
        loss:         L, nats.
        gradient:     w and a random generator -> an unbiased estimate of ∇L(w), [W].
        minimum:      w*, [W].
        scale:        b > 0.
        localisation: γ > 0.
        noisy:        the same with an estimate of L(w) from the same samples, if there is one; chains record its means,
                      and L itself is computed for none of their points.
    """

    loss: Callable[[Array], float]
    gradient: Callable[[Array, np.random.Generator], Array]
    minimum: Array
    scale: float
    localisation: float
    noisy: Callable[[Array, np.random.Generator], tuple[float, Array]] | None = None

    def loss_and_gradient(self, weights: Array, rng: np.random.Generator) -> tuple[float | None, Array]:
        """Return an unbiased estimate of the loss that comes with the gradient, if any, and the gradient."""
        return self.noisy(weights, rng) if self.noisy else (None, self.gradient(weights, rng))


def langevin_losses(
    target: Target, *, step: float, steps: int, every: int, seed: tuple[int, ...], burn_in: int = 0
) -> Array:
    """Return losses of `steps` steps of one chain that starts at w* and has burnt in, [⌊steps/every⌋].

    They are L after each `every`-th step, or if the target has estimates of it, their means over `every` points.

    δ ← e^(-γε/2) δ - (1 - e^(-γε/2))/γ · b ĝ + √((1 - e^(-γε))/γ) ξ,  δ = w - w*, ξ ~ N(0, I)

    which is δ - ε/2 (γ δ + b ĝ) + √ε ξ to first order in ε, with the pull back to w* integrated exactly: a flat loss is
    sampled without error at any step size. In a direction of curvature h the variance is too large by the factor
    1/(1 - ε b h/4) if b h ≫ γ.

    Args:
        step:    ε.
        steps:   that are recorded from.
        every:   steps from one recorded loss to the next.
        seed:    of the chain; chains differ in it alone.
        burn_in: steps that come first and are not recorded.

    Returns:
        Fewer losses, the last one not finite, if the chain diverges.

    Source: Welling & Teh, ICML 2011 (SGLD); Lau et al., 2023, arXiv:2308.12108 (localisation).
    """
    rng = np.random.default_rng(seed)
    shrink = np.exp(-target.localisation * step / 2)
    # The factors of -b ĝ and of ξ; shrink² is e^(-γε).
    pull, noise = (1 - shrink) / target.localisation, np.sqrt((1 - shrink**2) / target.localisation)
    offset, losses, estimates = np.zeros_like(target.minimum), [], list[float]()
    for count in range(1 - burn_in, steps + 1):
        loss, gradient = target.loss_and_gradient(target.minimum + offset, rng)
        if count > 0 and loss is not None:
            estimates.append(loss)
        with np.errstate(over="ignore", invalid="ignore"):  # of a chain that diverges
            offset *= shrink
            offset -= (pull * target.scale) * gradient
        offset += noise * rng.standard_normal(len(offset), np.float32)  # numbers of half the size take half the time
        if count > 0 and count % every == 0:
            losses.append(float(np.mean(estimates)) if estimates else target.loss(target.minimum + offset))
            estimates.clear()
            if not np.isfinite(losses[-1]):  # it has diverged and will not come back
                break
    return np.asarray(losses)


def stable_step(target: Target, *, relative: float, seed: tuple[int, ...]) -> float:
    """Return ε = relative / (b κ + γ): a chain with `relative` below 4 is stable where curvature is at most κ."""
    return relative / (target.scale * stiffness(target, seed) + target.localisation)


def stiffness(target: Target, seed: tuple[int, ...]) -> float:
    """Return κ, about the largest |curvature| of L at a typical point near w*: power iteration on differences of ∇L.

    The point is drawn from N(w*, I/γ), since a confident network is flat at w* itself and curved around it; the
    differences span the same distance. One random state makes all gradients those of the same samples.
    """
    rng = np.random.default_rng(seed)
    length = 1 / np.sqrt(target.localisation)
    point = target.minimum + length * rng.standard_normal(len(target.minimum))
    direction, found = rng.standard_normal(len(point)), 0.0
    for _ in range(POWER_ITERATIONS):
        direction /= np.linalg.norm(direction)
        ahead, behind = (
            target.gradient(point + sign * length * direction, np.random.default_rng(seed)) for sign in (1, -1)
        )
        direction = (ahead - behind) / (2 * length)
        found = float(np.linalg.norm(direction))
        if found == 0 or not np.isfinite(found):
            return 0.0
    return found
