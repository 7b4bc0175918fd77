from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from infomcr_cli.data.epoch_plan import plan_epoch

SHAPE = (7, 9, 3)


def test_order_is_the_permutation_of_seed_and_epoch(augment) -> None:
    plan = plan_epoch(23, 5, SHAPE, augment(), seed=4, epoch=2)
    assert np.array_equal(plan.order.ravel(), np.random.default_rng([4, 2]).permutation(23)[:20])


def test_draws_are_in_range_and_reach_its_ends(augment) -> None:
    plan = plan_epoch(4000, 100, SHAPE, augment("cutout", cutout=3, mixup=1.0), seed=0, epoch=0)
    assert (plan.shifts.min(), plan.shifts.max()) == (-4, 4)
    assert set(plan.holes[..., 0].ravel()) == set(range(7))
    assert set(plan.holes[..., 1].ravel()) == set(range(9))
    # 2,000 flips expected, standard deviation 32; 444 of each of 9 shifts, standard deviation 20.
    assert abs(plan.flips.sum() - 2000) < 160
    assert np.all(np.abs(np.bincount(plan.shifts[..., 0].ravel() + 4) - 4000 / 9) < 100)
    assert np.all((plan.weights >= 0) & (plan.weights <= 1))
    assert np.array_equal(np.sort(plan.partners, axis=1), np.tile(np.arange(100), (40, 1)))


def test_each_kind_of_draw_is_independent_of_the_others(augment) -> None:
    rich = plan_epoch(40, 8, SHAPE, augment(mixup=0.5), seed=1, epoch=3)
    poor = plan_epoch(40, 8, SHAPE, augment(flip=False), seed=1, epoch=3)
    assert np.array_equal(rich.order, poor.order)
    assert np.array_equal(rich.shifts, poor.shifts)
    assert not poor.flips.any()


def test_streams_do_not_repeat_one_another(augment) -> None:
    plans = [plan_epoch(64, 64, SHAPE, augment(), seed=s, epoch=e) for s in range(3) for e in range(3)]
    assert len({plan.order.tobytes() for plan in plans}) == 9
    assert len({plan.shifts.tobytes() for plan in plans}) == 9


def test_one_crop_a_batch(augment) -> None:
    plan = plan_epoch(400, 10, SHAPE, augment("batch_crop"), seed=0, epoch=0)
    assert np.all(plan.shifts == plan.shifts[:, :1])
    assert len({tuple(shift) for shift in plan.shifts[:, 0]}) > 10


@pytest.mark.parametrize("step", [0, 1, 4])
def test_the_plan_of_a_resumed_epoch_is_the_tail_of_the_whole_plan(augment, step) -> None:
    plan = plan_epoch(23, 5, SHAPE, augment(mixup=1.0), seed=0, epoch=1)
    for part, whole in zip(astuple(plan.since(step)), astuple(plan), strict=True):
        assert np.array_equal(part, whole[step:])
