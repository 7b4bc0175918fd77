"""Batches against a reference that crops, mirrors and mixes one image at a time, in NumPy, by loops."""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import AUTODIFF, SINGLE

from infomcr_cli.data import evaluation_batches, steps_per_epoch, training_batches, training_stream
from infomcr_cli.data.epoch_plan import plan_epoch
from infomcr_cli.errors import InputError

AUGMENTS = {
    "none": {"flip": False, "padding": 0},
    "standard": {},
    "flip_only": {"name": "standard", "padding": 0},
    "crop_only": {"name": "standard", "flip": False},
    "wide": {"name": "standard", "padding": 12},
    "batch_crop": {},
    "cutout": {"cutout": 4},
    "cutout_odd": {"name": "cutout", "cutout": 3, "padding": 0},
    "mixup": {"mixup": 0.7},
}


def settings(augment, name):
    return augment(**{"name": name, **AUGMENTS[name]})


def one_image(dataset, settings, plan, step, place):
    """Standardise, mirror, pad with zeros, crop, cut out: in that order, pixel by pixel."""
    raw = dataset.train.images[plan.order[step, place]]
    image = dataset.standardise(raw)
    height, width, _ = image.shape
    if plan.flips[step, place]:
        image = np.stack([image[:, width - 1 - column] for column in range(width)], axis=1)
    out = np.zeros_like(image)
    padded = np.pad(image, ((settings.padding,) * 2, (settings.padding,) * 2, (0, 0)))
    for row in range(height):
        for column in range(width):
            down, right = plan.shifts[step, place]
            out[row, column] = padded[row + settings.padding + down, column + settings.padding + right]
    if settings.cutout:
        top, left = plan.holes[step, place] - settings.cutout // 2
        out[max(0, top) : max(0, top + settings.cutout), max(0, left) : max(0, left + settings.cutout)] = 0
    return out


def one_epoch(dataset, config, settings, seed, epoch):
    plan = plan_epoch(len(dataset.train), config.batch_size, dataset.image_shape, settings, seed=seed, epoch=epoch)
    for step, order in enumerate(plan.order):
        images = np.stack([one_image(dataset, settings, plan, step, place) for place in range(len(order))])
        labels = dataset.train.labels[order]
        if settings.mixup:
            weight, partner = plan.weights[step], plan.partners[step]
            targets = np.eye(dataset.num_classes, dtype=np.float32)[labels]
            images = weight * images + (1 - weight) * images[partner]
            labels = weight * targets + (1 - weight) * targets[partner]
        yield images, labels


def arrays(batches):
    return [(images.numpy(), labels.numpy()) for images, labels in batches]


def same_bits(one, other):
    return len(one) == len(other) and all(
        np.array_equal(a, b) and a.dtype == b.dtype
        for x, y in zip(one, other, strict=True)
        for a, b in zip(x, y, strict=True)
    )


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("name", AUGMENTS)
def test_batches_equal_the_slow_reference(made, config, augment, name, dtype) -> None:
    dataset, data = made(dtype=dtype), config(batch_size=5)
    chosen = settings(augment, name)
    got = arrays(training_batches(dataset, data, chosen, seed=3, epoch=1))
    expected = list(one_epoch(dataset, data, chosen, seed=3, epoch=1))
    assert len(got) == len(expected) == steps_per_epoch(dataset, data) == 4
    for (images, labels), (true_images, true_labels) in zip(got, expected, strict=True):
        assert images.dtype == np.float32
        assert labels.dtype == (np.float32 if chosen.mixup else np.int32)
        np.testing.assert_allclose(images, true_images, rtol=0, atol=SINGLE if chosen.mixup else 0)
        np.testing.assert_allclose(labels, true_labels, rtol=0, atol=SINGLE if chosen.mixup else 0)


@pytest.mark.parametrize("name", ["standard", "mixup"])
def test_a_resumed_stream_is_the_tail_of_the_whole(made, config, augment, name) -> None:
    dataset, data, chosen = made(), config(batch_size=5), settings(augment, name)
    whole = arrays(training_stream(dataset, data, chosen, seed=0, epochs=3))
    assert len(whole) == 12
    for epoch, step in ((0, 0), (0, 3), (1, 0), (1, 2), (2, 3)):
        place = {"first_epoch": epoch, "first_step": step}
        resumed = arrays(training_stream(dataset, data, chosen, seed=0, epochs=3, **place))
        assert same_bits(resumed, whole[4 * epoch + step :])


def test_one_epoch_is_its_part_of_the_stream(made, config, augment) -> None:
    dataset, data, chosen = made(), config(batch_size=5), augment()
    whole = arrays(training_stream(dataset, data, chosen, seed=0, epochs=3))
    assert same_bits(arrays(training_batches(dataset, data, chosen, seed=0, epoch=1, first_step=1)), whole[5:8])


def test_the_seed_decides_every_bit(made, config, augment) -> None:
    dataset, data, chosen = made(), config(batch_size=5), augment()
    one, same, other = (arrays(training_batches(dataset, data, chosen, seed=s, epoch=0)) for s in (1, 1, 2))
    assert same_bits(one, same)
    assert not same_bits(one, other)


def test_an_epoch_sees_each_image_at_most_once(made, config, augment) -> None:
    dataset = made(23)
    plain = augment("none", flip=False, padding=0)
    seen = np.concatenate(
        [images for images, _ in arrays(training_batches(dataset, config(batch_size=5), plain, seed=0, epoch=0))]
    )
    assert len(np.unique(seen, axis=0)) == len(seen) == 20


def test_shapes_are_static_for_the_compiler(made, config, augment) -> None:
    images, labels = training_batches(made(), config(batch_size=5), augment(), seed=0, epoch=0).element_spec
    assert tuple(images.shape) == (5, 7, 9, 3)
    assert tuple(labels.shape) == (5,)


def test_evaluation_sees_every_image_in_order(made) -> None:
    dataset = made()
    batches = list(evaluation_batches(dataset.test, dataset, 4))
    assert [len(labels) for _, labels in batches] == [4, 4, 3]
    assert np.array_equal(np.concatenate([labels for _, labels in batches]), dataset.test.labels)
    pixels = np.concatenate([images for images, _ in batches])
    expected = (dataset.test.images.astype(float) - np.array(dataset.mean)) / np.array(dataset.std)
    np.testing.assert_allclose(pixels, expected, atol=AUTODIFF)


def test_a_set_smaller_than_a_batch_is_refused(made, config, augment) -> None:
    with pytest.raises(InputError, match=r"data.batch_size must not exceed .* Try data.batch_size=11"):
        training_batches(made(), config(batch_size=24), augment(), seed=0, epoch=0)
