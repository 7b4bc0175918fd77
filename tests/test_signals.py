"""Signals: heard at once, obeyed at the next boundary."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from infomcr_cli.signals import Interrupted, Interruption, stop_on_signal


@pytest.fixture(autouse=True)
def _hangups_end_a_process() -> Iterator[None]:
    """The tests themselves may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_first_signal_takes_effect_at_a_step_boundary(number: signal.Signals, code: int) -> None:
    with Interruption() as interruption:
        interruption.check()
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted) as stop:
            interruption.check()
    assert stop.value.exit_code == code
    assert str(stop.value) == number.name


def test_second_sigint_raises_at_once() -> None:
    with Interruption():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_second_sigterm_or_sighup_changes_nothing(number: signal.Signals) -> None:
    with Interruption() as interruption:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match=number.name):
            interruption.check()


def test_ignored_sighup_stays_ignored() -> None:
    """As under nohup, where a run outlives its terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interruption() as interruption:
        os.kill(os.getpid(), signal.SIGHUP)
        interruption.check()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    with stop_on_signal() as stopped:
        os.kill(os.getpid(), signal.SIGHUP)
    assert stopped.number is None


def test_second_sighup_does_not_interrupt_cleanup() -> None:
    closed = False
    with stop_on_signal() as stopped:
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        finally:
            os.kill(os.getpid(), signal.SIGHUP)
            closed = True
    assert closed
    assert stopped.number == signal.SIGHUP


def test_signal_handlers_are_restored() -> None:
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = [signal.getsignal(number) for number in numbers]
    with Interruption():
        assert all(signal.getsignal(number) != one for number, one in zip(numbers, before, strict=True))
    assert [signal.getsignal(number) for number in numbers] == before


def test_other_threads_may_use_it() -> None:
    seen: list[str] = []

    def work() -> None:
        with Interruption() as interruption:
            interruption.check()
            seen.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == ["done"]
