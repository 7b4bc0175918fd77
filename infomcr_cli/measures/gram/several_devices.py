"""Measure several draws at a time, each on a device of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, TypeVar

import tensorflow as tf

Samples = tuple[Any, Any]  # images [N, ...] and labels [N]
Record = TypeVar("Record")


def shared_among(
    devices: Sequence[str], measure: Callable[[Any, Any], Record], draws: Iterable[Samples]
) -> Iterator[Record]:
    """Yield what is measured of each draw, in the order of the draws.

    The devices take draws in turn. A draw is fetched when a device is free for it. The first error is raised at its
    draw; draws that others have begun are then finished and dropped.

    Args:
        devices: names, at least one.
        measure: is called with a draw's images and labels, in a thread that computes on one device.
    """

    def on(device: str, images: Any, labels: Any) -> Record:
        with tf.device(device):  # here, since each thread has a device of its own
            return measure(images, labels)

    with ExitStack() as stack:
        pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in devices]
        working: deque[Future[Record]] = deque()
        for number, draw in enumerate(draws):
            if len(working) == len(devices):
                yield working.popleft().result()
            place = number % len(devices)
            working.append(pools[place].submit(on, devices[place], *draw))
        while working:
            yield working.popleft().result()
