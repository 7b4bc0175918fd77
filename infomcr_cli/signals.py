"""The signals that ask a command to stop: SIGINT, SIGTERM, and SIGHUP if a terminal is closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType

Handler = Callable[[int, FrameType | None], None]


class Interrupted(Exception):
    """A signal requested the run to stop, and the run is at a step boundary.

    Args:
        number: the signal, SIGINT, SIGTERM or SIGHUP.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP."""
        return 128 + self.number


class Pruned(Interrupted):
    """A search ends the run early, and the run is at a step boundary.

    Args:
        reason: why, a sentence without a full stop.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(signal.SIGTERM)
        self.args = (reason,)


class Interruption:
    """Catch the first signal to stop while the block runs; a second SIGINT raises KeyboardInterrupt at once.

    Further signals change nothing: a terminal that closes often sends SIGHUP twice.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._handlers = ExitStack()

    def __enter__(self) -> Interruption:
        self._handlers.enter_context(handled(self._receive))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handlers.close()

    def check(self) -> None:
        """Raise Interrupted if a signal has come."""
        if self._received is not None:
            raise Interrupted(self._received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = self._received or number


@dataclass
class Stopped:
    """Whether a block was stopped.

    Args:
        number: the signal, SIGINT, SIGTERM or SIGHUP; None: the block ended by itself.
    """

    number: int | None = None


@contextmanager
def stop_on_signal(before: int | None = None) -> Iterator[Stopped]:
    """Leave the block as soon as a signal to stop comes; what is open in the block is closed on the way out.

    On the way out a further SIGHUP changes nothing: a terminal that closes often sends two. Only the main thread
    receives signals.

    Args:
        before: a signal that came before the block.

    Yields:
        a record with the number of the signal that ended the block; None: none did.

    Example:
        with stop_on_signal() as stopped:
            compare()
        if stopped.number is not None: ...
    """
    stopped, leaving = Stopped(before), False

    def receive(number: int, frame: FrameType | None) -> None:
        nonlocal leaving
        if leaving and number == signal.SIGHUP:
            return
        leaving, stopped.number = True, number
        raise KeyboardInterrupt

    with handled(receive):
        try:
            yield stopped
        except KeyboardInterrupt:
            stopped.number = stopped.number or signal.SIGINT


def stopping_signals() -> tuple[signal.Signals, ...]:
    """Return the signals to stop at; not SIGHUP if it is ignored: under nohup a run outlives its terminal."""
    outlives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM) if outlives else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """Call `handler` for the signals to stop inside the block; only the main thread receives signals."""
    numbers = stopping_signals() if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, one in before.items():
            signal.signal(number, one)
