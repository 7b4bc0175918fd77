"""Profile a run: a table of where its time goes, and a TensorBoard trace of a few steps.

The loop knows nothing of it: its inputs, steps and callback are wrapped in ones that note how long they took.
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
    """Seconds by part; `rest` is the time outside of all parts."""

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
    """Times the calls of another callback, and traces a few steps."""

    callback: Callback
    watch: Stopwatch
    folder: Path
    _steps: int = 0
    _tracing: bool = False

    def on_step(self, position: Position, means: Callable[[], dict[str, float]]) -> None:
        """Start or stop the trace, then call the other callback."""
        self._steps += 1
        if self._steps == FIRST_TRACED:
            tf.profiler.experimental.start(str(self.folder))
            self._tracing = True
        if self._steps == FIRST_TRACED + TRACED:
            self.close()
        with self.watch.part("logging"):
            self.callback.on_step(position, means)

    def on_epoch(self, position: Position, values: dict[str, float], timing: dict[str, float]) -> None:
        """Call the other callback."""
        with self.watch.part("logging"):
            self.callback.on_epoch(position, values, timing)

    def on_milestone(self, position: Position, level: float) -> None:
        """Call the other callback."""
        with self.watch.part("checkpoint"):
            self.callback.on_milestone(position, level)

    def on_checkpoint(self, position: Position, train_loss: float) -> None:
        """Call the other callback."""
        with self.watch.part("checkpoint"):
            self.callback.on_checkpoint(position, train_loss)

    def on_epoch_saved(self, position: Position) -> None:
        """Call the other callback."""
        self.callback.on_epoch_saved(position)

    def close(self) -> None:
        """Write the trace if one was started."""
        if self._tracing:
            tf.profiler.experimental.stop()
        self._tracing = False


def profiled_setup(setup: Setup, watch: Stopwatch) -> Setup:
    """Return a setup whose batches, steps and evaluations are timed; each step is waited for."""
    state = setup.state
    state.plain_step = _timed_step(state, state.plain_step, watch)
    state.regularized_step = _timed_step(state, state.regularized_step, watch)
    return replace(setup, inputs=timed_inputs(setup.inputs, watch))


def _timed_step(state: TrainingState, step: Step, watch: Stopwatch) -> Step:
    calls = iter(["first step"])

    def timed(images: Any, labels: Any) -> None:
        with watch.part(next(calls, "compute")):
            step(images, labels)
            state.failed_at.numpy()  # waits for the step

    return timed


def timed_inputs(inputs: TrainingInputs, watch: Stopwatch) -> TrainingInputs:
    """Return inputs whose batches and evaluations are timed."""

    def batches(start: Position) -> Iterable[Any]:
        with watch.part("input"):
            stream = iter(inputs.batches(start))
        while True:
            with watch.part("input"):
                batch = next(stream, None)
            if batch is None:
                return
            yield batch

    def timed(evaluate: Callable[..., Any]) -> Callable[..., Any]:
        def timed_evaluate(*arguments: Any) -> Any:
            with watch.part("evaluation"):
                return evaluate(*arguments)

        return timed_evaluate

    evaluations: Mapping[str, Callable[[], Score]] = {n: timed(evaluate) for n, evaluate in inputs.evaluations.items()}
    if inputs.target:
        inputs.target.score_below = timed(inputs.target.score_below)
    return replace(inputs, batches=batches, evaluations=evaluations)
