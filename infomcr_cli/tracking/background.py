"""Mirror a run in the background while it trains, without slowing or failing the training."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from infomcr_cli.console.redaction import has_secret, redact
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.tracking.store import Store

if TYPE_CHECKING:
    from infomcr_cli.tracking.client import Progress


FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
_log = logging.getLogger("infomcr.runs")


class _NotingClient:
    """A client of MLflow that notes when a call of it last returned."""

    def __init__(self, client: Any) -> None:
        self._client, self.answered = client, time.monotonic()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._client, name)

        def noted(*arguments: Any, **options: Any) -> Any:
            answer = call(*arguments, **options)
            self.answered = time.monotonic()
            return answer

        return noted


class Mirror:
    """A thread that mirrors one run in MLflow while it trains.

    It begins when first notified: importing MLflow would make TensorFlow's start and first trace wait.

    Example:
        with lock_run(run):
            mirror = Mirror(run, store)
            log.truncate_after(step)
            mirror.notify()              # and again once an epoch
            write_status(run, finished(status, State.FINISHED))
            mirror.close()
    """

    def __init__(self, run: RunDirectory, store: Store, *, tags: Mapping[str, str] | None = None) -> None:
        self._run, self._store, self._tags = run, store, dict(tags or {})
        self._wake, self._is_closing = threading.Event(), threading.Event()
        self._client: _NotingClient | None = None
        self._progress: Progress | None = None
        self._failed_since: float | None = None
        self._complete = False
        # A daemon: a store that hangs must not keep the command from ending.
        self._thread = threading.Thread(target=self._work, name="infomcr-mirror", daemon=True)

    def notify(self) -> None:
        """Signal that the directory has something new; returns at once."""
        self._begin()
        self._wake.set()

    def close(self, *, patience: float = 5.0, limit: float = 60.0) -> bool:
        """Mirror what is left and stop; return whether MLflow has everything.

        Args:
            patience: seconds granted to a store that has not answered lately.
            limit:    seconds granted to a store that works: a local one, or a server that answers.
        """
        self._is_closing.set()
        self._wake.set()
        self._begin()
        deadline = time.monotonic() + limit
        self._thread.join(patience)
        while self._thread.is_alive() and self._is_at_work(patience) and time.monotonic() < deadline:
            self._thread.join(0.1)
        if not self._complete:
            _log.warning("MLflow at %s is missing data of %s. %s", *self._names(), self._retry_advice())
        return self._complete

    def _is_at_work(self, patience: float) -> bool:
        """Return whether the store has rejected nothing, and, if it is a server, has answered within `patience`."""
        client = self._client  # the thread may forget it at any time
        is_answering = client is not None and time.monotonic() - client.answered < patience
        return self._failed_since is None and (self._store.lock is not None or is_answering)

    def _begin(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def _work(self) -> None:
        pause = FIRST_PAUSE
        while True:
            self._wake.wait()
            self._wake.clear()
            last = self._is_closing.is_set()
            enough = self._failed_since is not None  # a store that answered until now is tried twice
            try:
                self._push()
                pause = FIRST_PAUSE
                enough = True
            except Exception as error:  # whatever MLflow raises must not reach training
                self._note_failure(error)
                # A call whose answer was lost may have succeeded: the next attempt first reads what the store holds.
                self._client, self._progress = None, None
                self._is_closing.wait(pause)  # not time.sleep: `close` ends the pause
                pause = min(2 * pause, LONGEST_PAUSE)
                self._wake.set()
            if last and enough:
                return

    def _push(self) -> None:
        from infomcr_cli.tracking.client import Progress, connect
        from infomcr_cli.tracking.sync import mirror

        last = self._is_closing.is_set()  # read before the push: what is written during it needs another one
        if self._client is None:
            self._client, self._progress = _NotingClient(connect(self._store)), Progress()
        mirror(self._run, self._store, client=self._client, progress=self._progress, tags=self._tags)
        self._note_success()
        self._complete = last

    def _note_success(self) -> None:
        if self._failed_since is not None:
            _log.warning("MLflow at %s is reachable again; %s is up to date.", *self._names())
        self._failed_since = None

    def _note_failure(self, error: Exception) -> None:
        if self._failed_since is None:
            self._failed_since = time.time()
            reason = redact(str(error)).splitlines()[:1]
            _log.warning("MLflow at %s rejects %s; training continues: %s", *self._names(), *reason or [""])

    def _retry_advice(self) -> str:
        """Return how to mirror the rest later; passwords are not stored, so the command cannot contain one."""
        if has_secret(self._store.uri):
            return (
                f"Retry later, with the store's password in --tracking-uri: {suggested_command('sync', self._run.path)}"
            )
        return f"Later: {suggested_command('sync', self._run.path, '--tracking-uri', self._store.uri)}"

    def _names(self) -> tuple[str, str]:
        return self._store.shown, self._run.name
