"""The end of a sweep's desk, whatever brings it: its parent in MLflow is not left RUNNING."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from infomcr_cli.runs import State
from infomcr_cli.training.interruption import Interrupted, Interruption

if TYPE_CHECKING:
    from infomcr_cli.engine.desk import Desk


@contextmanager
def closed_on_error(desk: Desk | None) -> Iterator[None]:
    """Close the desk where an error leaves the block."""
    try:
        yield
    except BaseException:
        if desk is not None:
            desk.close(State.FAILED)
        raise


def close_desk(desk: Desk | None, failed: bool, number: int | None, interruption: Interruption) -> int | None:
    """Close the desk and return the signal that ended the sweep, None where none did.

    A first signal meanwhile leaves it little time, a second SIGINT none.

    Args:
        failed: whether a job of the sweep, of this call or one before, is not done.
        number: the signal that ended the jobs.
    """
    state = State.KILLED if number is not None else State.FAILED if failed else State.FINISHED
    try:
        if desk is not None:
            desk.close(state, is_hurried=lambda: _heard(interruption) is not None)
    except KeyboardInterrupt:
        return number or signal.SIGINT
    return number or _heard(interruption)


def _heard(interruption: Interruption) -> int | None:
    try:
        interruption.check()
    except Interrupted as stop:
        return stop.number
    return None
