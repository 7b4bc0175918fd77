from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infomcr_cli.data.subsets import replace_labels, select, stratified_order
from infomcr_cli.errors import InputError

labels_of_any_kind = st.lists(st.integers(0, 6), min_size=1, max_size=80).map(lambda x: np.array(x, np.int32))


@given(labels_of_any_kind, st.integers(0, 2**31 - 1))
@settings(max_examples=60, deadline=None)
def test_every_prefix_has_the_class_shares_of_the_whole(labels: np.ndarray, seed: int) -> None:
    order = stratified_order(labels, np.random.default_rng(seed))
    assert sorted(order) == list(range(len(labels)))
    share = np.bincount(labels, minlength=7) / len(labels)
    for size in range(1, len(labels) + 1):
        counts = np.bincount(labels[order[:size]], minlength=7)
        # One image more or less in a class, and what the others' roundings add up to in the size itself.
        assert np.all(np.abs(counts - share * size) <= 1 + 7 * share + 1e-9)


def test_equal_classes_are_dealt_in_rounds_of_random_order() -> None:
    labels = np.repeat(np.arange(10, dtype=np.int32), 50)
    rounds = labels[stratified_order(labels, np.random.default_rng(0))].reshape(50, 10)
    assert np.array_equal(np.sort(rounds, axis=1), np.tile(np.arange(10), (50, 1)))
    assert len({tuple(one) for one in rounds}) > 40


def test_noise_replaces_exactly_its_share_by_other_classes(made) -> None:
    split = made(200).train
    noisy_split, noisy = replace_labels(split, 0.3, 3, np.random.default_rng(1))
    assert noisy.sum() == 60
    assert np.all((noisy_split.labels != split.labels) == noisy)
    assert noisy_split.labels.min() >= 0
    assert noisy_split.labels.max() < 3
    assert noisy_split.images is split.images


def test_label_noise_is_uniform_over_the_other_classes() -> None:
    from infomcr_cli.data.dataset import Split

    split = Split(np.zeros((60_000, 1, 1, 1), np.uint8), np.zeros(60_000, np.int32))
    drawn, _ = replace_labels(split, 1.0, 4, np.random.default_rng(0))
    # 20,000 expected in each of three classes, standard deviation 115.
    assert np.all(np.abs(np.bincount(drawn.labels, minlength=4) - [0, 20_000, 20_000, 20_000]) < 600)


def test_parts_are_disjoint_sized_and_in_the_order_of_the_source(made, config) -> None:
    dataset = made(60)
    chosen = select(dataset, config(train_size=20, validation_size=15, test_size=5), seed=3)
    assert (len(chosen.train), len(chosen.validation), len(chosen.test)) == (20, 15, 5)
    where = [_places(part, dataset.train) for part in (chosen.train, chosen.validation)]
    assert all(np.all(np.diff(places) > 0) for places in where)
    assert not set(where[0]) & set(where[1])
    assert (chosen.mean, chosen.std) == (dataset.mean, dataset.std)


def _places(part, whole) -> list[int]:
    return [int(np.flatnonzero((whole.images == image).all((1, 2, 3)))[0]) for image in part.images]


def test_the_same_seed_chooses_the_same_and_another_seed_another(made, config) -> None:
    dataset, wanted = made(60), {"train_size": 30, "label_noise": 0.5}
    one, same, other = (select(dataset, config(seed=seed, **wanted), seed=9) for seed in (1, 1, 2))
    assert np.array_equal(one.train.images, same.train.images)
    assert np.array_equal(one.train.labels, same.train.labels)
    assert one.fingerprint == same.fingerprint
    assert not np.array_equal(one.train.images, other.train.images)
    assert len({dataset.fingerprint, one.fingerprint, other.fingerprint}) == 3


def test_a_null_data_seed_is_the_seed_of_the_run(made, config) -> None:
    dataset = made(60)
    by_run = select(dataset, config(seed=None, train_size=30), seed=4)
    by_data = select(dataset, config(seed=4, train_size=30), seed=0)
    assert np.array_equal(by_run.train.images, by_data.train.images)


def test_label_noise_does_not_change_the_subset(made, config) -> None:
    dataset = made(60)
    clean, noisy = (select(dataset, config(train_size=30, label_noise=share), seed=0) for share in (0.0, 0.5))
    assert np.array_equal(clean.train.images, noisy.train.images)
    assert clean.noisy is None
    assert np.array_equal(clean.train.labels != noisy.train.labels, noisy.noisy)


@pytest.mark.parametrize(
    ("wanted", "rule"),
    [
        ({"train_size": 61}, "data.train_size must be at most 60"),
        ({"validation_size": 60}, "data.validation_size must be at most 59"),
        ({"validation_size": 50, "train_size": 11}, "data.train_size must be at most 10"),
        ({"test_size": 12}, "data.test_size must be at most 11"),
        ({"batch_size": 61}, "data.batch_size must not exceed the number of training images"),
        ({"batch_size": 21, "train_size": 20}, "data.batch_size must not exceed the number of training images"),
    ],
)
def test_more_images_than_the_source_has_are_refused(made, config, wanted, rule) -> None:
    with pytest.raises(InputError, match=rule):
        select(made(60), config(**wanted), seed=0)
