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

from infomcr_cli.config.data_schema import AugmentConfig
from infomcr_cli.data.plan import epoch_order
from infomcr_cli.data.record import Dataset
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
    """Return the batches of `epochs`, of the first of them from `first_step` on.

    `augment.padding` > 0 asks for a random-resized crop instead of the centre; `augment.flip` for mirroring.

    Raises: InputError: the augmentation is one of a batch, which is not streamed.
    """
    images = dataset.train.images
    assert isinstance(images, StreamedImages)
    if augment.name not in ("none", "standard") or augment.cutout or augment.mixup:
        raise InputError("data=imagenet is augmented by", received=augment.name, accepted=["none", "standard"])
    root, names, labels = str(images.root) + "/", tf.constant(images.names), tf.constant(dataset.train.labels)

    def places(epoch: int) -> NDArray[np.int32]:
        order = epoch_order(len(images), batch_size, seed=seed, epoch=int(epoch)).ravel()
        at = np.stack([np.full(len(order), epoch), np.arange(len(order)), order], axis=1).astype(np.int32)
        return at[first_step * batch_size :] if epoch == epochs.start else at

    @tf.autograph.experimental.do_not_convert
    def sample(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        key = tf.random.fold_in(tf.random.fold_in(tf.constant([seed, 0]), place[0]), place[1])
        image = _image(tf.io.read_file(root + names[place[2]]), images, augment, key)
        return (image - tf.constant(dataset.mean)) / tf.constant(dataset.std), labels[place[2]]

    order = tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(_places_of(places))
    samples = order.map(sample, num_parallel_calls=images.decoders, deterministic=True)
    return samples.batch(batch_size, drop_remainder=True).prefetch(1).with_options(options)


def _places_of(places: Callable[[int], NDArray[np.int32]]) -> Any:
    @tf.autograph.experimental.do_not_convert
    def of(epoch: tf.Tensor) -> tf.data.Dataset:
        # Stateless, as it is: determinism would take all parallel reading from a stream with a stateful function.
        drawn = tf.numpy_function(places, [epoch], tf.int32, stateful=False)
        drawn.set_shape([None, 3])
        return tf.data.Dataset.from_tensor_slices(drawn)

    return of


def _image(data: tf.Tensor, images: StreamedImages, augment: AugmentConfig, key: tf.Tensor) -> tf.Tensor:
    """Return one image on the 0..255 scale, float32, [size, size, 3]."""
    size = [images.size, images.size]
    shape = tf.cond(tf.io.is_jpeg(data), lambda: tf.io.extract_jpeg_shape(data), lambda: tf.shape(_png(data)))
    window = _random_window(shape, key) if augment.padding else _centre_window(shape, images.size / images.resize)
    cropped = tf.cond(
        tf.io.is_jpeg(data),
        lambda: tf.io.decode_and_crop_jpeg(data, window, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.image.crop_to_bounding_box(_png(data), *tf.unstack(window)),
    )
    image = tf.ensure_shape(tf.image.resize(cropped, size, antialias=True), [*size, 3])
    if augment.flip:
        mirrored = tf.random.stateless_uniform([], tf.random.fold_in(key, FLIP)) < 0.5
        image = tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)
    return image


def _png(data: tf.Tensor) -> tf.Tensor:
    return tf.ensure_shape(tf.io.decode_png(data, channels=3), [None, None, 3])


def _random_window(shape: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Return top, left, height and width of a window of random area and aspect ratio."""
    whole = tf.zeros((1, 0, 4), tf.float32)
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        whole,
        tf.random.fold_in(key, CROP),
        min_object_covered=0.0,
        aspect_ratio_range=CROP_RATIO,
        area_range=CROP_AREA,
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.stack([begin[0], begin[1], extent[0], extent[1]])


def _centre_window(shape: tf.Tensor, share: float) -> tf.Tensor:
    height, width = shape[0], shape[1]
    side = tf.cast(tf.round(tf.cast(tf.minimum(height, width), tf.float32) * share), tf.int32)
    return tf.stack([(height - side) // 2, (width - side) // 2, side, side])
