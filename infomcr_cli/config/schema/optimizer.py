"""The optimizer of a run: a record for each one, with the ranges of its settings.

The optimizers are classes of Keras. The settings have the same names as in Keras, except `l2` and `label_smoothing`,
which are parts of the objective.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from infomcr_cli.config.schema.fields import BelowOne, Count, NonNegative, Positive, Record, hashed_unless_default

_CLIPPING = ("clipnorm", "global_clipnorm", "clipvalue")
_DECOUPLED = "decoupled weight decay of kernels: w <- w - learning_rate * weight_decay * w before each step"
_OF_THE_AVERAGE = ("ema_momentum", "ema_overwrite_frequency")


class OptimizerSettings(Record):
    """Settings that all optimizers share."""

    learning_rate: Positive = Field(description="learning rate after the warm-up, before the schedule lowers it")
    l2: NonNegative = Field(
        description="coefficient of the sum of squared weights in the loss; its gradient is 2 * l2 * w"
    )
    weight_decay: NonNegative | None = hashed_unless_default(None, _DECOUPLED)
    label_smoothing: BelowOne = hashed_unless_default(
        0.0, "fraction of each label that is spread evenly over all classes, in the training loss only"
    )
    clipnorm: Positive | None = hashed_unless_default(
        None, "maximum gradient norm of each weight array; null: no clipping"
    )
    global_clipnorm: Positive | None = hashed_unless_default(
        None, "maximum gradient norm of all weights together; null: no clipping"
    )
    clipvalue: Positive | None = hashed_unless_default(
        None, "maximum absolute value of a gradient's entries; null: no clipping"
    )
    use_ema: bool = hashed_unless_default(
        False, "keep an exponential moving average of the weights, which is evaluated and stored in checkpoints"
    )
    ema_momentum: BelowOne = hashed_unless_default(0.99, "decay of the moving average per step")
    ema_overwrite_frequency: Count | None = hashed_unless_default(
        None, "replace the weights by the average every so many steps; null: never"
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
    momentum: BelowOne = Field(description="momentum; 0: none")
    nesterov: bool = Field(description="use Nesterov momentum")


class _AdamSettings(OptimizerSettings):
    beta_1: BelowOne = Field(description="decay of the first moment of the gradients")
    beta_2: BelowOne = Field(description="decay of the second moment of the gradients")
    epsilon: Positive = Field(description="added to the denominator for numerical stability")
    amsgrad: bool = Field(description="use the AMSGrad variant (Reddi et al., 2018)")


class AdamConfig(_AdamSettings):
    """Adam (Kingma & Ba, 2015)."""

    name: Literal["adam"]


class AdamWConfig(_AdamSettings):
    """AdamW (Loshchilov & Hutter, 2019): Adam with decoupled weight decay."""

    name: Literal["adamw"]
    weight_decay: NonNegative = Field(description=_DECOUPLED)


class LionConfig(OptimizerSettings):
    """Lion (Chen et al., 2023): updates by the sign of the momentum."""

    name: Literal["lion"]
    beta_1: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="weight of the momentum in the direction of the update"
    )
    beta_2: BelowOne = Field(description="decay of the momentum")


class MuonConfig(OptimizerSettings):
    """Muon (Jordan et al., 2024): orthogonalised updates of dense kernels; Adam updates all other weights."""

    name: Literal["muon"]
    momentum: BelowOne = Field(description="momentum of the weights that Muon updates")
    nesterov: bool = Field(description="use Nesterov momentum")
    ns_steps: Annotated[int, Field(ge=1, le=100)] = Field(description="number of Newton-Schulz iterations")
    rms_rate: Positive | None = Field(
        description="scale the update of an n x m kernel by rms_rate * sqrt(max(n, m)) (Liu et al., 2025); null: by 1"
    )
    exclude_layers: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        description="layers that Adam updates, matched by a part of their path; should include the head"
    )
    exclude_embeddings: bool = Field(description="update embeddings by Adam")
    adam_lr_ratio: Positive = Field(description="learning rate of Adam relative to learning_rate")
    adam_beta_1: BelowOne = Field(description="decay of the first moment, for weights that Adam updates")
    adam_beta_2: BelowOne = Field(description="decay of the second moment, for weights that Adam updates")
    epsilon: Positive = Field(description="added to the denominator, for weights that Adam updates")


OptimizerConfig = Annotated[SgdConfig | AdamConfig | AdamWConfig | LionConfig | MuonConfig, Field(discriminator="name")]
