"""SIGINT, SIGTERM and SIGHUP, heard at once and obeyed at the next step boundary."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from types import FrameType, TracebackType

from infomcr_cli.signals import handled


class Interrupted(Exception):
    """A signal asked the run to stop, and it stands at a step boundary.

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


class Interruption:
    """Catches the first signal to stop while the block runs; a second SIGINT raises KeyboardInterrupt at once.

    Further signals change nothing: a terminal that closes often sends SIGHUP twice.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._handlers = ExitStack()

    def __enter__(self) -> Interruption:
        self._handlers.enter_context(handled(self._hear))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handlers.close()

    def check(self) -> None:
        """Raise Interrupted where a signal has come."""
        if self._received is not None:
            raise Interrupted(self._received)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = self._received or number
