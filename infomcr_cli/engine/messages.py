"""Messages between a sweep and a job's process: one JSON line each, so that nothing is unpickled."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from infomcr_cli.config.allowed_builders import trusted, trusted_groups
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.redaction import redact_override, redact_uri
from infomcr_cli.console.text import printable
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.search.pruning import Pruning
from infomcr_cli.runs import State

MOST_LETTERS = 1000  # of a label


class Task(BaseModel):
    """One job as it is sent to its process.

    Args:
        label:    what distinguishes the job from the others of its sweep.
        trusted:  groups whose function (of a network or of data) the user has named, which no file records.
        run:      the run's directory; it is made where it is missing.
        evaluate: whether the run is measured once it is trained.
        pruning:  the rule by which a search ends the run early; None: it does not.
        cwd:      where relative paths start.
        modules:  where the sweep's own process finds modules, besides the places of the job's process.
        log:      file to which the process appends its output.
    """

    model_config = ConfigDict(frozen=True)

    identity: str
    overrides: tuple[str, ...]
    label: str = ""
    config: RunConfig
    trusted: tuple[str, ...]
    run: Path
    evaluate: bool
    pruning: Pruning | None = None
    cwd: Path
    modules: tuple[str, ...]
    log: Path


class Event(BaseModel):
    """A message from a job's process.

    Args:
        kind: `ready` once everything is imported, `ended` with the state and the reason.
        at:   when it was ready, by the machine's monotonic clock: its parent may read the message much later.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["ready", "ended"]
    state: State | None = None
    reason: str | None = None
    at: float | None = None


def read_task(line: bytes | str) -> Task:
    """Return the task in a line; its builders are allowed if those of the job were."""
    task = Task.model_validate_json(line)
    return task.model_copy(update={"config": trusted(task.config, task.trusted)})


def job_of(task: Task) -> Job:
    """Return the job of a task, with what its process needs."""
    return Job(task.identity, task.overrides, task.label, task.config, task.run)


def task_of(job: Job, *, evaluate: bool, cwd: Path, log: Path, pruning: Pruning | None = None) -> Task:
    """Return everything that a process needs for a job, without the tracking store's password."""
    tracking = job.config.tracking
    uri = None if tracking.uri is None else redact_uri(tracking.uri)
    config = job.config.model_copy(update={"tracking": tracking.model_copy(update={"uri": uri})})
    overrides = tuple(redact_override(override) for override in job.overrides)
    return Task(
        identity=job.identity,
        overrides=overrides,
        label=printable(job.label, MOST_LETTERS),
        config=config,
        trusted=trusted_groups(config),
        run=job.run,
        evaluate=evaluate,
        pruning=pruning,
        cwd=cwd,
        modules=tuple(map(os.path.abspath, sys.path)),  # the entry "" stands for this process's working folder
        log=log,
    )


def encoded_outcome(outcome: Outcome) -> str:
    """Return how an attempt at a job ended as JSON, for a process on another machine."""
    kept = {name: getattr(outcome, name) for name in ("reason", "is_lost", "startup", "waited", "seconds")}
    return json.dumps({**kept, "state": str(outcome.state)})


def decoded_outcome(text: str | bytes, job: Job) -> Outcome:
    """Return how an attempt at a job ended.

    Raises:
        ValueError, TypeError, KeyError: the text is not what `encoded_outcome` returns.
    """
    document = json.loads(text)
    return Outcome(job, **{**document, "state": State(document["state"])})
