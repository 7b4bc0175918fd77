"""Learning rates and phases against a loop that takes every step, exact at the boundaries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

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


def timetable(steps_per_epoch: int = 7, phases: str | None = None, **changes: Any) -> Schedule:
    return Schedule(ScheduleConfig(**{**PLAIN, **changes}), steps_per_epoch, phases)


def rates(table: Schedule, rate: float) -> list[float]:
    schedule = learning_rate(table, rate)
    steps = range(table.steps)
    return [float(schedule(step)) for step in steps] if callable(schedule) else [schedule for _ in steps]


def slow_piecewise(rate: float, factor: float, drops: list[int], steps: int) -> list[float]:
    found = []
    for step in range(steps):
        if step in drops:
            rate *= factor
        found.append(rate)
    return found


def test_the_rate_falls_in_the_first_step_of_an_epoch() -> None:
    np.testing.assert_allclose(rates(timetable(), 0.1), slow_piecewise(0.1, 0.2, [21, 42, 56], 70), rtol=1e-6)


def test_the_study_drops_at_epochs_60_120_and_160_of_200() -> None:
    schedule: Any = learning_rate(timetable(steps_per_epoch=390, epochs=200), 0.1)
    for epoch, before, after in ((60, 0.1, 0.02), (120, 0.02, 0.004), (160, 0.004, 0.0008)):
        assert float(schedule(390 * epoch - 1)) == pytest.approx(before, rel=1e-6)
        assert float(schedule(390 * epoch)) == pytest.approx(after, rel=1e-6)


@pytest.mark.parametrize("epochs", [1, 3, 20, 37])
def test_boundaries_shrink_with_the_schedule(epochs: int) -> None:
    table = timetable(epochs=epochs, steps_per_epoch=11)
    drops = [int(np.floor(share * table.steps + 0.5)) for share in (0.3, 0.6, 0.8)]
    np.testing.assert_allclose(rates(table, 1.0), slow_piecewise(1.0, 0.2, drops, table.steps), rtol=1e-6)


def test_a_constant_rate_is_a_number() -> None:
    assert rates(timetable(name="constant", boundaries=(), factor=1.0), 0.1) == [0.1] * 70


@pytest.mark.parametrize("warmup", [0, 2, 1.5])
def test_cosine(warmup: float) -> None:
    table, rise = timetable(name="cosine", boundaries=(), warmup_epochs=warmup), round(7 * warmup)
    expected = []
    for step in range(70):
        fallen = 0.5 * (1 + math.cos(math.pi * (step - rise) / (70 - rise)))
        expected.append(0.3 * step / rise if step < rise else 0.3 * fallen)
    np.testing.assert_allclose(rates(table, 0.3), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("boundaries", "drops"), [((0.3, 0.6), [21, 42]), ((), [])])
def test_warm_up_rises_from_zero_to_the_rate_and_leaves_the_rest_alone(
    boundaries: tuple[float, ...], drops: list[int]
) -> None:
    table = timetable(boundaries=boundaries, warmup_epochs=2)
    expected = slow_piecewise(0.1, 0.2, drops, 70)
    expected[:14] = [0.1 * step / 14 for step in range(14)]
    np.testing.assert_allclose(rates(table, 0.1), expected, rtol=1e-6)


@pytest.mark.parametrize("phases", ["111", "011", "001", "100", "010", "101", "110"])
def test_phases(phases: str) -> None:
    table = timetable(phases=phases)
    expected = [phases[0]] * 21 + [phases[1]] * 21 + [phases[2]] * 28
    assert ["01"[table.regularized(step)] for step in range(70)] == expected


def test_without_phases_nothing_is_regularized() -> None:
    assert not any(timetable().regularized(step) for step in range(70))


def test_the_default_regularizer_starts_with_the_first_drop_of_the_rate() -> None:
    table = timetable(epochs=13, phases="011")
    first = next(step for step in range(table.steps) if table.regularized(step))
    lower = next(step for step, rate in enumerate(rates(table, 1.0)) if rate < 1.0)
    assert first == lower


def test_the_last_epoch_is_always_due() -> None:
    assert [epoch for epoch in range(1, 11) if timetable().is_due(4, epoch)] == [4, 8, 10]
