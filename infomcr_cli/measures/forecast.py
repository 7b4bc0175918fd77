"""How long measures will take, from the time of one forward pass on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from infomcr_cli.config.measure_schema import MeasureConfig
from infomcr_cli.measures.subject import Subject

# Forward passes of equal time, measured on Wide ResNet 28-2 by benchmarks/measures.py.
GRADIENT, PRODUCT, GRAM = 4.0, 12.0, 12.0
SPECTRAL = 5000  # images, whatever the number of samples
KRYLOV = 12  # products that Lanczos takes at least
BISECTIONS = 14
TIMED = 100  # images


def passes(names: Iterable[str], config: MeasureConfig) -> float:
    """Return how many images have to pass forward through the network in the time that these measures take."""
    wanted = set(names)
    drawn = config.gamma.draws * config.gamma.draw_size * GRAM if wanted & _OF_GRAM else 0.0
    return drawn + config.samples * (1.0 + sum(_PASSES[name](config) for name in wanted & _PASSES.keys()))


def forecast(names: Iterable[str], subject: Subject) -> float:
    """Return seconds that these measures will take, compilation left out; one forward pass is made to find out."""
    return passes(names, subject.config) * _seconds_per_image(subject)


def in_words(seconds: float) -> str:
    """Return a time as people say it; it is an estimate."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _seconds_per_image(subject: Subject) -> float:
    surface = subject.minimum.surface
    few = np.arange(min(TIMED, len(surface.labels)))
    surface.logits(surface.weights, few)  # compiles
    began = time.perf_counter()
    surface.logits(surface.weights, few)
    return (time.perf_counter() - began) / len(few)


_OF_GRAM = {
    "gamma",
    "fisher_trace",
    "spectral_norm",
    "frobenius_norm",
    "effective_rank",
    "fisher_rao_norm",
    "gradient_noise",
}
_PASSES: Mapping[str, Callable[[MeasureConfig], float]] = {
    "sharpness": lambda config: GRADIENT + 1,
    "adaptive_sharpness": lambda config: GRADIENT + 1,
    "relative_flatness": lambda config: 1,
    "spectral_product": lambda config: SPECTRAL / config.samples,
    "spectral_product_over_margin": lambda config: 0,
    "worst_case_sharpness": lambda config: 1.5 * config.sharpness.iterations * GRADIENT,
    "noise_scale": lambda config: BISECTIONS * config.noise.draws,
    "magnitude_noise_scale": lambda config: BISECTIONS * config.noise.draws,
    "hessian_trace": lambda config: 3 * config.curvature.probes * PRODUCT,
    "hessian_eigenvalue": lambda config: max(config.curvature.products, KRYLOV) * PRODUCT,
}
