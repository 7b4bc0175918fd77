"""Jobs as tasks of Slurm's arrays, without a cluster: `sbatch` is a script, tests say what becomes of the tasks."""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.schema.sweep import SlurmEngineConfig
from infomcr_cli.engine import scheduler, slurm_engine
from infomcr_cli.engine.directory import SweepDirectory
from infomcr_cli.engine.job import Job, Outcome
from infomcr_cli.engine.limits import Limits
from infomcr_cli.engine.messages import decoded_outcome, encoded_outcome, task_of
from infomcr_cli.engine.scheduler import QueueEngine, SweepRunner
from infomcr_cli.engine.slurm_array import CANCELLED, arrays_folder, recorded_arrays
from infomcr_cli.engine.slurm_engine import SlurmEngine
from infomcr_cli.engine.slurm_queue import read_queue
from infomcr_cli.engine.slurm_task import Starts
from infomcr_cli.errors import InputError
from infomcr_cli.runs import State
from infomcr_cli.runs.lifecycle import create_run

PASSWORD = "correct-horse-battery-9417"
Engines = Callable[..., SlurmEngine]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    for name in ("SECONDS_BETWEEN_REPORTS", "SECONDS_BETWEEN_POLLS", "SECONDS_TO_SETTLE", "SECONDS_BEFORE_ANOTHER_TRY"):
        monkeypatch.setattr(slurm_engine, name, 0.0)
    return FakeSlurm.installed(tmp_path / "bin", monkeypatch)


@pytest.fixture
def engine(fake: FakeSlurm, tmp_path: Path) -> Engines:
    """Make engines of one sweep, as its process does each time it is started."""
    folder = SweepDirectory(tmp_path / "sweeps" / "demo", "0" * 32)
    folder.path.mkdir(parents=True)

    def made(*overrides: str, jobs: int = 4, is_searched: bool = False) -> SlurmEngine:
        settings = config_of(*overrides).engine
        assert isinstance(settings, SlurmEngineConfig)
        return SlurmEngine(
            settings,
            Limits(),
            folder,
            jobs,
            task=lambda job: task_of(job, evaluate=False, cwd=tmp_path, log=folder.log(job)),
            is_searched=is_searched,
        )

    return made


@cache
def config_of(*overrides: str) -> RunConfig:
    return compose_run(["engine=slurm", "engine.array_parallelism=2", *overrides])


def made_jobs(tmp_path: Path, count: int) -> list[Job]:
    config, runs = config_of(), tmp_path / "runs"
    return [Job(f"{number:064x}", (), f"seed={number}", config, runs / str(number)) for number in range(count)]


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    return made_jobs(tmp_path, 4)


def submitted(engine: SlurmEngine, jobs: list[Job]) -> None:
    for job in jobs:
        engine.submit(job)
    assert not engine.wait(0)


def outcomes_of(engine: SlurmEngine) -> list[Outcome]:
    """Return what ends within some polls: the first sees that a task has ended, the second settles it."""
    return [outcome for _ in range(3) for outcome in engine.wait(0)]


def report(folder: Path, index: int, outcome: Outcome) -> None:
    (array,) = recorded_arrays(folder)
    array.result(index).write_text(encoded_outcome(outcome))


def sweep_of(tmp_path: Path) -> Path:
    return tmp_path / "sweeps" / "demo"


