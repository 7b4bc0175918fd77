"""A task of a Slurm array: `python -m infomcr_cli.engine.slurm_task FOLDER` does one job on the node where it runs.

It starts the job's process and watches it, as the other engines do. Slurm sends it signals:

    SIGUSR2   the limit of time is near: the job writes a checkpoint, and the task puts itself back into the queue;
    SIGTERM   preempted, put back or cancelled: the job writes a checkpoint, and Slurm knows what is to follow. If
              Slurm is not ending the task (somebody else sent the signal), the task puts itself back.

In both cases the task reports nothing: the job has not ended, or Slurm shows how it ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType

from infomcr_cli.engine.job import Outcome
from infomcr_cli.engine.messages import encoded_outcome, job_of
from infomcr_cli.engine.process import GRACE, JobProcess, close
from infomcr_cli.engine.slurm_array import SlurmArray, read_array
from infomcr_cli.engine.slurm_queue import SlurmError, read_queue, requeue
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, list_checkpoints, read_status
from infomcr_cli.runs.io.safe_files import write_atomically

TICK = 0.1
SECONDS_TO_REQUEUE = 15.0  # of the notice before the limit, kept for `scontrol requeue`
SECONDS_TO_ANSWER = 10.0  # Slurm kills the task half a minute after SIGTERM
SECONDS_FOR_A_SIGNAL = 1.0  # the job's process may receive a signal a little before this one
_THREADS = ("INFOMCR_THREADS", "TF_NUM_INTRAOP_THREADS")
_REASONS = {
    signal.SIGUSR2: "its Slurm time limit is near; it continues from its checkpoint",
    signal.SIGTERM: "Slurm preempted, requeued or cancelled it",
}


@dataclass(frozen=True)
class Starts:
    """The starts of a task, as its file notes them.

    Args:
        count:     how many there were.
        fruitless: how many of them in a row ended without a further checkpoint, by no wish of Slurm's.
        point:     how far the run was at the last start.
        is_excused: whether the last one ended because Slurm wanted the node for something else.
    """

    count: int = 0
    fruitless: int = 0
    point: str = ""
    is_excused: bool = True

    def next(self, point: str) -> Starts:
        """Return the record with one more start from a point."""
        is_fruitless = self.count > 0 and point == self.point and not self.is_excused
        fruitless = self.fruitless + 1 if is_fruitless else 0 if point != self.point else self.fruitless
        return Starts(self.count + 1, fruitless, point, is_excused=False)


def main(arguments: Sequence[str]) -> int:
    """Run the task that Slurm has started, and return its exit code."""
    array = read_array(Path(arguments[0]))
    return carry_out(array, int(os.environ["SLURM_ARRAY_TASK_ID"]))


def carry_out(array: SlurmArray, index: int) -> int:
    """Run one job of an array in a process of this machine; report its outcome unless Slurm interrupted it."""
    received: list[int] = []
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # the job's process inherits this; the signal would end it
    message = array.task(index)
    os.chdir(message.cwd)
    array.result(index).unlink(missing_ok=True)
    starts = _noted_start(array, index, message.run)
    if starts.fruitless > array.retries:
        reason = f"{starts.fruitless} starts in a row ended without a new checkpoint; increase engine.time"
        close(job_of(message), State.FAILED, reason)
        return _reported(array, index, Outcome(job_of(message), State.FAILED, reason))
    process = JobProcess({name: str(array.threads) for name in _THREADS})

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)

    for number in _REASONS:
        signal.signal(number, receive)
    process.give(job_of(message), message, array.limits)
    outcome = _watched(process, received, array.notice)
    if outcome.state is State.FINISHED or not received:
        return _reported(array, index, outcome)
    return _interrupted(array, index, starts, is_preempted=signal.SIGTERM in received)


def _watched(process: JobProcess, received: list[int], notice: float) -> Outcome:
    """Wait for a job's process and return its outcome; forward signals as requests to stop."""
    is_stopping = False
    while (outcome := process.poll()) is None:
        if received and not is_stopping:
            is_stopping, number = True, signal.Signals(received[0])
            grace = max(GRACE / 2, notice - SECONDS_TO_REQUEUE) if number is signal.SIGUSR2 else GRACE
            process.stop(State.KILLED, _REASONS[number], grace=grace)
        time.sleep(TICK)
    if outcome.state is not State.FINISHED and not received:
        time.sleep(SECONDS_FOR_A_SIGNAL)
    return outcome


def _reported(array: SlurmArray, index: int, outcome: Outcome) -> int:
    write_atomically(array.result(index), encoded_outcome(outcome).encode())
    return 0 if outcome.state is State.FINISHED else 1


def _interrupted(array: SlurmArray, index: int, starts: Starts, *, is_preempted: bool) -> int:
    """Put the task back into the queue unless Slurm is ending it: otherwise a cancelled task would run again."""
    task = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{index}"
    if is_preempted:
        _note(array, index, replace(starts, is_excused=True))
        if not _counts_as_running(task):
            return 128 + signal.SIGTERM
    try:
        requeue(task)
    except SlurmError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _counts_as_running(task: str) -> bool:
    """Return whether Slurm still counts a task as running; one that was cancelled or put back is completing."""
    try:
        shown = read_queue([task.partition("_")[0]], seconds=SECONDS_TO_ANSWER).get(task)
    except SlurmError:
        return False
    return shown is not None and shown.state == "RUNNING"


def _noted_start(array: SlurmArray, index: int, run: Path) -> Starts:
    starts = Starts()
    with suppress(OSError, ValueError, TypeError):
        starts = Starts(**json.loads(array.starts(index).read_bytes()))
    starts = starts.next(_point(run))
    _note(array, index, starts)
    return starts


def _note(array: SlurmArray, index: int, starts: Starts) -> None:
    write_atomically(array.starts(index), json.dumps(asdict(starts)).encode())


def _point(run: Path) -> str:
    """Return how far a run has come: whether it is trained, and the step of its last checkpoint."""
    trained, steps = False, []
    with suppress(InputError, OSError):
        directory = RunDirectory.open(run)
        trained = read_status(directory).state is State.FINISHED
        steps = [info.step for info in list_checkpoints(directory)]
    return f"{'trained' if trained else 'step'} {max(steps, default=0)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
