"""Which images a run learns from, and what happens to them on the way to the network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, PrivateAttr

from infomcr_cli.config.schema.fields import (
    Count,
    Fraction,
    Record,
    Seed,
    hashed_unless_default,
    not_hashed,
)

Scaling = Literal["standardised", "raw", "unit", "symmetric"]


class DataConfig(Record):
    """Which images, how many, in what batches."""

    name: Literal["digits", "cifar10", "cifar100", "image_folder", "npz", "imagenet", "builder"]
    root: str | None = not_hashed("where the data lies: an archive, an extracted archive or a folder of images")
    cache: str | None = not_hashed("where decoded images are kept; null: the user's cache folder")
    batch_size: Count = Field(description="images of a training step; an incomplete last batch is dropped")
    train_size: Count | None = Field(description="a stratified subset of this many training images; null: all")
    test_size: Count | None = Field(description="a stratified subset of this many test images; null: all")
    validation_size: Count | None = Field(description="training images set apart, stratified; null: none")
    label_noise: Fraction = Field(description="share of training labels replaced by another class, seeded")
    seed: Seed | None = Field(description="of subsets and noise; null: the seed of the run")
    order_seed: Seed | None = hashed_unless_default(None, "of order and augmentation; null: the seed of the run")
    scaling: Scaling = hashed_unless_default(
        "standardised",
        "what a network receives for a pixel x: standardised (x - mean)/std of the training images by channel, "
        "raw x, unit x/255, symmetric x/127.5 - 1",
    )


class Cifar100Config(DataConfig):
    """CIFAR-100 has two labels for each image."""

    name: Literal["cifar100"]
    labels: Literal["fine", "coarse"] = Field(description="100 classes, or their 20 superclasses")


class ImagenetConfig(DataConfig):
    """Folders of classes too large for memory: decoded while training."""

    name: Literal["imagenet"]
    image_size: Annotated[int, Field(ge=8, le=4096)] = Field(description="pixels of a side as the network sees them")
    resize: Annotated[int, Field(ge=8, le=8192)] = Field(description="pixels of the short side before the centre crop")
    workers: Annotated[int, Field(ge=0, le=1024)] = not_hashed("images decoded at once; 0: one for each core")


class BuilderDataConfig(DataConfig):
    """Arrays or tf.data from a function of the user's own.

    Whether the user has named the function is not a setting: no file can say so, and none records it.
    See `allowed_builders`.
    """

    name: Literal["builder"]
    builder: str = Field(description="package.module:function", max_length=1_000)
    settings: dict[str, JsonValue] = Field(description="keywords that the function is called with")
    _is_trusted: bool = PrivateAttr(default=False)

    def __hash__(self) -> int:
        """Hash the settings as text, because a dict has no hash."""
        return hash(self.model_dump_json())


class ArrayDataConfig(DataConfig):
    """Every other source: it is kept in memory, or mapped into it."""

    name: Literal["digits", "cifar10", "image_folder", "npz"]


AnyDataConfig = Annotated[
    ArrayDataConfig | Cifar100Config | ImagenetConfig | BuilderDataConfig, Field(discriminator="name")
]


Pixels = Annotated[int, Field(ge=0, le=4096)]


class AugmentConfig(Record):
    """What happens to a training image before the network sees it."""

    name: Literal["none", "standard", "batch_crop", "cutout", "mixup"]
    flip: bool = Field(description="mirror every second image, at random")
    padding: Pixels = Field(description="zero pixels around the standardised image before the crop")
    cutout: Pixels = Field(description="side of the square that is set to zero (DeVries & Taylor, 2017); 0: none")
    mixup: Annotated[float, Field(ge=0, le=1000)] = Field(
        description="α of the Beta law of the mixing weight (Zhang et al., 2018); 0: none"
    )

    @property
    def one_crop_a_batch(self) -> bool:
        """Whether all images of a batch share one crop offset."""
        return self.name == "batch_crop"
