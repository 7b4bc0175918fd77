"""The network of a run: a record for each architecture, with the ranges of its settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, PrivateAttr, model_validator

from infomcr_cli.config.schema.architectures import Application
from infomcr_cli.config.schema.fields import BelowOne, Count, CountOrZero, Record
from infomcr_cli.config.schema.imported import ImportedModelConfig

Norm = Literal["batch", "group", "layer", "none"]
Activation = Literal["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh"]
Depth = Annotated[int, Field(ge=1, le=10_000)]
Width = Annotated[float, Field(gt=1 / 32, le=1_000)]  # times 16 it rounds to at least one channel
VggWidth = Annotated[float, Field(gt=1 / 128, le=1_000)]  # times 64


class StyledConfig(Record):
    """Settings that all built-in architectures share."""

    norm: Norm = Field(description="normalization of the hidden layers")
    activation: Activation = Field(description="nonlinearity of the hidden layers")
    dropout: BelowOne = Field(description="dropout rate; the architecture determines where it applies")


class WideResNetConfig(StyledConfig):
    """Wide ResNet (Zagoruyko & Komodakis, 2016), pre-activation."""

    name: Literal["wrn"]
    depth: Depth = Field(description="6n+4; ignored if blocks_per_group is given")
    width: Width = Field(description="factor for the channels 16, 32, 64; ignored if widths is given")
    widths: tuple[Count, ...] | None = Field(description="channels of each group; null: width times 16, 32, 64")
    blocks_per_group: Depth | None = Field(description="residual blocks in each group; null: derived from depth")

    @model_validator(mode="after")
    def _depth_is_of_the_family(self) -> WideResNetConfig:
        if self.blocks_per_group is None:
            _check_family(self.depth, 4)
        return self


class ResNetConfig(StyledConfig):
    """ResNet for small images (He et al., 2016)."""

    name: Literal["resnet"]
    depth: Depth = Field(description="6n+2: 20, 32, 56, 110, …")
    width: Width = Field(description="factor for the channels 16, 32, 64")

    @model_validator(mode="after")
    def _depth_is_of_the_family(self) -> ResNetConfig:
        _check_family(self.depth, 2)
        return self


class DenseNetConfig(StyledConfig):
    """DenseNet-BC (Huang et al., 2017)."""

    name: Literal["densenet"]
    depth: Depth = Field(description="6n+4: 40, 100, 190, …")
    growth_rate: Count = Field(description="k, channels added by each layer")
    compression: Annotated[float, Field(gt=0, le=1)] = Field(description="fraction of channels kept by a transition")

    @model_validator(mode="after")
    def _depth_is_of_the_family(self) -> DenseNetConfig:
        _check_family(self.depth, 4)
        return self


class VggConfig(StyledConfig):
    """VGG (Simonyan & Zisserman, 2015)."""

    name: Literal["vgg"]
    depth: Literal[11, 13, 16, 19] = Field(description="number of weight layers, as published")
    width: VggWidth = Field(description="factor for the channels 64, 128, 256, 512, 512")
    head_units: tuple[Count, ...] = Field(description="units of the hidden dense layers in the head")


class NinConfig(StyledConfig):
    """Network in network (Lin et al., 2014), as in the studies of generalization measures."""

    name: Literal["nin"]
    depth: Depth = Field(description="number of blocks")
    width: Count = Field(description="factor for base_width")
    base_width: Count = Field(description="channels for width 1")


class MlpConfig(StyledConfig):
    """Multilayer perceptron."""

    name: Literal["mlp"]
    depth: CountOrZero = Field(description="number of hidden layers", le=10_000)
    width: Count = Field(description="units of each hidden layer")


class ApplicationConfig(Record):
    """A network of keras.applications, untrained."""

    name: Application
    upsample: Annotated[int, Field(ge=1, le=256)] = Field(description="factor by which images are enlarged first")


class BuilderConfig(Record):
    """The user's own network, from a function.

    Whether the user has named the function is not a setting: no file can say so, and none records it.
    See `allowed_builders`.
    """

    name: Literal["builder"]
    builder: str = Field(description="package.module:function", max_length=1_000)
    settings: dict[str, JsonValue] = Field(description="keyword arguments for the function")
    _is_trusted: bool = PrivateAttr(default=False)


ModelConfig = Annotated[
    WideResNetConfig
    | ResNetConfig
    | DenseNetConfig
    | VggConfig
    | NinConfig
    | MlpConfig
    | ApplicationConfig
    | BuilderConfig
    | ImportedModelConfig,
    Field(discriminator="name"),
]


def _check_family(depth: int, rest: int) -> None:
    if depth < 6 + rest or (depth - rest) % 6:
        near = max(6 + rest, rest + 6 * round((depth - rest) / 6))
        raise ValueError(f"model.depth must be 6n+{rest}, at least {6 + rest}; got {depth}. Try {near}.")
