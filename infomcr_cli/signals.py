"""The signals that ask a command to stop: SIGINT, SIGTERM, and SIGHUP where a terminal is closed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None]


def stopping_signals() -> tuple[signal.Signals, ...]:
    """Return the signals to stop at; not SIGHUP where it is ignored: under nohup a run outlives its terminal."""
    outlives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM) if outlives else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    """Let a function hear the signals to stop at inside the block; another thread than the main one hears none."""
    heard = stopping_signals() if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, handler) for number in heard}
    try:
        yield
    finally:
        for number, one in before.items():
            signal.signal(number, one)
