"""The local learning coefficient: how fast the volume of low loss shrinks, estimated by Langevin chains around w."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import IMAGES, register_measure
from infomcr_cli.measures.langevin import POWER_ITERATIONS, Target, langevin_losses, stable_step
from infomcr_cli.measures.markov_chains import effective_sample_size, split_rhat
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.measures.work import Work, compiled_gradient

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext
    from infomcr_cli.measures.loss_surface import LossSurface


Array = NDArray[np.float64]
RELATIVE_STEP = 0.5  # of 1/(nβ κ + γ): the stiffest direction varies by a seventh too much at most
EVERY = 8  # steps whose mean loss is recorded
LARGEST_RHAT, FEWEST_DRAWS = 1.1, 20.0  # of chains that have converged
BURN_IN_TIMES = 4.0  # relaxation times 1/(ε γ) of a flat direction: all but e⁻⁴ of its spread is reached by then
FEWEST_TIMES = 2.0  # all but e⁻²


def inverse_temperature(samples: int) -> float:
    """Return nβ = n / ln n, at which E L - L(w*) = λ/nβ to leading order (Watanabe's WBIC).

    Args:
        samples: n, at least 2.

    Source:
        Watanabe, JMLR 14 (2013); Lau et al., 2023, arXiv:2308.12108.
    """
    return samples / math.log(samples)


def relative_localisation(weights: Array, radius: float) -> float:
    """Return γ = W / (radius · ‖w‖)², at which a flat loss gives E ‖w' - w‖² = (radius · ‖w‖)².

    With one γ for all networks the chains of one whose weights are small go far beyond its minimum: batch norm makes
    their size meaningless.

    Raises:
        InputError: all weights are 0.
    """
    length = float(np.linalg.norm(weights))
    if length == 0:
        raise InputError("the relative localisation needs non-zero weights")
    return len(weights) / (radius * length) ** 2


@dataclass(frozen=True)
class CoefficientEstimate:
    """λ̂, and the diagnostics that show whether its chains have converged.

    Args:
        value:     λ̂ = nβ (mean of L over the chains - L(w*)).
        std_error: standard deviation of nβ L over the root of the effective sample size.
        rhat:      split-R̂.
        draws:     effective sample size.
    """

    value: float
    std_error: float
    rhat: float
    draws: float

    @property
    def problem(self) -> str | None:
        """Why the chains have not converged; None if they have."""
        if self.rhat > LARGEST_RHAT:
            return f"the chains disagree or drift, R-hat {self.rhat:.4f} above {LARGEST_RHAT}"
        if self.draws < FEWEST_DRAWS:
            return f"they are worth {self.draws:.2f} independent draws only, fewer than {FEWEST_DRAWS:g}"
        return None


def estimate(losses: Array, minimum: float, scale: float) -> CoefficientEstimate:
    """Return λ̂ from the losses of chains.

    Args:
        losses:  after the burn-in, [chains, recorded].
        minimum: L(w*).
        scale:   nβ.
    """
    draws = effective_sample_size(losses)
    error = scale * float(losses.std(ddof=1)) / math.sqrt(draws)
    return CoefficientEstimate(scale * (float(losses.mean()) - minimum), error, split_rhat(losses), draws)


@dataclass(frozen=True)
class Chains:
    """What the chains gave.

    Args:
        losses:  after the burn-in, [chains, recorded]; infinite for a chain that diverged.
        step:    ε.
        burn_in: steps that came first.
    """

    losses: Array
    step: float
    burn_in: int


def sampled(target: Target, *, chains: int, steps: int, seed: int, relative: float = RELATIVE_STEP) -> Chains:
    """Return the losses of independent chains of `steps` steps, each from w*.

    The burn-in is four relaxation times 1/(ε γ) of a flat direction, at least a tenth and at most half of the steps.
    """
    step = stable_step(target, relative=relative, seed=(seed, 0))
    burn_in = int(min(steps // 2, max(steps / 10, BURN_IN_TIMES / (step * target.localisation))))
    left = steps - burn_in
    found = np.full((chains, left // EVERY), np.inf)
    for chain in range(chains):
        losses = langevin_losses(target, step=step, steps=left, every=EVERY, seed=(seed, 1 + chain), burn_in=burn_in)
        if len(losses) == left // EVERY:  # a chain that diverges ends early, and its losses stay infinite
            found[chain] = losses
    return Chains(found, step, burn_in)


def target_of(surface: LossSurface, *, batch: int, localisation: float) -> Target:
    """Return the tempered posterior of a network around its weights, with gradients of `batch` random samples.

    Its estimates of the loss are L(w*) + the mean rise of the loss of these samples, which varies less than their loss.
    """
    from infomcr_cli.measures.cross_entropy import sample_losses

    count, minimum = len(surface.labels), surface.weights
    clean = sample_losses(surface.clean_logits, surface.labels)

    def loss_and_gradient(weights: Array, rng: np.random.Generator) -> tuple[float, Array]:
        chosen = np.sort(rng.choice(count, min(batch, count), replace=False))
        loss, gradient = surface.loss_and_gradient(weights, chosen)
        return loss - float(clean[chosen].mean()) + float(clean.mean()), gradient

    def gradient(weights: Array, rng: np.random.Generator) -> Array:
        return loss_and_gradient(weights, rng)[1]

    return Target(surface.loss, gradient, minimum, inverse_temperature(count), localisation, loss_and_gradient)


def _passes(config: MeasureConfig) -> Work:
    settings = config.learning_coefficient
    steps = settings.chains * settings.steps + 2 * POWER_ITERATIONS
    return Work(gradients=steps * min(settings.batch, config.samples), vectors=2 * steps)


@register_measure(
    name="learning_coefficient",
    formula="nβ (E L(w) − L(w*)), w ~ exp(−nβ L(w) − γ/2 ‖w − w*‖²), nβ = n/ln n",
    source="Lau et al., AISTATS 2025, arXiv:2308.12108",
    family="volume",
    unit="effective weights / 2",
    direction="lower",
    cost="one gradient of learning_coefficient.batch images per step of each chain",
    passes=_passes,
    shares=(compiled_gradient,),
    needs=(IMAGES,),
    settings=(
        "samples",
        "learning_coefficient.chains",
        "learning_coefficient.steps",
        "learning_coefficient.batch",
        "learning_coefficient.radius",
        "learning_coefficient.localisation",
    ),
)
def learning_coefficient(ctx: MeasureContext) -> MeasureValue:
    """Return λ̂ with its standard error; no value if the chains have not converged."""
    settings, surface = ctx.config.learning_coefficient, ctx.surface
    if len(surface.labels) < 2:
        return MeasureValue(None, extras={"reason": "n / ln n needs at least two images"})
    pull = settings.localisation or relative_localisation(surface.weights, settings.radius)
    target = target_of(surface, batch=settings.batch, localisation=pull)
    found = sampled(target, chains=settings.chains, steps=settings.steps, seed=ctx.seed)
    return value_of(found, surface.loss(surface.weights), target)


def value_of(found: Chains, minimum: float, target: Target) -> MeasureValue:
    """Return λ̂ as a value, or the reason why there is none.

    Args:
        minimum: L(w*).
    """
    times = target.localisation * found.step * found.burn_in
    extras: dict[str, Any] = {
        "inverse_temperature": target.scale,
        "localisation": target.localisation,
        "step": found.step,
        "burn_in": found.burn_in,
        "relaxation_times": times,
    }
    problem: str | None = "a chain left the region of finite loss"
    if np.isfinite(found.losses).all():
        one = estimate(found.losses, minimum, target.scale)
        extras |= {"estimate": one.value, "rhat": one.rhat, "effective_draws": one.draws}
        problem = one.problem
        if problem is None and times >= FEWEST_TIMES:
            return MeasureValue(one.value, one.std_error, extras, estimates=max(2, int(one.draws)))
    problem = problem or f"flat directions had {times:.2g} relaxation times, fewer than {FEWEST_TIMES:g}"
    advice = "try more measure.learning_coefficient.steps or a smaller radius"
    return MeasureValue(None, extras={**extras, "reason": f"not converged: {problem}; {advice}"})
