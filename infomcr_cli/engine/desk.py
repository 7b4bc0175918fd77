"""The sweep's desk at MLflow: one thread of one process mirrors all jobs, so that theirs need not import it."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, is_run
from infomcr_cli.runs.redaction import redact
from infomcr_cli.runs.store import Store

if TYPE_CHECKING:
    from infomcr_cli.runs.tracking import Progress

SECONDS_BETWEEN_LOOKS = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
PARENT = "mlflow.parentRunId"
_log = logging.getLogger("infomcr.runs")


class Desk:
    """Keeps a parent run in MLflow and a child for each job. It never slows a job, and catches up by itself.

    Args:
        name, uid: of the parent; made once for each uid.
        tags:      of the parent.
    """

    def __init__(self, store: Store, name: str, uid: str, tags: dict[str, str]) -> None:
        self._store, self._name, self._uid, self._tags = store, name, uid, tags
        self._lock, self._wake, self._closing = threading.Lock(), threading.Event(), threading.Event()
        self._waiting: dict[str, Job] = {}
        self._running: dict[str, Job] = {}
        self._progress: dict[str, Progress] = {}
        self._client: Any = None
        self._parent: str | None = None
        self._end: State | None = None
        self._failed = False
        self._last_look = time.monotonic()
        self.mirrored: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="infomcr-desk", daemon=True)
        self._thread.start()

    def adopt(self, job: Job) -> None:
        """Mirror a run that was there before, as a child of this sweep."""
        with self._lock:
            self._waiting[job.identity] = job
        self._wake.set()

    def began(self, job: Job) -> None:
        """Look at a job's run from now on."""
        self._running[job.identity] = job

    def ended(self, outcome: Outcome, left: int) -> None:
        """Mirror how a job ended, at once."""
        self._running.pop(outcome.job.identity, None)
        self.adopt(outcome.job)

    def tick(self) -> None:
        """Look at the running jobs now and then."""
        if time.monotonic() - self._last_look > SECONDS_BETWEEN_LOOKS:
            self._last_look = time.monotonic()
            with self._lock:
                self._waiting = {**self._running, **self._waiting}
            self._wake.set()

    def close(self, state: State, *, limit: float = 600.0) -> bool:
        """Mirror what is left, end the parent, stop; return whether MLflow holds all of it.

        The store is asked once more: one that is gone refuses at once, one that hangs costs two timeouts.

        Args: limit: seconds granted to a store that is at work.
        """
        self._end = state
        self._closing.set()
        self._wake.set()
        self._thread.join(limit)
        complete = not self._thread.is_alive() and not self._waiting and not self._failed
        if not complete:
            _log.warning(
                "MLflow at %s lacks a part of %s. The same sweep again, or infomcr sync, brings it.",
                self._store.shown,
                self._name,
            )
        return complete

    def _work(self) -> None:
        pause = FIRST_PAUSE
        while True:
            last = self._closing.is_set()
            try:
                self._push_all()
                if last:
                    self._end_parent()
                self._note_success()
                pause = FIRST_PAUSE
            except Exception as error:  # whatever MLflow raises must not reach the sweep
                self._note_failure(error)
                self._closing.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                self._wake.set()
            if last:
                return
            self._wake.wait()
            self._wake.clear()

    def _push_all(self) -> None:
        self._connect()
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        try:
            while waiting:
                job = next(iter(waiting.values()))
                self._push(job)
                del waiting[job.identity]
        finally:
            with self._lock:
                self._waiting = {**waiting, **self._waiting}

    def _connect(self) -> None:
        from infomcr_cli.runs.tracking import connect, start_parent

        if self._client is None:
            self._client = connect(self._store)
        if self._parent is None:
            self._parent = start_parent(self._store, self._name, self._uid, self._tags)

    def _push(self, job: Job) -> None:
        from infomcr_cli.runs.tracking import Progress, mirror

        if not is_run(job.run):
            return
        progress = self._progress.setdefault(job.identity, Progress())
        try:
            run = RunDirectory.open(job.run)
            mirror(run, self._store, client=self._client, progress=progress, tags={PARENT: str(self._parent)})
        except InputError as error:
            _log.warning("%s is not mirrored: %s", job.id, redact(str(error)))
        if job.identity not in self._running:
            self._progress.pop(job.identity, None)
            self.mirrored.add(job.identity)

    def _end_parent(self) -> None:
        from infomcr_cli.runs.tracking import end_parent

        end_parent(self._store, str(self._parent), self._end or State.FINISHED)

    def _note_success(self) -> None:
        if self._failed:
            _log.warning("MLflow at %s answers again; %s is caught up.", self._store.shown, self._name)
        self._failed = False

    def _note_failure(self, error: Exception) -> None:
        if not self._failed:
            reason = redact(str(error)).splitlines()[:1] or [""]
            _log.warning(
                "MLflow at %s does not take %s; the sweep goes on: %s", self._store.shown, self._name, reason[0]
            )
        self._failed = True
        self._client = None
        self._progress.clear()
