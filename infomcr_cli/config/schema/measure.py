"""What `infomcr eval` measures and how: a record for each family of measures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infomcr_cli.config.byte_size import Size
from infomcr_cli.config.schema.fields import Count, Positive, Record

AtLeastTwo = Annotated[int, Field(ge=2, le=100_000)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]


class GammaConfig(Record):
    """How gamma and the other measures of the Gram matrix are taken."""

    samples: Count = Field(description="training images that the draws come from")
    draws: Count = Field(description="T, disjoint draws")
    draw_size: AtLeastTwo = Field(description="N, images in a draw")
    batch_norm: Literal["inference", "batch"] = Field(
        description="moving statistics, or those of each chunk of chunk_size consecutive samples"
    )
    logit_scale: Positive | None = Field(description="s of the normalised logits; null: raw logits")
    chunk_size: Annotated[int, Field(ge=2)] = Field(description="images that share batch statistics in batch mode")
    memory: Size = Field(description="memory budget, as 500MB or 2GiB")
    precision: Literal["float32", "float64"] = Field(description="number format of the per-sample gradients")
    target_se: Positive | None = Field(description="stop drawing at this standard error, nats; null: all draws")
    # It came later: older runs can be measured.
    compute: Literal["auto", "host", "device"] = Field(
        "auto",
        description="where per-sample gradients are multiplied: host (NumPy), device (TensorFlow, where the network "
        "computes); auto: the device unless it is a CPU",
    )


class CurvatureConfig(Record):
    """The Hessian of the training loss, known by its products with vectors."""

    probes: AtLeastTwo = Field(description="of the trace outside the Krylov space, a product each")
    eigenvalues: Count = Field(description="how many of the largest")
    products: Count = Field(description="dimensions of the Krylov space, a product each")


class SharpnessConfig(Record):
    """How far and where to the loss is climbed."""

    rho: Positive = Field(description="length of the ascent step, in the units of the weights")
    adaptive_rho: Positive = Field(description="the same in units of each weight's own magnitude")
    sub_batch: Count = Field(description="m, images of one ascent step")
    epsilon: Positive = Field(description="half-width of the box of the worst case, relative")
    iterations: Count = Field(description="of the maximisation in the box")
    noise_rho: Positive = Field(0.01, description="standard deviation of the noise of average_sharpness")
    adaptive_noise_rho: Positive = Field(0.1, description="the same in units of each weight's own magnitude")
    noise_draws: AtLeastTwo = Field(8, description="noise vectors of both")
    linf_rho: Positive = Field(0.002, description="greatest relative change of a weight, worst case with p = infinity")
    l2_rho: Positive = Field(0.5, description="length of the vector of relative changes, worst case with p = 2")
    ascent_steps: Count = Field(5, description="of both worst cases")


class NoiseConfig(Record):
    """Gaussian noise on the weights."""

    accuracy_drop: OpenFraction = Field(description="mean training accuracy that is given up")
    draws: AtLeastTwo = Field(description="noise vectors")


class LearningCoefficientConfig(Record):
    """Langevin chains around the weights."""

    chains: AtLeastTwo = Field(3, description="independent chains, all from the weights")
    steps: Annotated[int, Field(ge=100, le=10**9)] = Field(300, description="of each chain, the burn-in included")
    batch: Count = Field(25, description="images of one stochastic gradient")
    radius: Positive = Field(0.2, description="how far a flat loss would let the chains go, in units of ||w||")
    localisation: Positive | None = Field(None, description="gamma, pull to the weights; null: W / (radius ||w||)^2")


class BasinVolumeConfig(Record):
    """Random rays from the weights to a rise of the loss."""

    rise: Positive = Field(0.1, description="c, nats")
    rays: AtLeastTwo = Field(10, description="random directions")


class LaplaceConfig(Record):
    """The Gaussian prior of the weights in a Laplace approximation."""

    # That of the study's weight decay: 5e-4·Σw² beside a mean loss is half of 1e-3·Σw².
    prior_precision: Positive = Field(default=1e-3, description="of each weight, for one sample; times N for a draw")


class ConfidenceConfig(Record):
    """How the confidence of a network under noise on its inputs is taken."""

    input_noise: Positive = Field(
        default=0.1,
        description="standard deviation of noise on standardised inputs, in units of each channel's own",
    )


class MeasureConfig(Record):
    """What `infomcr eval` measures."""

    names: str | tuple[str, ...] = Field(description="a suite (fast, standard, free, volume, all), or measures")
    batch_size: Count = Field(description="images of one forward or backward pass of a measurement")
    gamma: GammaConfig
    samples: Count = Field(description="training images of all measures that are not read off a Gram matrix")
    curvature: CurvatureConfig
    sharpness: SharpnessConfig
    noise: NoiseConfig
    # These have defaults, so that older runs can be measured.
    learning_coefficient: LearningCoefficientConfig = LearningCoefficientConfig()
    basin_volume: BasinVolumeConfig = BasinVolumeConfig()
    laplace: LaplaceConfig = LaplaceConfig()
    confidence: ConfidenceConfig = ConfidenceConfig()
    early_epochs: Count = Field(default=1, description="a checkpoint after so many epochs is kept, for early measures")
