"""A signal that ends a block at once, where no step boundary is waited for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Stopped:
    """Whether a block was stopped.

    Args:
        number: the signal, SIGINT or SIGTERM; None: it ended by itself.
    """

    number: int | None = None


@contextmanager
def stop_on_signal(before: int | None = None) -> Iterator[Stopped]:
    """Leave the block where SIGINT or SIGTERM finds it; what is open in it is closed on the way out.

    Another thread than the main one hears no signals, and goes on.

    Args:
        before: a signal that came before the block.

    Example:
        with stop_on_signal() as stopped:
            compare()
        if stopped.number is not None: ...
    """
    stopped = Stopped(before)

    def hear(number: int, frame: FrameType | None) -> None:
        stopped.number = number
        raise KeyboardInterrupt

    heard = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    handlers = {number: signal.signal(number, hear) for number in heard}
    try:
        yield stopped
    except KeyboardInterrupt:
        stopped.number = stopped.number or signal.SIGINT
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
