"""Settings of `infomcr eval`: a record for each family of measures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infomcr_cli.config.byte_size import Size
from infomcr_cli.config.schema.fields import Count, Positive, Record

AtLeastTwo = Annotated[int, Field(ge=2, le=100_000)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]


class GammaConfig(Record):
    """Settings of gamma and the other measures of the Gram matrix."""

    samples: Count = Field(description="number of first training images that the draws are taken from")
    draws: Count = Field(description="T, number of disjoint draws")
    draw_size: AtLeastTwo = Field(description="N, images per draw")
    batch_norm: Literal["inference", "batch"] = Field(
        description="inference: moving statistics; batch: statistics of each chunk of chunk_size consecutive samples"
    )
    logit_scale: Positive | None = Field(description="s: logits are scaled to norm 1/s; null: raw logits")
    chunk_size: Annotated[int, Field(ge=2)] = Field(description="images per chunk in batch mode")
    memory: Size = Field(description="memory budget, such as 500MB or 2GiB")
    precision: Literal["float32", "float64"] = Field(description="number format of the per-sample gradients")
    target_se: Positive | None = Field(
        description="stop when the standard error is at most this, nats, at the earliest after ten draws; "
        "null: use all draws"
    )
    # It has a default because runs that were recorded before it can be measured too.
    compute: Literal["auto", "host", "device"] = Field(
        "auto",
        description="where per-sample gradients are multiplied: host (NumPy), device (TensorFlow, where the network "
        "computes); auto: the device unless it is a CPU",
    )


class CurvatureConfig(Record):
    """Settings of measures of the Hessian, computed by Hessian-vector products."""

    probes: AtLeastTwo = Field(
        description="probes for the trace outside the Krylov space; one Hessian-vector product each"
    )
    eigenvalues: Count = Field(description="number of largest eigenvalues")
    products: Count = Field(description="dimensions of the Krylov space; one Hessian-vector product each")


class SharpnessConfig(Record):
    """Settings of the sharpness measures."""

    rho: Positive = Field(description="norm of the ascent step of sharpness")
    adaptive_rho: Positive = Field(
        description="the same for adaptive sharpness, relative to the magnitude of each weight"
    )
    sub_batch: Count = Field(description="m, images per ascent step")
    epsilon: Positive = Field(description="relative half-width of the box for the worst case")
    iterations: Count = Field(description="iterations of the maximisation in the box")
    noise_rho: Positive = Field(0.01, description="standard deviation of the noise of average_sharpness")
    adaptive_noise_rho: Positive = Field(
        0.1, description="the same for adaptive sharpness, relative to the magnitude of each weight"
    )
    noise_draws: AtLeastTwo = Field(8, description="noise vectors for both average sharpness measures")
    linf_rho: Positive = Field(0.002, description="largest relative change of a weight, worst case for p = infinity")
    l2_rho: Positive = Field(0.5, description="norm of the relative changes, worst case for p = 2")
    ascent_steps: Count = Field(5, description="ascent steps for both worst cases")


class NoiseConfig(Record):
    """Gaussian noise on the weights."""

    accuracy_drop: OpenFraction = Field(
        description="the noise is as large as lowers the mean training accuracy by this much"
    )
    draws: AtLeastTwo = Field(description="noise vectors")


class LearningCoefficientConfig(Record):
    """Langevin chains around the weights."""

    chains: AtLeastTwo = Field(3, description="number of independent chains, all starting at the weights")
    steps: Annotated[int, Field(ge=100, le=10**9)] = Field(300, description="steps per chain, including burn-in")
    batch: Count = Field(25, description="images per stochastic gradient")
    radius: Positive = Field(0.2, description="distance that chains would reach on a flat loss, relative to ||w||")
    localisation: Positive | None = Field(
        None, description="gamma, strength of the pull to the weights; null: W / (radius ||w||)^2"
    )


class BasinVolumeConfig(Record):
    """Random rays from the weights to a rise of the loss."""

    rise: Positive = Field(0.1, description="c, rise of the loss that bounds the volume, nats")
    rays: AtLeastTwo = Field(10, description="number of random rays")


class LaplaceConfig(Record):
    """The Gaussian prior of the weights in a Laplace approximation."""

    # The precision that corresponds to the study's weight decay: 5e-4·Σw² added to a mean loss is half of 1e-3·Σw².
    prior_precision: Positive = Field(
        default=1e-3, description="precision of the prior of each weight for one sample; multiplied by N for a draw"
    )


class ConfidenceConfig(Record):
    """Settings of the confidence measures under input noise."""

    input_noise: Positive = Field(
        default=0.1,
        description="standard deviation of the input noise, relative to that of each channel",
    )


class MeasureConfig(Record):
    """What `infomcr eval` measures."""

    names: str | tuple[str, ...] = Field(
        description="a suite (fast, standard, free, volume, all) or a list of measures"
    )
    batch_size: Count = Field(description="images per forward or backward pass of a measurement")
    gamma: GammaConfig
    samples: Count = Field(description="number of training images for all measures that do not use a Gram matrix")
    curvature: CurvatureConfig
    sharpness: SharpnessConfig
    noise: NoiseConfig
    # These have defaults because runs that were recorded before them can be measured too.
    learning_coefficient: LearningCoefficientConfig = LearningCoefficientConfig()
    basin_volume: BasinVolumeConfig = BasinVolumeConfig()
    laplace: LaplaceConfig = LaplaceConfig()
    confidence: ConfidenceConfig = ConfidenceConfig()
    early_epochs: Count = Field(
        default=1, description="always keep the checkpoint after this many epochs, for early measures"
    )
