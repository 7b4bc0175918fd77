"""How far training has come: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

REFRESH_SECONDS = 0.5
Means = Callable[[], Mapping[str, float]]


class TrainingProgress:
    """Shows steps as they go by and a line for each epoch.

    Args:
        console: where to; standard error, so that standard output stays a document.
        epochs:  of the whole schedule.
        steps:   of the whole schedule.
        done:    steps taken before a run was resumed.
    """

    def __init__(self, console: Console, epochs: int, steps: int, done: int, batch_size: int) -> None:
        self._console, self._epochs, self._steps, self._batch = console, epochs, steps, batch_size
        self._shown_at, self._shown_step = time.monotonic(), done
        self._bar = _bar(console) if console.is_terminal else None
        self._task = self._bar.add_task("", total=steps, completed=done, numbers="starting") if self._bar else None

    def __enter__(self) -> TrainingProgress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def step(self, step: int, epoch: int, means: Means) -> None:
        """Say that a step was taken; the means are read at most twice a second."""
        now = time.monotonic()
        if self._bar is None or self._task is None or now - self._shown_at < REFRESH_SECONDS:
            return
        rate = (step - self._shown_step) * self._batch / (now - self._shown_at)
        self._shown_at, self._shown_step = now, step
        numbers = f"{_numbers(means())}  {rate:,.0f} images/s"
        self._bar.update(self._task, completed=step, description=f"epoch {epoch + 1}/{self._epochs}", numbers=numbers)

    def epoch(self, epoch: int, values: Mapping[str, float], timing: Mapping[str, float]) -> None:
        """Print the line of an epoch that is over."""
        line = f"epoch {epoch}/{self._epochs}  {_numbers(_of(values, 'train'))}"
        for split in ("validation", "test", "clean_train"):
            if f"{split}/loss" in values:
                line += f"  {split.replace('_', ' ')} {_numbers(_of(values, split))}"
        line += f"  {timing['images_per_second']:,.0f} images/s  {self._left(epoch, timing)}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=not self._console.is_terminal)

    def _left(self, epoch: int, timing: Mapping[str, float]) -> str:
        seconds = (self._epochs - epoch) * (timing["train_seconds"] + timing["eval_seconds"])
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{rest:02d} left"


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TextColumn("{task.fields[numbers]}", markup=False),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=4,
        transient=True,
    )


def _of(values: Mapping[str, float], split: str) -> dict[str, float]:
    return {name.removeprefix(f"{split}/"): value for name, value in values.items() if name.startswith(f"{split}/")}


def _numbers(means: Mapping[str, float]) -> str:
    text = f"loss {means['loss']:.4f} accuracy {means['accuracy']:.2%}"
    return f"{text} penalty {means['penalty']:.2e}" if means.get("penalty") else text


def time_table(seconds: Mapping[str, float]) -> Table:
    """Return a table of seconds and shares by part."""
    whole = sum(seconds.values())
    table = Table("part", title="where the time went", title_justify="left")
    for heading in ("seconds", "share"):
        table.add_column(heading, justify="right")
    for part, spent in seconds.items():
        table.add_row(part, f"{spent:.2f}", f"{spent / whole:.1%}")
    table.add_row("whole", f"{whole:.2f}", "")
    return table
