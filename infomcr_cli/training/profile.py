"""Where the time of a run goes: a table of its parts, and a TensorBoard trace of a few steps.

The loop knows nothing of it: what it is given is wrapped, and wrapped parts note how long they took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from infomcr_cli.models.score import Score
from infomcr_cli.training.loop import Callback, Position, TrainingInputs
from infomcr_cli.training.setup import Setup
from infomcr_cli.training.state import Step, TrainingState

PARTS = ("first step", "input", "compute", "evaluation", "logging", "checkpoint", "rest")
FIRST_TRACED, TRACED = 3, 10  # steps of this process: the first ones make graphs


@dataclass
class Stopwatch:
    """Seconds by part; `rest` is what no part accounts for."""

    began: float = field(default_factory=time.perf_counter)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS[:-1], 0.0))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time of the block to a part."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - began

    def table(self) -> dict[str, float]:
        """Return seconds by part up to now; they sum to the time since the watch began."""
        whole = time.perf_counter() - self.began
        return {**self.seconds, "rest": whole - sum(self.seconds.values())}


@dataclass
class ProfiledCallback:
    """Tells another listener everything, timed, and traces a few steps."""

    listener: Callback
    watch: Stopwatch
    folder: Path
    _steps: int = 0
    _tracing: bool = False

    def on_step(self, position: Position, means: Callable[[], dict[str, float]]) -> None:
        """Pass it on, between the edges of the trace."""
        self._steps += 1
        if self._steps == FIRST_TRACED:
            tf.profiler.experimental.start(str(self.folder))
            self._tracing = True
        if self._steps == FIRST_TRACED + TRACED:
            self.close()
        with self.watch.part("logging"):
            self.listener.on_step(position, means)

    def on_epoch(self, position: Position, values: dict[str, float], timing: dict[str, float]) -> None:
        """Pass it on."""
        with self.watch.part("logging"):
            self.listener.on_epoch(position, values, timing)

    def on_milestone(self, position: Position, level: float) -> None:
        """Pass it on."""
        with self.watch.part("checkpoint"):
            self.listener.on_milestone(position, level)

    def on_checkpoint(self, position: Position, train_loss: float) -> None:
        """Pass it on."""
        with self.watch.part("checkpoint"):
            self.listener.on_checkpoint(position, train_loss)

    def close(self) -> None:
        """Write the trace where one was begun."""
        if self._tracing:
            tf.profiler.experimental.stop()
        self._tracing = False


def profiled_setup(setup: Setup, watch: Stopwatch) -> Setup:
    """Return a setup whose batches, steps and scores are timed. Steps are waited for, so that compute is computing."""
    trainee = setup.trainee
    trainee.plain_step = _timed_step(trainee, trainee.plain_step, watch)
    trainee.regularized_step = _timed_step(trainee, trainee.regularized_step, watch)
    return replace(setup, feed=_timed_feed(setup.feed, watch))


def _timed_step(trainee: TrainingState, step: Step, watch: Stopwatch) -> Step:
    calls = iter(["first step"])

    def timed(images: Any, labels: Any) -> None:
        with watch.part(next(calls, "compute")):
            step(images, labels)
            trainee.failed_at.numpy()

    return timed


def _timed_feed(feed: TrainingInputs, watch: Stopwatch) -> TrainingInputs:
    def batches(start: Position) -> Iterable[Any]:
        with watch.part("input"):
            stream = iter(feed.batches(start))
        while True:
            with watch.part("input"):
                batch = next(stream, None)
            if batch is None:
                return
            yield batch

    def timed(look: Callable[..., Any]) -> Callable[..., Any]:
        def look_timed(*arguments: Any) -> Any:
            with watch.part("evaluation"):
                return look(*arguments)

        return look_timed

    looks: Mapping[str, Callable[[], Score]] = {name: timed(look) for name, look in feed.looks.items()}
    if feed.target:
        feed.target.score_below = timed(feed.target.score_below)
    return replace(feed, batches=batches, looks=looks)
