"""Searches whose jobs train within the test's own process: a run directory is all that a search sees of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from optuna.storages.journal import JournalFileBackend

from infomcr_cli.config.sweep_settings import split_arguments
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.scheduler import SweepRunner
from infomcr_cli.engine.search.plan import SearchPlan, plan_search
from infomcr_cli.engine.search.pruning import MedianRule
from infomcr_cli.engine.search.search import Search
from infomcr_cli.runs import Checkpoint, MetricsLog, RunDirectory, State, is_run, read_status, save_checkpoint
from infomcr_cli.runs.lifecycle import active_run, create_run
from infomcr_cli.runs.measures_file import Evaluation, record_evaluation
from infomcr_cli.signals import Pruned

SPACE = ("optimizer.learning_rate=tag(log,interval(0.01,0.5))", "optimizer.l2=interval(0,0.01)")
COMMON = ("data.validation_size=100", "measure=fast", "measure.gamma.samples=200", "tracking=off", "schedule.epochs=4")
Step = Callable[[str], None]


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


def planned(folder: Path, *arguments: str, space: tuple[str, ...] = SPACE, trials: int = 6) -> SearchPlan:
    given = (*space, *COMMON, f"runs_dir={folder / 'runs'}", "sweep.search=optuna", f"sweep.trials={trials}")
    split = split_arguments((*given, *arguments))
    return plan_search(split.overrides, split.sweep, None)


def distance(job: Job) -> float:
    """How far the settings of a job are from the best: a learning rate of 0.1 without L2."""
    return float(abs(np.log(job.config.optimizer.learning_rate / 0.1)) + 100 * job.config.optimizer.l2)


@dataclass
class InProcessEngine:
    """Trains a job when it is waited for.

    Args:
        room:   jobs at once.
        step:   is called with the name of each thing that a job does; it may raise `Killed`.
        epochs: that were trained, by job: each is trained once unless the process of the job was killed.
        wrong:  says of a job how it fails; None: it does not.
    """

    room: int = 1
    step: Step = lambda name: None
    wrong: Callable[[Job], str | None] = lambda job: None
    search: Search | None = None
    running: list[Job] = field(default_factory=list)
    epochs: list[tuple[str, int]] = field(default_factory=list)

    def capacity(self) -> int:
        return self.room

    def submit(self, job: Job) -> None:
        self.running.append(job)

    def wait(self, seconds: float) -> list[Outcome]:
        return [self._done(self.running.pop(0))] if self.running else []

    def stop(self, reason: str, *, grace: float) -> None: ...

    def close(self) -> None: ...

    def _done(self, job: Job) -> Outcome:
        self.step("job")
        is_new = not is_run(job.run)
        run = create_run(job.config, job.overrides, job.run) if is_new else RunDirectory.open(job.run)
        with active_run(run, is_new=is_new) as active:
            if active.status.state is not State.FINISHED:
                with active.carry_out() as work:
                    self._train(job, active)
                outcome = work.outcome
                if outcome.state is not State.FINISHED:
                    return Outcome(job, outcome.state, outcome.reason)
            self.step("measure")
            measure(job, run)
        return Outcome(job, State.FINISHED)

    def _train(self, job: Job, active: Any) -> None:
        run, pruning = active.directory, self.search.pruning(job) if self.search else None
        first = read_status(run).epoch
        active.begin()
        MetricsLog(run).truncate_after(first)
        ends = None if pruning is None else MedianRule(pruning, run)
        if (reason := self.wrong(job)) is not None:
            raise ArithmeticError(reason)
        for epoch in range(first + 1, job.config.schedule.epochs + 1):
            self.step("epoch")
            loss = distance(job) + 1 / epoch
            values = {"train/loss": loss, "validation/loss": loss, "validation/accuracy": 1 / (1 + loss)}
            MetricsLog(run).append(epoch, epoch, values, {})
            save_checkpoint(run, f"epoch-{epoch:04d}", Checkpoint(epoch, epoch, {"w": np.zeros(1)}, train_loss=loss))
            active.update(step=epoch, epoch=epoch)
            self.epochs.append((job.identity, epoch))
            if ends and (reason := ends(epoch, values)):
                active.update(pruned_at=epoch)
                raise Pruned(reason)


def measure(job: Job, run: RunDirectory) -> None:
    loss = distance(job)
    entry = {"value": -loss, "unit": "nats", "direction": "lower"}
    from infomcr_cli.measures.base import chosen_measures

    measures = {
        one.name: {**entry, "convention": one.convention(job.config.measure, 100)}
        for one in chosen_measures(job.config.measure.names)
    }
    place = {"step": read_status(run).step, "epoch": 4, "n_train": 100, "n_test": 100}
    scores = {"train": {"loss": loss, "accuracy": 0.9}, "test": {"loss": loss + 0.1, "accuracy": 0.8}}
    record_evaluation(run, "last", Evaluation.model_validate({**place, **scores, "measures": measures}))


def carry_out(plan: SearchPlan, folder: Path, engine: InProcessEngine, **options: Any) -> Search:
    """Carry out a search as `infomcr sweep` does, in this process."""
    (folder / "sweep").mkdir(exist_ok=True)
    search = Search(replace(plan), folder / "sweep", **options)  # a copy: it looks for existing runs once
    engine.search = search
    SweepRunner(engine, [search], proposals=search).run(())
    return search


def recorded(search: Search) -> list[tuple[Any, ...]]:
    """Return what the journal says, without what depends on the clock."""
    return [(one.number, one.state.name, one.params, one.values, one.user_attrs) for one in search.journal.trials()]


@contextmanager
def killed_at(count: int) -> Iterator[Step]:
    """Raise `Killed` at the n-th thing that is done: a line of the journal, or a step of a job."""
    left, append = [count], JournalFileBackend.append_logs

    def step(name: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed(name)

    def append_logs(backend: JournalFileBackend, logs: Any) -> None:
        step("journal")
        append(backend, logs)

    JournalFileBackend.append_logs = append_logs  # type: ignore[method-assign]
    try:
        yield step
    finally:
        JournalFileBackend.append_logs = append  # type: ignore[method-assign]


def finished_runs(folder: Path) -> list[Path]:
    return [path for path in sorted((folder / "runs").iterdir()) if is_run(path)]
