"""The process of one job: `python -m infomcr_cli.engine.worker` reads a task, does it, and says how it ended.

It watches its standard input: when it closes, the sweep is gone, and the job stops at the next step boundary.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path

from infomcr_cli.user_folders import ensure_home

SECONDS_TO_LIVE = 30.0


def main() -> None:
    """Import what training needs, then wait for the task and do it."""
    events = _own_the_standard_output()
    _raise_oom_score()
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_listen, args=(lines,), name="infomcr-parent-watchdog", daemon=True).start()
    ensure_home()  # before the imports: libraries choose their folders when they are imported
    import infomcr_cli.training.trainer  # noqa: F401 -- seconds of work, done before there is a task
    from infomcr_cli.console.redaction import redact
    from infomcr_cli.engine.messages import Event, read_task
    from infomcr_cli.engine.run_job import run_job
    from infomcr_cli.runs import State

    _send(events, Event(kind="ready", at=time.monotonic()))
    line = lines.get()
    if not line:
        return
    task = read_task(line)
    os.chdir(task.cwd)
    sys.path += [place for place in task.modules if place not in sys.path]
    _log_to(task.log)
    try:
        event = run_job(task)
    except BaseException as error:  # even SystemExit of a user's network: the sweep needs a reason
        print(redact(traceback.format_exc()), file=sys.stderr)
        event = Event(kind="ended", state=State.FAILED, reason=redact(f"{type(error).__name__}: {error}"))
    _send(events, event)
    for stream in (sys.stdout, sys.stderr):  # a user's own network may print
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)  # nothing is left to do, and TensorFlow takes a second to shut down


def _listen(lines: queue.Queue[bytes]) -> None:
    """Pass on the task; once the sweep is gone, ask this process to stop, and a little later end it."""
    with os.fdopen(os.dup(0), "rb") as stdin:
        lines.put(stdin.readline())
        while stdin.read(4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(SECONDS_TO_LIVE)
    os.kill(os.getpid(), signal.SIGKILL)


def _own_the_standard_output() -> int:
    """Keep standard output for events; what libraries print goes to the log."""
    events = os.dup(1)
    os.dup2(2, 1)
    return events


def _raise_oom_score() -> None:
    """Make the kernel end this job if memory runs out, not the sweep or another program."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _log_to(path: Path) -> None:
    log = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _send(events: int, event: object) -> None:
    os.write(events, event.model_dump_json().encode() + b"\n")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