def test_a_sweep_is_one_array_with_a_limit_and_the_resources_of_a_job(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], tmp_path: Path
) -> None:
    resources = ("engine.cpus=4", "engine.gpus=a100:1", "engine.memory=8GiB", "engine.time=1-12")
    place = ("engine.partition=long", "engine.account=lab", "engine.qos=low")
    extra = ("+engine.extra={constraint: 'a&b', exclusive: true}", "+engine.extra.nice=5")
    submitted(engine(*resources, *place, *extra), jobs)
    (script,) = fake.scripts()
    options = {line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")}
    expected = {"array=0-3%2", "cpus-per-task=4", "gpus-per-node=a100:1", "mem=8192M", "time=1-12", "partition=long"}
    expected |= {"account=lab", "qos=low", "constraint='a&b'", "exclusive", "nice=5", "requeue", "signal=B:USR2@120"}
    assert expected <= options
    assert "exec" in script
    assert not list(tmp_path.rglob("*.pkl"))


def test_what_is_not_set_is_left_to_the_cluster(engine: Engines, fake: FakeSlurm, jobs: list[Job]) -> None:
    submitted(engine(), jobs)
    for option in ("time", "mem", "partition", "account", "qos", "gpus-per-node", "wckey"):
        assert f"--{option}=" not in fake.scripts()[0]


def test_no_password_is_written(
    engine: Engines, fake: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    uri = f"tracking.uri=http://me:{PASSWORD}@localhost:5000"
    job = Job("a" * 64, (uri,), "", config_of(uri), tmp_path / "run")
    submitted(engine(uri), [job])
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert (fake.folder / "scripts" / "1") in files
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]


def test_a_sweep_that_runs_in_a_slurm_job_itself_does_not_hand_on_its_resources(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_MEM_PER_NODE", "SBATCH_ACCOUNT", "SLURM_CONF"):
        monkeypatch.setenv(name, "7")
    submitted(engine(), jobs)
    variables = (fake.folder / "variables").read_text().split()
    assert "SLURM_CONF" in variables
    assert not {"SLURM_JOB_ID", "SLURM_MEM_PER_NODE"} & set(variables)
    assert os.environ["SLURM_JOB_ID"] == "7"


def test_a_path_is_written_so_that_slurm_and_its_shell_take_it_as_it_is(
    fake: FakeSlurm, jobs: list[Job], tmp_path: Path
) -> None:
    settings = config_of().engine
    assert isinstance(settings, SlurmEngineConfig)

    def made(name: str) -> SlurmEngine:
        folder = SweepDirectory(tmp_path / name / "sweeps" / "demo", "0" * 32)
        return SlurmEngine(
            settings, Limits(), folder, 4, lambda job: task_of(job, evaluate=False, cwd=tmp_path, log=folder.log(job))
        )

    submitted(made("a b'c 50%"), jobs)
    (script,) = fake.scripts()
    (output,) = [line for line in script.splitlines() if "--output" in line]
    assert "50%%/" in output
    assert shlex.split(output.removeprefix("#SBATCH "))[0].endswith("/%A_%a.log")
    command = shlex.split(script.splitlines()[-1])
    assert (Path(command[-1]) / "tasks.jsonl").is_file()
    with pytest.raises(InputError, match="does not support %j"):
        made("of %j")


def test_more_jobs_than_an_array_may_hold_wait_for_one_another(
    engine: Engines, fake: FakeSlurm, jobs: list[Job]
) -> None:
    fake.most_tasks = 3
    submitted(engine(), jobs)
    first, second = fake.scripts()
    assert "--array=0-2%2" in first
    assert "--array=0-0%1" in second
    assert "--dependency" not in first
    assert "--dependency=afterany:1" in second


def test_proposed_jobs_come_as_many_as_can_run_and_wait_for_no_array(
    engine: Engines, fake: FakeSlurm, jobs: list[Job]
) -> None:
    own = engine(jobs=40, is_searched=True)
    assert own.capacity() == 2  # engine.array_parallelism
    submitted(own, jobs[:2])
    submitted(own, jobs[2:3])
    first, second = fake.scripts()
    assert "--array=0-1%2" in first
    assert "--array=0-0%1" in second
    assert "--dependency" not in second


def test_two_thousand_jobs_are_submitted_within_seconds(engine: Engines, fake: FakeSlurm, tmp_path: Path) -> None:
    many, own = made_jobs(tmp_path, 2000), engine(jobs=2000)
    assert own.capacity() == 2000
    began = time.process_time()
    submitted(own, many)
    own.wait(0)
    assert time.process_time() - began < 5
    assert len(fake.scripts()) == 2


def test_a_job_runs_when_slurm_runs_it_and_ends_as_it_reports(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], tmp_path: Path
) -> None:
    own = engine()
    submitted(own, jobs)
    assert not own.begun()
    fake.states["1_1"] = "RUNNING"
    own.wait(0)
    assert own.begun() == [jobs[1]]
    report(sweep_of(tmp_path), 1, Outcome(jobs[1], State.FAILED, "NaN", startup=3.0, waited=2.0, seconds=9.0))
    (outcome,) = own.wait(0)
    assert (outcome.job, outcome.state, outcome.reason, outcome.seconds) == (jobs[1], State.FAILED, "NaN", 9.0)


@pytest.mark.parametrize("state", ["FAILED", "NODE_FAIL", "TIMEOUT", "OUT_OF_MEMORY", "COMPLETED"])
def test_a_task_that_ends_without_a_report_is_lost(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], state: str
) -> None:
    own = engine()
    submitted(own, jobs)
    fake.states["1_2"] = state
    (outcome,) = outcomes_of(own)
    assert (outcome.job, outcome.state, outcome.is_lost) == (jobs[2], State.LOST, True)
    assert state in str(outcome.reason)


