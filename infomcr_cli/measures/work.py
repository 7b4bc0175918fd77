"""What measures cost: images that pass through the network, weights at which it is evaluated, functions to compile.

With the speed of a network, which a few passes show, this gives the time that measures will take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.measure import MeasureConfig

if TYPE_CHECKING:
    from infomcr_cli.measures.base import Measure
    from infomcr_cli.measures.context import MeasureContext
    from infomcr_cli.measures.loss_surface import LossSurface

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
TIMED, SMALLEST_SHARE = 64, 0.2  # images; share of a call that their passes take at least

# Forward passes that take as long, measured on Wide ResNet 28-2 by processor time: a gradient is 3.3 of them, a product
# with the Hessian 2.65 gradients, a gradient of one image with its products with all others of a draw 2.1.
INPUT_GRADIENT, GRADIENT, HESSIAN_PRODUCT, GRAM_ROW = 2.3, 3.3, 8.7, 7.0


@dataclass(frozen=True)
class Work:
    """What a measure takes.

    Args:
        forward:   images that pass forward.
        inputs:    images that pass forward, and back to the input.
        gradients: images that pass forward, and back to the weights.
        products:  images of products of the Hessian with a vector.
        rows:      gradients of single images.
        vectors:   weights at which the network is evaluated: they are made and handed over, and results are summed.
        functions: that are compiled, as many times the gradient's compilation.
    """

    forward: float = 0.0
    inputs: float = 0.0
    gradients: float = 0.0
    products: float = 0.0
    rows: float = 0.0
    vectors: float = 0.0
    functions: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def passes(self) -> float:
        """Images that could pass forward in the time of all passes, in a network of the usual ratios."""
        return self.forward + self._differentiated

    @property
    def in_gradients(self) -> float:
        """Images whose gradient takes as long as all that is differentiated."""
        return self._differentiated / GRADIENT

    @property
    def _differentiated(self) -> float:
        derivatives = INPUT_GRADIENT * self.inputs + GRADIENT * self.gradients
        return derivatives + HESSIAN_PRODUCT * self.products + GRAM_ROW * self.rows


@dataclass(frozen=True)
class Speed:
    """Seconds that a network takes.

    Args:
        forward:     of an image that passes forward.
        gradient:    of an image that passes forward and back.
        vector:      of making weights, and calling the network at them.
        compilation: of the gradient.
    """

    forward: float
    gradient: float
    vector: float
    compilation: float

    def seconds(self, work: Work) -> float:
        """Return the expected time."""
        passes = self.forward * work.forward + self.gradient * work.in_gradients
        return passes + self.vector * work.vectors + self.compilation * work.functions


Passes = Callable[[MeasureConfig], Work | float]  # a number is that of images that pass forward


def work_in(passes: Passes, config: MeasureConfig) -> Work:
    """Return the work that a function gives for these settings."""
    found = passes(config)
    return found if isinstance(found, Work) else Work(forward=found)


def no_passes(config: MeasureConfig) -> Work:
    """Return no work: the measure takes no forward pass besides the common one over the samples."""
    return Work()


def gram_passes(config: MeasureConfig) -> Work:
    """Return the work of all draws of gamma."""
    return Work(rows=config.gamma.draws * config.gamma.draw_size, functions=4)


def gradient_passes(config: MeasureConfig) -> Work:
    """Return the work of the gradient at the weights on all samples, which several measures start from."""
    return Work(gradients=config.samples)


def compiled_gradient(config: MeasureConfig) -> Work:
    """Return the work of compiling the gradient."""
    return Work(functions=1)


def common_pass(config: MeasureConfig) -> Work:
    """Return the work of the pass over the samples that most measures share."""
    return Work(forward=config.samples, functions=0.5)


def work_of(measures: Iterable[Measure], config: MeasureConfig) -> Work:
    """Return the work of measures together."""
    each = {passes for measure in measures for passes in measure.all_passes}  # each once, by however many it is shared
    return sum((work_in(passes, config) for passes in each), common_pass(config))


def work_shares(measures: Sequence[Measure], config: MeasureConfig) -> list[float]:
    """Return each measure's share of all forward passes, 0..1, in order; measures that share passes: the first has all.

    Every measure counts as one pass over the samples besides, so that the shares of cheap ones are not 0.
    """
    seen: set[Passes] = set()
    passes = []
    for measure in measures:
        kinds = measure.all_passes - seen
        passes.append(config.samples + sum(work_in(kind, config).passes for kind in kinds))
        seen |= kinds
    return [one / sum(passes) for one in passes]


def forecast(measures: Iterable[Measure], ctx: MeasureContext, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return seconds that these measures will take; passes of a few images are timed to find out.

    Args:
        clock: returns seconds, of whatever is wanted.
    """
    config = within_images(ctx.config, len(ctx.dataset.train))
    return timed_speed(ctx.surface, clock).seconds(work_of(measures, config))


def within_images(config: MeasureConfig, images: int) -> MeasureConfig:
    """Return the settings with no more samples and draws than a training set of so many images gives."""
    gamma, samples = config.gamma, min(config.samples, images)
    draws = min(gamma.draws, min(gamma.samples, images) // gamma.draw_size)
    return config.model_copy(update={"samples": samples, "gamma": gamma.model_copy(update={"draws": draws})})


def timed_speed(surface: LossSurface, clock: Callable[[], float] = time.perf_counter) -> Speed:
    """Return how fast a network is on its samples; what is compiled for it serves the measures too."""
    few = np.arange(min(TIMED, len(surface.labels)))

    def seconds(call: Callable[[Array, Indices], object], count: int) -> float:
        began = clock()
        noise = np.random.default_rng(0).standard_normal(surface.size)
        call(surface.weights + 0.0 * noise, few[:count])
        return clock() - began

    def once_and_again(call: Callable[[Array, Indices], object]) -> tuple[float, float, float]:
        """Return the seconds of compilation, of a call on one image, and of the other images of a call on all."""
        first = seconds(call, 1) + seconds(call, len(few))
        one, all_of_them = (min(seconds(call, count) for _ in range(2)) for count in (1, len(few)))
        return max(0.0, first - one - all_of_them), one, max(all_of_them - one, SMALLEST_SHARE * all_of_them)

    _, vector, forward = once_and_again(surface.logits)
    compilation, _, gradient = once_and_again(surface.loss_and_gradient)
    return Speed(forward / len(few), gradient / len(few), vector, compilation)


def format_duration(seconds: float) -> str:
    """Return a rounded time with its unit; it is an estimate."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
