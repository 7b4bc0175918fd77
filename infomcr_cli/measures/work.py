"""What measures cost: images that pass through the network, weights at which it is evaluated, functions to compile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from infomcr_cli.config.schema.measure import MeasureConfig

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