def test_what_slurm_itself_puts_back_counts_as_running(engine: Engines, fake: FakeSlurm, jobs: list[Job]) -> None:
    own = engine()
    submitted(own, jobs)
    for state in ("RUNNING", "COMPLETING", "PENDING", "REQUEUED", "RUNNING", "NODE_FAIL"):
        fake.states["1_0"] = state  # a failed node is seen for a moment before its jobs wait again
        assert not own.wait(0)
    fake.states["1_0"] = "PENDING"
    assert not outcomes_of(own)
    assert len(fake.scripts()) == 1


def test_a_preempted_task_is_put_back_and_not_counted(engine: Engines, fake: FakeSlurm, jobs: list[Job]) -> None:
    own = engine()
    submitted(own, jobs)
    fake.states["1_0"] = "PREEMPTED"
    assert not outcomes_of(own)
    assert fake.states["1_0"] == "PENDING"


@pytest.mark.parametrize("state", ["CANCELLED", ""])
def test_a_task_that_somebody_cancelled_is_not_tried_again(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], state: str
) -> None:
    own = engine()
    submitted(own, jobs)
    fake.states["1_3"] = state  # one that was waiting is not shown any more
    (outcome,) = outcomes_of(own)
    assert (outcome.job, outcome.state, outcome.is_lost) == (jobs[3], State.KILLED, False)
    assert "cancelled" in str(outcome.reason)


def test_a_lost_job_is_put_back_into_its_array_and_counted(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], tmp_path: Path
) -> None:
    own, attempts = engine(), 0

    class Losing:
        def began(self, job: Job) -> None: ...
        def ended(self, outcome: Outcome, left: int) -> None: ...

        def poll(self) -> None:
            nonlocal attempts
            (array,) = recorded_arrays(sweep_of(tmp_path))
            if not array.result(0).exists():
                attempts += 1
                report(sweep_of(tmp_path), 0, Outcome(jobs[0], State.LOST, "it crashed", is_lost=True))

    outcomes = SweepRunner(own, [Losing()], retries=2).run(jobs[:1])
    outcome = outcomes[jobs[0].identity]
    assert (outcome.state, outcome.reason) == (State.FAILED, "it crashed, at each of 3 attempts")
    assert attempts >= 3
    assert fake.commands.count(("scontrol", "requeue", "1_0")) == 2
    assert len(fake.scripts()) == 1


def test_a_lost_job_that_slurm_has_forgotten_is_submitted_again(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, fake.forgets = engine(), True
    submitted(own, jobs)
    fake.states["1_0"] = "NODE_FAIL"
    (outcome,) = outcomes_of(own)
    own.submit(outcome.job)
    own.wait(0)
    assert "--array=0-0%1" in fake.scripts()[1]


def test_a_sweep_that_is_started_again_attaches_to_its_tasks(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], tmp_path: Path
) -> None:
    submitted(engine(), jobs)
    fake.states |= {"1_0": "COMPLETED", "1_1": "RUNNING"}
    second = engine("engine.array_parallelism=3")
    submitted(second, jobs[1:])
    assert len(fake.scripts()) == 1
    assert ("scontrol", "update", "JobId=1", "ArrayTaskThrottle=3") in fake.commands
    report(sweep_of(tmp_path), 1, Outcome(jobs[1], State.FINISHED))
    (outcome,) = second.wait(0)
    assert (outcome.job, outcome.state) == (jobs[1], State.FINISHED)


