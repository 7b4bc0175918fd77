"""The metrics of a run as scalars for TensorBoard, which need not be installed to write them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import tensorflow as tf

from infomcr_cli.runs import MetricsLog, RunDirectory
from infomcr_cli.runs.metrics import MetricsLine

VERSION = "brain.Event:2"  # of the format: TensorBoard looks for it in the first record


class EventFile:
    """A TensorBoard event file in RUN/tensorboard that holds the lines of metrics.jsonl, each value once.

    What was there is written anew, so that a run that goes on from a checkpoint has no point twice.

    Args:
        run: whose metrics.jsonl ends where training begins.
    """

    def __init__(self, run: RunDirectory) -> None:
        folder = run.path / "tensorboard"
        folder.mkdir(exist_ok=True)
        for file in folder.glob("events.out.tfevents.*"):
            file.unlink()
        now = time.time()
        self._writer = tf.io.TFRecordWriter(str(folder / f"events.out.tfevents.{int(now)}.{os.getpid()}"))
        self._writer.write(tf.compat.v1.Event(wall_time=now, file_version=VERSION).SerializeToString())
        for line in MetricsLog(run).read():
            self.add(line)

    def add(self, line: MetricsLine) -> None:
        """Write the values of a line at its step; times of the clock are called timing/NAME."""
        value = tf.compat.v1.Summary.Value
        summary = tf.compat.v1.Summary(value=[value(tag=tag, simple_value=number) for tag, number in _scalars(line)])
        event = tf.compat.v1.Event(wall_time=line.timing.get("time", time.time()), step=line.step, summary=summary)
        self._writer.write(event.SerializeToString())
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def _scalars(line: MetricsLine) -> Iterator[tuple[str, float]]:
    yield "epoch", line.epoch
    yield from line.values.items()
    yield from ((f"timing/{name}", number) for name, number in line.timing.items() if name != "time")
