"""The regularizer of a run: a record for each one, with the ranges of its settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from infomcr_cli.config.schema.fields import Count, Fraction, NonNegative, Positive, Record

# Hydra reads 111 and 100 as numbers, so the value is turned into text first.
Phases = Annotated[
    Literal["111", "110", "101", "100", "011", "010", "001", "000"], BeforeValidator(lambda value: str(value))
]
PASSES_OF_DOUBLE_BACKWARD = 3.0  # the derivative of a forward and backward pass costs about twice that pass


class NoRegularizer(Record):
    """Plain SGD."""

    name: Literal["off"]

    @property
    def passes(self) -> float:
        """Forward and backward passes over the batch in one step."""
        return 1.0


class PhasedConfig(Record):
    """Settings that all regularizers share."""

    num_sub_batches: Count = Field(
        description="M, number of equal parts of the batch, each with its own batch statistics"
    )
    phases: Phases = Field(description="one digit for each phase of the schedule: 1 active, 0 inactive")


class LocalMinimumConfig(PhasedConfig):
    """The regularizer of the study (Jia & Su, 2020)."""

    name: Literal["on"]
    alpha: Positive = Field(description="α, size of the probing step as a multiple of the gradient")
    beta: NonNegative = Field(description="β, weight of the penalty")
    share_pass: bool = Field(
        description="use the mean of the sub-batch gradients as the main gradient: two passes instead of three"
    )

    @property
    def passes(self) -> float:
        """Forward and backward passes over the batch in one active step."""
        if self.beta == 0:
            return 1.0
        return 2.0 if self.share_pass else 3.0


class SamConfig(PhasedConfig):
    """Sharpness-aware minimization (Foret et al., 2021)."""

    name: Literal["sam"]
    rho: NonNegative = Field(description="ρ, Euclidean norm of the ascent step")

    @property
    def passes(self) -> float:
        """Forward and backward passes over the batch in one active step."""
        return 2.0 if self.rho else 1.0


class GradientNormConfig(PhasedConfig):
    """A penalty on the norm of the gradient (Zhao et al., 2022)."""

    name: Literal["gradient_norm"]
    radius: Positive = Field(description="r, Euclidean norm of the probing ascent step")
    alpha: Fraction = Field(
        description="α = λ/r, weight of the gradient at the probed point; λ is the weight of the penalty"
    )

    @property
    def passes(self) -> float:
        """Forward and backward passes over the batch in one active step."""
        return 2.0 if self.alpha else 1.0


class FisherTraceConfig(PhasedConfig):
    """A penalty on the mean squared norm of the sub-batches' gradients, differentiated exactly."""

    name: Literal["fisher_trace"]
    beta: NonNegative = Field(description="β, weight of mean‖g_m‖²; corresponds to αβ/2 of the study's regularizer")
    share_pass: bool = Field(description="use the mean of the sub-batch gradients as the main gradient: saves a pass")

    @property
    def passes(self) -> float:
        """Approximate number of forward and backward passes over the batch in one active step."""
        if self.beta == 0:
            return 1.0
        return PASSES_OF_DOUBLE_BACKWARD + (0.0 if self.share_pass else 1.0)


RegConfig = Annotated[
    NoRegularizer | LocalMinimumConfig | SamConfig | GradientNormConfig | FisherTraceConfig,
    Field(discriminator="name"),
]
