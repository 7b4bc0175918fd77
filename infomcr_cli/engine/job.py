"""A job of a sweep and its state. A job is identified by its run's hash, so equal settings run only once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.runs import State, is_run
from infomcr_cli.runs.identity import HEAD


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        identity:  of the run, SHA-256.
        overrides: those of the command line that belong to it.
        label:     what tells it from the other jobs.
        run:       its directory, whether it is there yet or not.
        state:     of the run as it was found; None: it has not begun.
        reason:    why it ended so.
        measured:  whether its last checkpoint has been evaluated as the settings ask for.
    """

    identity: str
    overrides: tuple[str, ...]
    label: str
    config: RunConfig
    run: Path
    state: State | None = None
    reason: str | None = None
    measured: bool = False

    @property
    def id(self) -> str:
        """The name of the job, the first digits of its identity."""
        return self.identity[:HEAD]

    @property
    def name(self) -> str:
        """The job's label in messages, which says how it differs from the others, such as "reg=on seed=2"."""
        return self.label or self.id

    def is_done(self, evaluate: bool) -> bool:
        """Return whether the job is complete."""
        return self.state is State.FINISHED and (self.measured or not evaluate)


@dataclass(frozen=True)
class Outcome:
    """How an attempt at a job ended.

    Args:
        state:    None: the sweep was stopped before the job began, now or ever.
        is_lost:  whether its process ended without reporting a result, so that another attempt may go further.
        startup:  seconds that its process took to import everything; None: it never finished importing.
        waited:   of these, the seconds that the job waited for them: less where the process was started ahead.
        seconds:  from the handing over of the job to its end.
    """

    job: Job
    state: State | None
    reason: str | None = None
    is_lost: bool = False
    startup: float | None = None
    waited: float | None = None
    seconds: float = 0.0

    @property
    def final_state(self) -> State | None:
        """The state; None for a job that was stopped before it created a run."""
        return None if self.state is State.KILLED and not is_run(self.job.run) else self.state
