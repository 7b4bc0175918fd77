"""Signals and errors at the end of a sweep: the parent is closed, and what is known is written."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from infomcr_cli.engine.mlflow import SweepLogger, close_logger, closed_on_error
from infomcr_cli.runs import State
from infomcr_cli.signals import Interruption, stop_on_signal


@dataclass
class FakeLogger:
    """A logger whose close meets signals.

    Args: signals: that come meanwhile.
    """

    signals: tuple[int, ...] = ()
    states: list[State] = field(default_factory=list)
    hurried: bool = False

    def close(self, state: State, *, is_hurried: Callable[[], bool] = lambda: False) -> bool:
        self.states.append(state)
        for number in self.signals:
            os.kill(os.getpid(), number)
        self.hurried = is_hurried()
        return True


def closed(logger: FakeLogger, failed: bool, number: int | None = None) -> int | None:
    with Interruption() as interruption:
        return close_logger(cast(SweepLogger, logger), failed, number, interruption)


@pytest.mark.parametrize(
    ("failed", "number", "state"),
    [(False, None, State.FINISHED), (True, None, State.FAILED), (True, signal.SIGTERM, State.KILLED)],
)
def test_the_mlflow_parent_ends_with_the_state_of_the_sweep(failed: bool, number: int | None, state: State) -> None:
    logger = FakeLogger()
    assert closed(logger, failed, number) == number
    assert logger.states == [state]
    assert not logger.hurried


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_close_shortens_the_wait_and_is_returned(number: int) -> None:
    logger = FakeLogger((number,))
    assert closed(logger, failed=False) == number
    assert logger.states == [State.FINISHED]
    assert logger.hurried


def test_a_second_sigint_ends_the_wait_and_sweep_json_is_still_written() -> None:
    logger = FakeLogger((signal.SIGINT, signal.SIGINT))
    assert closed(logger, failed=False) == signal.SIGINT


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_closes_the_logger(error: Any) -> None:
    logger = FakeLogger()
    with pytest.raises(error), closed_on_error(cast(SweepLogger, logger)):
        raise error
    assert logger.states == [State.FAILED]
    with closed_on_error(cast(SweepLogger, logger)):
        pass
    assert len(logger.states) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_block_at_once_and_closes_what_is_open_in_it(number: int) -> None:
    before, went_on, was_closed = signal.getsignal(number), False, False
    with stop_on_signal() as stopped:
        try:
            os.kill(os.getpid(), number)
            went_on = True
        finally:
            was_closed = True
    assert stopped.number == number
    assert was_closed
    assert not went_on
    assert signal.getsignal(number) is before


def test_a_block_without_a_signal_keeps_the_earlier_signal() -> None:
    with stop_on_signal() as stopped:
        pass
    assert stopped.number is None
    with stop_on_signal(15) as stopped:
        pass
    assert stopped.number == 15
