"""Mirror all jobs of a sweep in MLflow from one thread, so that the jobs' processes need not import it."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from infomcr_cli.console.redaction import redact
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, is_run
from infomcr_cli.signals import Interrupted, Interruption
from infomcr_cli.tracking.store import Store

if TYPE_CHECKING:
    from infomcr_cli.tracking.client import Progress


SECONDS_BETWEEN_POLLS = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
HURRY = 15.0  # seconds for the rest once a signal to stop has come
_log = logging.getLogger("infomcr.runs")


class SweepLogger:
    """Mirrors a sweep in MLflow as a parent run with a child per job, without slowing the jobs.

    Args:
        name, uid:    of the parent; made once for each uid.
        tags:         of the parent.
        mirrored:     identities of the runs that the store is known to hold as its children, as they ended.
        retry_advice: how to add what the store lacks at the end.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        uid: str,
        tags: dict[str, str],
        mirrored: Iterable[str] = (),
        retry_advice: str = "Run the same sweep again to add it.",
    ) -> None:
        self._store, self._name, self._uid, self._tags, self._retry_advice = store, name, uid, tags, retry_advice
        self._lock, self._wake, self._is_closing = threading.Lock(), threading.Event(), threading.Event()
        self._waiting: dict[str, Job] = {}
        self._running: dict[str, Job] = {}
        self._known: dict[str, Job] = {}
        self._refused: set[str] = set()
        self._progress: dict[str, Progress] = {}
        self._client: Any = None
        self._parent: str | None = None
        self._end: State | None = None
        self._failed = False
        self._last_poll = time.monotonic()
        self.mirrored = set(mirrored)
        # A daemon: a store that hangs must not keep the command from ending.
        self._thread = threading.Thread(target=self._work, name="infomcr-sweep-mlflow", daemon=True)
        self._thread.start()

    def add_existing(self, job: Job) -> None:
        """Mirror an existing run as a child of this sweep, unless the store already has it as one."""
        with self._lock:
            (self._known if job.identity in self.mirrored else self._waiting)[job.identity] = job
        self._wake.set()

    def began(self, job: Job) -> None:
        """Mirror a job's run from now on."""
        self._running[job.identity] = job

    def ended(self, outcome: Outcome, left: int) -> None:
        """Mirror how a job ended, at once."""
        with self._lock:
            self._running.pop(outcome.job.identity, None)
            self._waiting[outcome.job.identity] = outcome.job
        self._wake.set()

    def poll(self) -> None:
        """Mirror the running jobs at intervals."""
        if time.monotonic() - self._last_poll > SECONDS_BETWEEN_POLLS:
            self._last_poll = time.monotonic()
            with self._lock:
                self._waiting = {**self._running, **self._waiting}
            self._wake.set()

    def close(self, state: State, *, limit: float = 600.0, is_hurried: Callable[[], bool] = lambda: False) -> bool:
        """Mirror what is left, end the parent run and stop; return whether MLflow has everything.

        The store is tried once more: one that is gone refuses at once, one that hangs costs two timeouts.

        Args:
            limit:      seconds granted to a store that answers.
            is_hurried: says whether a signal to stop has come; then only a little time is left.
        """
        self._end = state
        self._is_closing.set()
        self._wake.set()
        deadline = time.monotonic() + limit
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._thread.join(0.1)  # a short wait: `is_hurried` may bring the deadline forward meanwhile
            if is_hurried():
                deadline = min(deadline, time.monotonic() + HURRY)
        complete = not (self._thread.is_alive() or self._waiting or self._failed or self._refused)
        if not complete:
            _log.warning("MLflow at %s is missing data of %s. %s", self._store.shown, self._name, self._retry_advice)
        return complete

    def _work(self) -> None:
        pause = FIRST_PAUSE
        while True:
            last = self._is_closing.is_set()  # read before the push: what is added during it needs another round
            enough = self._failed  # a store that answered until now is tried twice
            try:
                self._push_all()
                if last:
                    self._end_parent()
                self._note_success()
                pause, enough = FIRST_PAUSE, True
            except Exception as error:  # whatever MLflow raises must not reach the sweep
                self._note_failure(error)
                self._is_closing.wait(pause)  # not time.sleep: `close` ends the pause
                pause = min(2 * pause, LONGEST_PAUSE)
                self._wake.set()
            if last and enough:
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
                self._waiting = {**waiting, **self._waiting}  # an entry that came during the push is the newer one

    def _connect(self) -> None:
        from infomcr_cli.tracking.client import connect
        from infomcr_cli.tracking.parents import find_parent, start_parent

        if self._client is None:
            self._client = connect(self._store)
        if self._parent is None:
            if find_parent(self._store, self._uid) is None:
                # The children were lost with their parent, or have lost their link to it: mirror all of them again.
                with self._lock:
                    self._waiting = {**self._known, **self._waiting}
                    self._known.clear()
                    self.mirrored.clear()
            self._parent = start_parent(self._store, self._name, self._uid, self._tags)

    def _push(self, job: Job) -> None:
        from infomcr_cli.tracking.client import PARENT, Progress
        from infomcr_cli.tracking.sync import mirror

        if not is_run(job.run):
            self._end_removed(job)
            return
        has_ended = job.identity not in self._running  # read first: the run may end while it is pushed
        progress = self._progress.setdefault(job.identity, Progress())
        try:
            run = RunDirectory.open(job.run)
            mirror(run, self._store, client=self._client, progress=progress, tags={PARENT: str(self._parent)})
        except InputError as error:
            _log.warning("Could not mirror %s to MLflow: %s", job.name, redact(str(error)))
            self._refused.add(job.identity)
            return
        self._refused.discard(job.identity)
        if has_ended:
            self._progress.pop(job.identity, None)
            if progress.state is not State.RUNNING:  # else another process works on the run
                self.mirrored.add(job.identity)

    def _end_removed(self, job: Job) -> None:
        """End the mirror of a run that its process has removed because its settings turned out not to fit."""
        from infomcr_cli.tracking.parents import end_parent

        progress = self._progress.get(job.identity)
        if progress is not None and progress.run_id is not None:
            end_parent(self._store, progress.run_id, State.FAILED)
            del self._progress[job.identity]

    def _end_parent(self) -> None:
        from infomcr_cli.tracking.parents import end_parent

        end_parent(self._store, str(self._parent), self._end or State.FINISHED)

    def _note_success(self) -> None:
        if self._failed:
            _log.warning("MLflow at %s is reachable again; %s is up to date.", self._store.shown, self._name)
        self._failed = False

    def _note_failure(self, error: Exception) -> None:
        if not self._failed:
            reason = redact(str(error)).splitlines()[:1] or [""]
            _log.warning("MLflow at %s rejects %s; the sweep continues: %s", self._store.shown, self._name, reason[0])
        self._failed = True
        # A call whose answer was lost may have succeeded: the next attempt first reads what the store holds.
        self._client = None
        self._progress.clear()


@contextmanager
def closed_on_error(logger: SweepLogger | None) -> Iterator[None]:
    """Close the logger if an error leaves the block."""
    try:
        yield
    except BaseException:
        if logger is not None:
            logger.close(State.FAILED)
        raise


def close_logger(
    logger: SweepLogger | None, failed: bool, number: int | None, interruption: Interruption
) -> int | None:
    """Close the logger and return the signal that ended the sweep, or None.

    A first signal meanwhile leaves it little time, a second SIGINT none.

    Args:
        failed: whether a job of the sweep, of this call or one before, is not done.
        number: the signal that ended the jobs.
    """
    state = State.KILLED if number is not None else State.FAILED if failed else State.FINISHED
    try:
        if logger is not None:
            logger.close(state, is_hurried=lambda: _heard(interruption) is not None)
    except KeyboardInterrupt:
        return number or signal.SIGINT
    return number or _heard(interruption)


def _heard(interruption: Interruption) -> int | None:
    try:
        interruption.check()
    except Interrupted as stop:
        return stop.number
    return None
