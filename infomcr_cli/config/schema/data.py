"""The training images and their augmentation: a record for each kind of source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, PrivateAttr
from pydantic_core import PydanticKnownError

from infomcr_cli.config.schema.fields import (
    Count,
    Fraction,
    Record,
    Seed,
    hashed_unless_default,
    not_hashed,
)


def _not_empty(path: str) -> str:
    if not path:
        raise PydanticKnownError("string_too_short", {"min_length": 1})
    return path


Place = Annotated[str, AfterValidator(_not_empty)]  # `min_length` would refuse file names that are not valid Unicode
Scaling = Literal["standardised", "raw", "unit", "symmetric"]


class DataConfig(Record):
    """The data set: source, sizes and batches."""

    name: Literal["digits", "cifar10", "cifar100", "image_folder", "npz", "imagenet", "builder"]
    root: Place | None = not_hashed("path of the data: an archive, an extracted archive or a folder of images")
    cache: Place | None = not_hashed("folder for decoded images; null: the user's cache folder")
    batch_size: Count = Field(description="images per training step; an incomplete last batch is dropped")
    train_size: Count | None = Field(description="use a stratified subset of this many training images; null: all")
    test_size: Count | None = Field(description="use a stratified subset of this many test images; null: all")
    validation_size: Count | None = Field(
        description="number of training images held out for validation, stratified; null: none"
    )
    label_noise: Fraction = Field(description="fraction of training labels replaced by a random other class")
    seed: Seed | None = Field(description="seed for subsets and label noise; null: the seed of the run")
    order_seed: Seed | None = hashed_unless_default(
        None, "seed for the order of batches and augmentation; null: the seed of the run"
    )
    scaling: Scaling = hashed_unless_default(
        "standardised",
        "scaling of an input x: standardised (x - mean)/std of the training images per channel, "
        "raw x, unit x/255, symmetric x/127.5 - 1",
    )


class Cifar100Config(DataConfig):
    """CIFAR-100, with fine or coarse labels."""

    name: Literal["cifar100"]
    labels: Literal["fine", "coarse"] = Field(description="fine: 100 classes; coarse: their 20 superclasses")


class ImagenetConfig(DataConfig):
    """ImageNet-like class folders, decoded during training."""

    name: Literal["imagenet"]
    image_size: Annotated[int, Field(ge=8, le=4096)] = Field(description="side length of the network's input, pixels")
    resize: Annotated[int, Field(ge=8, le=8192)] = Field(
        description="length of the short side before the centre crop, pixels"
    )
    workers: Annotated[int, Field(ge=0, le=1024)] = not_hashed("images decoded in parallel; 0: one per core")


class BuilderDataConfig(DataConfig):
    """Arrays or tf.data from the user's own function.

    Whether the user has named the function is not a setting: no file can say so, and none records it.
    See `allowed_builders`.
    """

    name: Literal["builder"]
    builder: str = Field(description="package.module:function", max_length=1_000)
    settings: dict[str, JsonValue] = Field(description="keyword arguments for the function")
    _is_trusted: bool = PrivateAttr(default=False)

    def __hash__(self) -> int:
        """Hash the settings as text, because a dict has no hash."""
        return hash(self.model_dump_json())


class ArrayDataConfig(DataConfig):
    """All other sources, which are kept in memory or memory-mapped."""

    name: Literal["digits", "cifar10", "image_folder", "npz"]


AnyDataConfig = Annotated[
    ArrayDataConfig | Cifar100Config | ImagenetConfig | BuilderDataConfig, Field(discriminator="name")
]


Pixels = Annotated[int, Field(ge=0, le=4096)]


class AugmentConfig(Record):
    """Augmentation of training images."""

    name: Literal["none", "standard", "batch_crop", "cutout", "mixup"]
    flip: bool = Field(description="mirror each image with probability 1/2")
    padding: Pixels = Field(description="zero pixels around the standardised image before the crop")
    cutout: Pixels = Field(description="side length of a square set to zero (DeVries & Taylor, 2017); 0: none")
    mixup: Annotated[float, Field(ge=0, le=1000)] = Field(
        description="α of the Beta distribution of the mixing weight (Zhang et al., 2018); 0: none"
    )

    @property
    def one_crop_a_batch(self) -> bool:
        """Whether all images of a batch share one crop offset."""
        return self.name == "batch_crop"
