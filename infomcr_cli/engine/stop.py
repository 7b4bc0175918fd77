"""A signal that ends a block at once, where no step boundary is waited for."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from infomcr_cli.signals import handled


@dataclass
class Stopped:
    """Whether a block was stopped.

    Args:
        number: the signal, SIGINT, SIGTERM or SIGHUP; None: it ended by itself.
    """

    number: int | None = None


@contextmanager
def stop_on_signal(before: int | None = None) -> Iterator[Stopped]:
    """Leave the block where a signal to stop finds it; what is open in it is closed on the way out.

    On the way out a further SIGHUP changes nothing: a terminal that closes often sends two. Another thread than the
    main one hears no signals, and goes on.

    Args:
        before: a signal that came before the block.

    Example:
        with stop_on_signal() as stopped:
            compare()
        if stopped.number is not None: ...
    """
    stopped, leaving = Stopped(before), False

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal leaving
        if leaving and number == signal.SIGHUP:
            return
        leaving, stopped.number = True, number
        raise KeyboardInterrupt

    with handled(hear):
        try:
            yield stopped
        except KeyboardInterrupt:
            stopped.number = stopped.number or signal.SIGINT
