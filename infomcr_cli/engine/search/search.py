"""A running search: it gives jobs to the scheduler and records their results.

What is known of a trial comes from two places. The journal holds its values and its final state. Before that, the run's
directory says how far it is: a RUNNING trial gets the values of its finished run, or its run goes on. So a search can
be killed at any moment, and the same command continues it without a lost or a doubled trial.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.plan import as_found_now
from infomcr_cli.engine.search.journal import FILE, Journal
from infomcr_cli.engine.search.objectives import read_values, validation_losses
from infomcr_cli.engine.search.plan import SearchPlan
from infomcr_cli.engine.search.pruning import Pruning
from infomcr_cli.engine.summary import JobResult
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, is_run, read_status

RETRIED = "retry_of"  # user attribute: the number of the failed trial that this one repeats


@dataclass
class Search:
    """The trials of a search and their jobs.

    Args:
        folder: of the sweep; this process holds its lock.
        retry_failed: failed trials are tried again.
        jobs:   of all trials, by identity: trials with the same settings share one.
        due:    jobs that were begun before, and are to go on.
        on_new: is called when a trial is added.
        on_known: is called with the job of a new trial whose run has ended already.
    """

    plan: SearchPlan
    folder: Path
    retry_failed: bool = False
    jobs: dict[str, Job] = field(default_factory=dict)
    due: deque[Job] = field(default_factory=deque)
    on_new: Callable[[], None] = lambda: None
    on_known: Callable[[Job], None] = lambda job: None
    _open: dict[str, list[int]] = field(default_factory=dict)
    _complete: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        plan = self.plan
        self.journal = Journal(self.folder / FILE, plan.space, plan.objectives, plan.settings, plan.base.measure)
        for trial in self.journal.trials():
            self._take_up(trial)
        if self.retry_failed:
            self._retry()

    @property
    def left(self) -> int:
        """The number of trials still to be proposed; a repeated trial does not count twice."""
        trials = self.journal.trials()
        return max(0, self.plan.settings.trials - len(trials) + sum(RETRIED in one.user_attrs for one in trials))

    @property
    def is_complete(self) -> bool:
        """Whether the state of every trial is final."""
        return not self.left and not self._open

    def next(self) -> Job | None:
        """Return the next job, of an interrupted or a new trial; None if there is none at the moment."""
        if self.due:
            return self.due.popleft()
        while self.left:
            job = self._proposed(self.journal.propose())
            self.on_new()
            if job is not None:
                return job
        return None

    def pruning(self, job: Job) -> Pruning | None:
        """Return the pruning rule of a job, or None."""
        settings = self.plan.settings
        if settings.pruner is None:
            return None
        path = (self.folder / FILE).absolute()
        return Pruning(journal=path, warmup=settings.pruner_warmup, epochs=job.config.schedule.epochs)

    def complete(self, result: JobResult) -> JobResult:
        """Return a job's result with what the search knows of it: that it pruned it, or has its values."""
        if result.state is State.KILLED and is_pruned(result.job):
            return replace(result, is_pruned=True)
        if result.state is None and result.job.identity in self._complete:
            return replace(result, state=State.SKIPPED, reason="its values are known; its run directory is gone")
        return result

    def began(self, job: Job) -> None:
        """Do nothing, because the trial of the job is in the journal already."""

    def ended(self, outcome: Outcome, left: int) -> None:
        """Tell the trials of a job how it ended; those of a stopped job stay RUNNING until the search is continued."""
        self._settle(outcome.job, outcome.final_state, outcome.reason)

    def poll(self) -> None:
        """Do nothing, because jobs prune themselves."""

    def _proposed(self, values: dict[str, Any], **attributes: Any) -> Job | None:
        """Add a trial, and return its job if that is to be run."""
        try:
            job = self.plan.job(values)
        except InputError as error:
            self.journal.tell(self.journal.add(values, **attributes), TrialState.FAIL, reason=f"no valid run: {error}")
            return None
        number = self.journal.add(values, identity=job.identity, run=job.run.name, **attributes)
        known = self.jobs.setdefault(job.identity, job)
        is_running = job.identity in self._open
        self._open.setdefault(job.identity, []).append(number)
        if is_running:
            return None
        if self._is_known(known):
            self.on_known(known)
            return None
        return known

    def _is_known(self, job: Job) -> bool:
        """Tell the trials of a job whose run has ended, as its directory shows; return whether it has."""
        if not is_run(job.run):
            return False
        found = as_found_now(job)
        if found.is_done(self.plan.settings.evaluate):
            self._settle(found, State.FINISHED, None)
        elif found.state is State.FAILED and not self.retry_failed:
            self._settle(found, State.FAILED, found.reason)
        elif self.plan.settings.pruner and is_pruned(found):
            self._settle(found, State.KILLED, found.reason)
        return job.identity not in self._open

    def _take_up(self, trial: FrozenTrial) -> None:
        """Take up a trial of the journal, and the run of one whose state is not final."""
        try:
            job = self.plan.job(dict(trial.params))
        except InputError as error:
            if not trial.state.is_finished():
                self.journal.tell(trial.number, TrialState.FAIL, reason=f"no valid run: {error}")
            return
        if job.identity != trial.user_attrs.get("identity", job.identity):
            raise InputError(
                "the runs of a search must not change",
                received=f"trial {trial.number} was {trial.user_attrs.get('run')}",
                advice="Fixed settings changed, in the command or in conf/. Give this search another sweep.name.",
            )
        self.jobs.setdefault(job.identity, job)
        if trial.state is TrialState.COMPLETE:
            self._complete.add(job.identity)
        if trial.state.is_finished():
            return
        self._open.setdefault(job.identity, []).append(trial.number)
        if not self._is_known(job) and job not in self.due:
            self.due.append(job)

    def _settle(self, job: Job, state: State | None, reason: str | None) -> None:
        """Tell the trials of a job how it ended, unless it was stopped and is to be continued."""
        values: tuple[float, ...] | None = None
        if state is State.FINISHED:
            found = read_values(RunDirectory.open(job.run), self.plan.objectives)
            end, values, reason = TrialState.COMPLETE, found.values, found.reason
            if reason is not None:
                end, values = TrialState.FAIL, None
        elif state is State.FAILED:
            end = TrialState.FAIL
        elif is_pruned(job):
            end = TrialState.PRUNED
        else:
            return
        for number in self._open.pop(job.identity, []):
            losses = validation_losses(RunDirectory.open(job.run)) if is_run(job.run) else {}
            self.journal.tell(number, end, values, reason=reason, losses=losses)

    def _retry(self) -> None:
        """Add a trial for each one whose run failed: in Optuna a state is final."""
        trials = self.journal.trials()
        repeated = {one.user_attrs.get(RETRIED) for one in trials}
        for trial in trials:
            if trial.state is TrialState.FAIL and trial.number not in repeated and "run" in trial.user_attrs:
                job = self._proposed(dict(trial.params), **{RETRIED: trial.number})
                if job is not None:
                    self.due.append(job)


def is_pruned(job: Job) -> bool:
    """Return whether a search ended the run of a job early, as its directory shows now."""
    try:
        status = read_status(RunDirectory.open(job.run)) if is_run(job.run) else None
    except (InputError, OSError):
        return False
    return status is not None and status.state is State.KILLED and status.pruned_at is not None
