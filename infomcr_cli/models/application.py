"""Build the networks of `keras.applications`, untrained, on standardised images.

l2 penalises every kernel: see `layers.penalise_kernels`. The first version of EfficientNet is left out, because it
always scales images itself; the second version is offered.
"""

from __future__ import annotations

import inspect

import keras
from keras import layers

from infomcr_cli.errors import InputError
from infomcr_cli.models.layers import penalise_kernels


def build(
    *,
    name: str,
    input_shape: tuple[int, int, int],
    num_classes: int,
    upsample: int = 1,
    l2: float = 0.0,
) -> keras.Model:
    """Build a published network that returns logits.

    Args:
        name:     the name in `keras.applications`, such as ResNet50.
        upsample: each pixel is first repeated to a square of upsample² pixels, because most of these networks need
            images of 32 pixels or more.

    Raises:
        InputError: the images are too small for the network.
    """
    image = keras.Input(input_shape, name="image")  # [h, w, c]; x is [h · upsample, w · upsample, c]
    x = layers.UpSampling2D(upsample, name="upsample")(image) if upsample > 1 else image
    make = getattr(keras.applications, name)
    takes = inspect.signature(make).parameters
    # Some of the networks begin with a scaling of pixels 0..255; images are standardised here.
    raw = {"include_preprocessing": False} if "include_preprocessing" in takes else {}
    try:
        # Without an input_shape, NASNet and MobileNet would assume that of ImageNet.
        made = make(
            weights=None,
            input_tensor=x,
            input_shape=tuple(x.shape[1:]),
            classes=num_classes,
            classifier_activation=None,
            **raw,
        )
    except ValueError as error:
        raise InputError(
            f"the images are too small for {name}",
            received=f"{x.shape[1]}x{x.shape[2]} pixels",
            advice=f"{' '.join(str(error).split())} Try a larger model.upsample.",
        ) from None
    # `made.input` is a list, and such a model takes its images in a list too; a model of the tensor does not.
    return penalise_kernels(keras.Model(image, made.output, name=name), l2)
