"""Training batches of streamed images: files are read and decoded in parallel, a few batches ahead, in a fixed order.

The order of epoch e is the permutation of (seed, e); crop and flip of a sample are stateless draws of
(seed, e, its place in the epoch). So batch i of epoch e is a pure function of (seed, e, i) here as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.config.schema.data import AugmentConfig
from infomcr_cli.data.dataset import Dataset
from infomcr_cli.data.epoch_plan import epoch_order
from infomcr_cli.data.streamed import StreamedImages
from infomcr_cli.errors import InputError

CROP_AREA, CROP_RATIO = (0.08, 1.0), (3 / 4, 4 / 3)  # Szegedy et al., 2015, arXiv:1409.4842
CROP, FLIP = 0, 1


def streamed_batches(
    dataset: Dataset,
    batch_size: int,
    augment: AugmentConfig,
    *,
    seed: int,
    epochs: range,
    first_step: int,
    options: tf.data.Options,
) -> tf.data.Dataset:
    """Return the batches of `epochs`; the first epoch begins at `first_step`.

    With `augment.padding` > 0 an image is a random-resized crop instead of the centre; with `augment.flip` it may be
    mirrored.

    Raises:
        InputError: the augmentation is one of a batch, which is not streamed.
    """
    images = dataset.train.images
    assert isinstance(images, StreamedImages)
    if augment.name not in ("none", "standard") or augment.cutout or augment.mixup:
        raise InputError(
            "data=imagenet supports only augment=none and standard",
            received=augment.name,
            accepted=["none", "standard"],
        )
    names, labels = tf.constant(images.names), tf.constant(dataset.train.labels)

    def places(epoch: int) -> NDArray[np.int32]:
        order = epoch_order(len(images), batch_size, seed=seed, epoch=int(epoch)).ravel()
        # [S * B, 3]: epoch, place in the epoch, image.
        at = np.stack([np.full(len(order), epoch), np.arange(len(order)), order], axis=1).astype(np.int32)
        return at[first_step * batch_size :] if epoch == epochs.start else at

    @tf.autograph.experimental.do_not_convert
    def sample(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        key = tf.random.fold_in(tf.random.fold_in(tf.constant([seed, 0]), place[0]), place[1])
        name = names[place[2]]
        image = _image(_by_pillow(images, images.read, [name], tf.string), images, augment, key, name)
        return (image - tf.constant(dataset.mean)) / tf.constant(dataset.std), labels[place[2]]

    order = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(_places_of(places))
    samples = order.map(sample, num_parallel_calls=images.decoders, deterministic=True)
    return samples.batch(batch_size, drop_remainder=True).prefetch(1).with_options(options)


def _places_of(places: Callable[[int], NDArray[np.int32]]) -> Any:
    @tf.autograph.experimental.do_not_convert
    def of(epoch: tf.Tensor) -> tf.data.Dataset:
        # Declared stateless, which it is: with deterministic operations, tf.data reads no files in parallel if a
        # function of the stream is stateful.
        drawn = tf.numpy_function(places, [epoch], tf.int32, stateful=False)
        drawn.set_shape([None, 3])
        return tf.data.Dataset.from_tensor_slices(drawn)

    return of


def _image(
    data: tf.Tensor, images: StreamedImages, augment: AugmentConfig, key: tf.Tensor, name: tf.Tensor | bytes = b""
) -> tf.Tensor:
    """Return one image on the 0..255 scale, float32, [size, size, 3]; without augmentation, the same as in evaluation.

    Args:
        data: the bytes of its file.
        name: of the file, for messages.
    """
    if augment.padding:
        extent = tf.ensure_shape(_by_pillow(images, images.extent, [data, name], tf.int32), [2])
        inputs = [data, name, _random_box(extent, key)]
    else:
        inputs = [data, name]
    decoded = _by_pillow(images, images.decode, inputs, tf.uint8)
    image = tf.cast(tf.ensure_shape(decoded, images.shape[1:]), tf.float32)
    if augment.flip:
        mirrored = tf.random.stateless_uniform([], tf.random.fold_in(key, FLIP)) < 0.5
        image = tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)  # axis 1: the columns
    return image


def _by_pillow(images: StreamedImages, work: Callable[..., Any], inputs: list[Any], dtype: tf.DType) -> tf.Tensor:
    """Call `work` outside TensorFlow and return its result; an InputError that it raises is kept with the images."""

    def done(*values: Any) -> Any:
        # Outside a graph, the bytes of a file come as an array without axes.
        values = tuple(value.item() if isinstance(value, np.ndarray) and not value.ndim else value for value in values)
        try:
            return work(*values)
        except InputError as error:
            images.failures.append(error)  # TensorFlow raises an error of its own instead
            raise

    return tf.numpy_function(done, inputs, dtype, stateful=False)  # stateless: see `_places_of`


def _random_box(extent: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Return left, top, right and bottom of a window of random area and aspect ratio in an image of that extent."""
    width, height = extent[0], extent[1]
    # begin and size are [3]: rows, columns, channels.
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.stack([height, width, 3]),
        tf.zeros((1, 0, 4), tf.float32),
        tf.random.fold_in(key, CROP),
        min_object_covered=0.0,
        aspect_ratio_range=CROP_RATIO,
        area_range=CROP_AREA,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.stack([begin[1], begin[0], begin[1] + size[1], begin[0] + size[0]])