def test_an_array_whose_id_was_never_noted_is_found_by_its_name(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], tmp_path: Path
) -> None:
    submitted(engine(), jobs)
    (record,) = sweep_of(tmp_path).glob("slurm/*/array.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "id": None}))  # its submitter was killed before
    submitted(engine(), jobs)
    assert len(fake.scripts()) == 1
    assert recorded_arrays(sweep_of(tmp_path))[0].id == "1"


def test_an_array_that_sbatch_took_without_saying_so_is_not_submitted_twice(
    engine: Engines, fake: FakeSlurm, jobs: list[Job]
) -> None:
    own = engine()
    submitted(own, jobs[:1])
    fake.refuse("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", takes=True)
    submitted(own, jobs[1:])
    own.wait(0)
    assert len(fake.scripts()) == 2
    assert own.where(jobs[1]) == "2_0"


def test_a_stop_also_cancels_an_array_that_sbatch_took_without_saying_so(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = engine()
    submitted(own, jobs[:1])
    fake.refuse("sbatch: error: Socket timed out on send/recv operation", takes=True)
    for job in jobs[1:]:
        own.submit(job)
    monkeypatch.setattr(slurm_engine, "SECONDS_BEFORE_ANOTHER_TRY", 60.0)
    own.wait(0)
    own.stop("--fail-fast", grace=1.0)
    assert fake.commands[-1] == ("scancel", "--quiet", "2")


def test_an_array_that_has_the_id_of_an_old_one_is_left_alone(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], tmp_path: Path
) -> None:
    submitted(engine(), jobs)
    (script,) = (fake.folder / "scripts").iterdir()
    script.write_text(script.read_text().replace("--job-name=demo-", "--job-name=others-"))
    submitted(engine(), jobs)
    assert len(fake.scripts()) == 2


def test_fewer_jobs_are_submitted_where_slurm_limits_their_number(
    engine: Engines, fake: FakeSlurm, jobs: list[Job]
) -> None:
    own = engine()
    fake.refuse(
        "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates "
        "accounting/QOS policy (job submit limit, user's size and/or time limits)"
    )
    submitted(own, jobs)
    fake.refuse("")
    own.wait(0)
    assert ["--array=0-1%2" in script for script in fake.scripts()] == [True, True]


def test_what_slurm_refuses_ends_the_sweep_with_its_words(engine: Engines, fake: FakeSlurm, jobs: list[Job]) -> None:
    own = engine()
    fake.refuse("sbatch: error: invalid partition specified: nowhere")
    own.submit(jobs[0])
    with pytest.raises(InputError, match="invalid partition specified: nowhere"):
        own.wait(0)


def test_the_sweep_waits_for_a_controller_that_is_away(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], caplog: pytest.LogCaptureFixture
) -> None:
    own = engine()
    submitted(own, jobs)
    fake.is_away = True
    with caplog.at_level(logging.WARNING):
        assert not outcomes_of(own)
    assert caplog.text.count("does not answer") == 1
    with pytest.raises(InputError, match="controller does not answer"):
        engine()


