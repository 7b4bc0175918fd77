"""Progress of training: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from infomcr_cli.console.screen import say
from infomcr_cli.console.text import clock_time
from infomcr_cli.console.training_time import TrainingTime

REFRESH_SECONDS = 0.5
Means = Callable[[], Mapping[str, float]]
# Name of a split in the metrics → in full, and in a narrow terminal.
_SPLITS = {"validation": ("validation", "val"), "test": ("test", "test"), "clean_train": ("clean train", "clean")}


class TrainingProgress:
    """Shows steps as they go by, a line for each epoch, and a line when a phase of the schedule begins.

    Args:
        console: where to; standard error, so that standard output stays a document.
        training_time: estimates the time left.
        batch_size: images of a step.
        changes: step, counted from 0 → what changes with it, such as "learning rate 0.02"; said once.
    """

    def __init__(
        self,
        console: Console,
        training_time: TrainingTime,
        batch_size: int,
        changes: Mapping[int, str] | None = None,
    ) -> None:
        self._console, self._time, self._batch, self._changes = console, training_time, batch_size, changes or {}
        self._shown_at, self._shown_step = time.monotonic(), training_time.done
        self._bar = _bar(console) if console.is_terminal else None
        self._task: TaskID | None = None
        if self._bar:
            # The bar counts passes, not steps: with a regularizer a later step may cost several.
            done, total = (training_time.cost(steps) for steps in (training_time.done, training_time.steps))
            self._task = self._bar.add_task("", total=total, numbers="starting")
            self._bar.update(self._task, completed=done)

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
        if step - 1 in self._changes:  # this was the first step with it
            say(self._console, f"epoch {epoch + 1}: {self._changes[step - 1]}")
        now = time.monotonic()
        if self._bar is None or self._task is None or now - self._shown_at < REFRESH_SECONDS:
            return
        rate = (step - self._shown_step) * self._batch / (now - self._shown_at)
        self._shown_at, self._shown_step = now, step
        numbers = f"{_numbers(means())}  {rate:,.0f} images/s"
        description = f"epoch {epoch + 1}/{self._time.epochs}"
        self._bar.update(self._task, completed=self._time.cost(step), description=description, numbers=numbers)

    def epoch(self, epoch: int, values: Mapping[str, float], timing: Mapping[str, float]) -> None:
        """Print the line of an epoch that is over; on a terminal it is no longer than the terminal is wide."""
        left = f"{clock_time(self._time.left(epoch, timing['train_seconds'], timing['eval_seconds']))} left"
        head, rest = f"epoch {epoch}/{self._time.epochs}", (f"{timing['images_per_second']:,.0f} images/s", left)
        scores = [_numbers(_of(values, "train"))]
        for split, (name, _) in _SPLITS.items():
            if f"{split}/loss" in values:
                scores.append(f"{name} {_numbers(_of(values, split))}")
        line = "  ".join((head, *scores, *rest))
        if self._console.is_terminal and len(line) > self._console.width:
            line = _fitted(head, values, rest, self._console.width)
        self._console.print(line, markup=False, highlight=False, soft_wrap=not self._console.is_terminal)


def _fitted(head: str, values: Mapping[str, float], rest: tuple[str, str], width: int) -> str:
    """Return the line of an epoch with as much as fits, what matters most first.

    Training and test scores stay; then the other splits, the penalty, the time left and the speed.
    """
    speed, left = rest
    short = {
        split: f"{label} {_score(values, split)}" for split, (_, label) in _SPLITS.items() if f"{split}/loss" in values
    }
    penalty = values.get("train/penalty")
    parts = {"train": f"train {_score(values, 'train')}", **short}
    parts |= ({"penalty": f"penalty {penalty:.1e}"} if penalty else {}) | {"left": left, "speed": speed}
    kept: list[str] = [name for name in ("train", "test") if name in parts]
    for name in (name for name in parts if name not in kept):
        shown = [parts[one] for one in parts if one in (*kept, name)]
        if len("  ".join((head, *shown))) <= width:
            kept.append(name)
    return "  ".join((head, *(part for name, part in parts.items() if name in kept)))


def _score(values: Mapping[str, float], split: str) -> str:
    return f"{values[f'{split}/loss']:.4f} {values[f'{split}/accuracy']:.2%}"


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
