"""How the weights move in a step: a record for each optimizer, with the ranges of its settings.

The optimizers are Keras's own classes, and the settings have their names there, except `l2` and `label_smoothing`,
which are parts of the objective.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from infomcr_cli.config.schema.fields import BelowOne, Count, NonNegative, Positive, Record, hashed_unless_default

_CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")
_DECOUPLED = "decoupled decay: before each step a kernel w becomes w - rate * weight_decay * w"
_OF_THE_AVERAGE = ("ema_momentum", "ema_overwrite_frequency")


class OptimizerSettings(Record):
    """What all optimizers have in common."""

    learning_rate: Positive = Field(description="the rate after the warm-up; the schedule lowers it")
    l2: NonNegative = Field(description="coefficient of the sum of squared weights; the gradient is twice it")
    weight_decay: NonNegative | None = hashed_unless_default(None, _DECOUPLED)
    label_smoothing: BelowOne = hashed_unless_default(
        0.0, "share of each label that is spread evenly over all classes in the loss that is minimized"
    )
    clipnorm: Positive | None = hashed_unless_default(None, "longest gradient of one weight array; null: no limit")
    global_clipnorm: Positive | None = hashed_unless_default(
        None, "longest gradient of all weights together; null: no limit"
    )
    clipvalue: Positive | None = hashed_unless_default(None, "largest entry of a gradient, absolute; null: no limit")
    use_ema: bool = hashed_unless_default(
        False, "average the weights over steps; the average is what is evaluated and kept in checkpoints"
    )
    ema_momentum: BelowOne = hashed_unless_default(0.99, "share of the average that a step keeps")
    ema_overwrite_frequency: Count | None = hashed_unless_default(
        None, "steps after which training continues from the average; null: never"
    )

    @model_validator(mode="after")
    def _one_kind_of_clipping(self) -> OptimizerSettings:
        given = [f"optimizer.{name}={getattr(self, name):g}" for name in _CLIPPING if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(
                f"at most one kind of gradient clipping can be set; got {', '.join(given)}. Set the others to null."
            )
        return self

    @model_validator(mode="after")
    def _average_is_used(self) -> OptimizerSettings:
        fields = OptimizerSettings.model_fields
        for name in _OF_THE_AVERAGE:
            value = getattr(self, name)
            if not self.use_ema and value != fields[name].default:
                raise ValueError(
                    f"optimizer.{name} requires averaged weights; got {value:g} with optimizer.use_ema=false. "
                    "Set optimizer.use_ema=true."
                )
        return self


class SgdConfig(OptimizerSettings):
    """Stochastic gradient descent, with or without momentum."""

    name: Literal["sgd"]
    momentum: BelowOne = Field(description="share of the last step that is added to the next; 0: none")
    nesterov: bool = Field(description="take the gradient's part of the momentum first (Nesterov)")


class _AdamSettings(OptimizerSettings):
    beta_1: BelowOne = Field(description="decay of the mean of gradients")
    beta_2: BelowOne = Field(description="decay of the mean of squared gradients")
    epsilon: Positive = Field(description="added to the root of the mean of squares")
    amsgrad: bool = Field(description="divide by the largest mean of squares so far (Reddi et al., 2018)")


class AdamConfig(_AdamSettings):
    """Adam (Kingma & Ba, 2015)."""

    name: Literal["adam"]


class AdamWConfig(_AdamSettings):
    """AdamW (Loshchilov & Hutter, 2019): Adam with decoupled weight decay."""

    name: Literal["adamw"]
    weight_decay: NonNegative = Field(description=_DECOUPLED)


class LionConfig(OptimizerSettings):
    """Lion (Chen et al., 2023): steps of one length, in the direction of the sign of the momentum."""

    name: Literal["lion"]
    beta_1: Annotated[float, Field(gt=0, lt=1)] = Field(description="share of the momentum in the step's direction")
    beta_2: BelowOne = Field(description="decay of the momentum")


class MuonConfig(OptimizerSettings):
    """Muon (Jordan et al., 2024): orthogonal steps of dense kernels; all other weights take steps of Adam."""

    name: Literal["muon"]
    momentum: BelowOne = Field(description="decay of the momentum of weights that take Muon's step")
    nesterov: bool = Field(description="take the gradient's part of the momentum first")
    ns_steps: Annotated[int, Field(ge=1, le=100)] = Field(description="Newton-Schulz iterations that orthogonalize")
    rms_rate: Positive | None = Field(
        description="a step of an n x m kernel is scaled by rms_rate * sqrt(max(n, m)) (Liu et al., 2025); null: by 1"
    )
    exclude_layers: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        description="layers that take steps of Adam, by a part of their path: the head should be one of them"
    )
    exclude_embeddings: bool = Field(description="embeddings take steps of Adam")
    adam_lr_ratio: Positive = Field(description="learning rate of the steps of Adam, as a multiple of learning_rate")
    adam_beta_1: BelowOne = Field(description="decay of the mean of gradients, in steps of Adam")
    adam_beta_2: BelowOne = Field(description="decay of the mean of squared gradients, in steps of Adam")
    epsilon: Positive = Field(description="added to the root of the mean of squares, in steps of Adam")


OptimizerConfig = Annotated[SgdConfig | AdamConfig | AdamWConfig | LionConfig | MuonConfig, Field(discriminator="name")]