def test_ctrl_c_leaves_the_jobs_in_slurm(
    engine: Engines, fake: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = made_jobs(tmp_path, 2)
    (tmp_path / "runs").mkdir()
    create_run(config_of(), [], jobs[0].run)

    class Impatient:
        def began(self, job: Job) -> None:
            os.kill(os.getpid(), signal.SIGINT)

        def ended(self, outcome: Outcome, left: int) -> None:
            raise AssertionError("none has ended")

        def poll(self) -> None:
            fake.states["1_0"] = "RUNNING"

    own = engine()
    assert isinstance(own, QueueEngine)
    runner = SweepRunner(own, [Impatient()])
    outcomes = runner.run(jobs)
    assert runner.number == signal.SIGINT
    assert [outcomes[job.identity].state for job in jobs] == [State.RUNNING, None]
    assert "1_0" in str(outcomes[jobs[0].identity].reason)
    assert not [words for words in fake.commands if words[0] == "scancel"]


def test_fail_fast_cancels_what_slurm_has(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        def began(self, job: Job) -> None: ...
        def ended(self, outcome: Outcome, left: int) -> None: ...

        def poll(self) -> None:
            for array in recorded_arrays(sweep_of(tmp_path)):
                array.result(2).write_text(encoded_outcome(Outcome(jobs[2], State.FAILED, "NaN")))

    monkeypatch.setattr(scheduler, "TICK", 0.01)
    outcomes = SweepRunner(engine(), [Failing()], fail_fast=True).run(jobs)
    states = [outcomes[job.identity].state for job in jobs]
    assert states == [State.KILLED, State.KILLED, State.FAILED, State.KILLED]
    assert fake.states == {"1_0": "CANCELLED", "1_1": "CANCELLED", "1_3": "CANCELLED"}


def test_a_sweep_that_is_cancelled_twice_ends_once(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, stop = arrays_folder(sweep_of(tmp_path)) / CANCELLED, SlurmEngine.stop

    def cancelled_again(self: SlurmEngine, reason: str, *, grace: float) -> None:
        stop(self, reason, grace=grace)
        mark.touch()

    class Cancelling:
        def began(self, job: Job) -> None: ...
        def ended(self, outcome: Outcome, left: int) -> None: ...

        def poll(self) -> None:
            mark.touch()

    monkeypatch.setattr(scheduler, "TICK", 0.01)
    monkeypatch.setattr(SlurmEngine, "stop", cancelled_again)
    outcomes = SweepRunner(engine(), [Cancelling()]).run(jobs)
    assert {outcomes[job.identity].state for job in jobs} == {State.KILLED}


def test_a_report_that_cannot_be_read_is_a_loss(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], tmp_path: Path
) -> None:
    own = engine()
    submitted(own, jobs)
    (array,) = recorded_arrays(sweep_of(tmp_path))
    array.result(0).write_text('{"state": "HAPPY"}')
    (outcome,) = own.wait(0)
    assert outcome.is_lost


def test_a_start_counts_as_fruitless_unless_it_brought_a_checkpoint_or_was_excused() -> None:
    first = Starts().next("step 0")
    assert (first.count, first.fruitless) == (1, 0)
    second = first.next("step 0")
    assert second.fruitless == 1
    assert second.next("step 0").fruitless == 2
    assert second.next("step 40").fruitless == 0
    excused = Starts(2, 1, "step 0", is_excused=True)
    assert excused.next("step 0").fruitless == 1


def test_indices_of_waiting_tasks_are_read_however_slurm_abbreviates_them(
    fake: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = "7|0,3-5,9%4|PENDING||Priority|x-1\n7|1|RUNNING|n2|None|x-1\n8|N/A|RUNNING|n1|None|other\n"
    monkeypatch.setattr(fake, "run", lambda *words, seconds=0: listed)
    monkeypatch.setattr("infomcr_cli.engine.slurm_queue._run", lambda *words, seconds=0: listed)
    queue = read_queue(["7", "8"])
    assert sorted(queue) == ["7_0", "7_1", "7_3", "7_4", "7_5", "7_9"]
    assert (queue["7_1"].node, queue["7_1"].has_ended) == ("n2", False)
    assert (queue["7_4"].reason, queue["7_1"].reason) == ("Priority", "")


@pytest.mark.parametrize(
    ("reason", "is_blocked"),
    [
        ("PartitionTimeLimit", True),
        ("QOSMaxCpuPerJobLimit", True),
        ("InvalidAccount", True),
        ("JobHeldUser", True),
        ("BadConstraints", True),
        ("Priority", False),
        ("Resources", False),
        ("JobArrayTaskLimit", False),
        ("Dependency", False),
        ("QOSMaxJobsPerUserLimit", False),
        ("None", False),
    ],
)
def test_one_warning_tells_of_tasks_that_slurm_will_never_start(
    engine: Engines, fake: FakeSlurm, jobs: list[Job], caplog: pytest.LogCaptureFixture, reason: str, is_blocked: bool
) -> None:
    fake.reason = reason
    own = engine()
    submitted(own, jobs)
    for _ in range(3):
        own._poll_at = 0.0
        own.wait(0)
    warnings = [record.getMessage() for record in caplog.records if reason in record.getMessage()]
    assert len(warnings) == is_blocked
    assert all(f"will not start {len(jobs)} of the jobs" in text and "sweep --cancel" in text for text in warnings)


def test_an_outcome_survives_its_way_through_a_file(jobs: list[Job]) -> None:
    outcome = Outcome(jobs[0], State.LOST, "gone", is_lost=True, startup=1.0, waited=0.5, seconds=2.0)
    assert decoded_outcome(encoded_outcome(outcome), jobs[0]) == outcome


def test_the_first_array_that_sbatch_took_without_saying_so_is_kept(
    engine: Engines, fake: FakeSlurm, jobs: list[Job]
) -> None:
    own = engine()
    fake.refuse("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", takes=True)
    submitted(own, jobs)
    own.wait(0)
    assert len(fake.scripts()) == 1
    assert own.where(jobs[0]) == "1_0"


def test_nobody_else_can_change_what_tasks_will_do(engine: Engines, jobs: list[Job], tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        submitted(engine(), jobs)
    finally:
        os.umask(before)
    assert arrays_folder(sweep_of(tmp_path)).stat().st_mode & 0o777 == 0o700
