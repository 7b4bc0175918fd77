"""Learning rates and phases against a loop that takes every step, exact at the boundaries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tolerances import AUTODIFF, SINGLE

from infomcr_cli.config.schema.run import ScheduleConfig
from infomcr_cli.training.schedule import Schedule, learning_rate

PLAIN = {
    "name": "piecewise",
    "epochs": 10,
    "boundaries": (0.3, 0.6, 0.8),
    "factor": 0.2,
    "phases": (0.3, 0.6),
    "warmup_epochs": 0,
    "stop_at_train_loss": None,
    "eval_every": 1,
    "checkpoint_every": 1,
    "keep_checkpoints": None,
}


def make_schedule(steps_per_epoch: int = 7, phases: str | None = None, **changes: Any) -> Schedule:
    return Schedule(ScheduleConfig(**{**PLAIN, **changes}), steps_per_epoch, phases)


def rates(schedule: Schedule, rate: float) -> list[float]:
    rate_of = learning_rate(schedule, rate)
    steps = range(schedule.steps)
    return [float(rate_of(step)) for step in steps] if callable(rate_of) else [rate_of for _ in steps]


def slow_piecewise(rate: float, factor: float, drops: list[int], steps: int) -> list[float]:
    found = []
    for step in range(steps):
        if step in drops:
            rate *= factor
        found.append(rate)
    return found


def test_learning_rate_drops_in_the_first_step_of_an_epoch() -> None:
    np.testing.assert_allclose(rates(make_schedule(), 0.1), slow_piecewise(0.1, 0.2, [21, 42, 56], 70), rtol=SINGLE)


def test_study_drops_the_rate_at_epochs_60_120_and_160_of_200() -> None:
    rate: Any = learning_rate(make_schedule(steps_per_epoch=390, epochs=200), 0.1)
    for epoch, before, after in ((60, 0.1, 0.02), (120, 0.02, 0.004), (160, 0.004, 0.0008)):
        assert float(rate(390 * epoch - 1)) == pytest.approx(before, rel=SINGLE)
        assert float(rate(390 * epoch)) == pytest.approx(after, rel=SINGLE)


@pytest.mark.parametrize("epochs", [1, 3, 20, 37])
def test_boundaries_shrink_with_the_schedule(epochs: int) -> None:
    schedule = make_schedule(epochs=epochs, steps_per_epoch=11)
    drops = [int(np.floor(share * schedule.steps + 0.5)) for share in (0.3, 0.6, 0.8)]
    np.testing.assert_allclose(rates(schedule, 1.0), slow_piecewise(1.0, 0.2, drops, schedule.steps), rtol=SINGLE)


def test_constant_rate_is_a_number() -> None:
    assert rates(make_schedule(name="constant", boundaries=(), factor=1.0), 0.1) == [0.1] * 70


@pytest.mark.parametrize("warmup", [0, 2, 1.5])
def test_cosine_rate_equals_its_formula(warmup: float) -> None:
    schedule, rise = make_schedule(name="cosine", boundaries=(), warmup_epochs=warmup), round(7 * warmup)
    expected = []
    for step in range(70):
        fallen = 0.5 * (1 + math.cos(math.pi * (step - rise) / (70 - rise)))
        expected.append(0.3 * step / rise if step < rise else 0.3 * fallen)
    np.testing.assert_allclose(rates(schedule, 0.3), expected, rtol=AUTODIFF, atol=1e-7)


@pytest.mark.parametrize(("boundaries", "drops"), [((0.3, 0.6), [21, 42]), ((), [])])
def test_warm_up_rises_linearly_and_changes_no_later_step(boundaries: tuple[float, ...], drops: list[int]) -> None:
    schedule = make_schedule(boundaries=boundaries, warmup_epochs=2)
    expected = slow_piecewise(0.1, 0.2, drops, 70)
    expected[:14] = [0.1 * step / 14 for step in range(14)]
    np.testing.assert_allclose(rates(schedule, 0.1), expected, rtol=SINGLE)


@pytest.mark.parametrize("phases", ["111", "011", "001", "100", "010", "101", "110"])
def test_phases_activate_the_regularizer_by_thirds(phases: str) -> None:
    schedule = make_schedule(phases=phases)
    expected = [phases[0]] * 21 + [phases[1]] * 21 + [phases[2]] * 28
    assert ["01"[schedule.is_regularized(step)] for step in range(70)] == expected


def test_without_phases_no_step_is_regularized() -> None:
    assert not any(make_schedule().is_regularized(step) for step in range(70))


def test_default_phases_start_at_the_first_drop_of_the_rate() -> None:
    schedule = make_schedule(epochs=13, phases="011")
    first = next(step for step in range(schedule.steps) if schedule.is_regularized(step))
    lower = next(step for step, rate in enumerate(rates(schedule, 1.0)) if rate < 1.0)
    assert first == lower


def test_last_epoch_is_always_due() -> None:
    assert [epoch for epoch in range(1, 11) if make_schedule().is_due(4, epoch)] == [4, 8, 10]
