"""How a run ended, and what standard error says of it."""

import os

import psutil
import pytest

from infomcr_cli.errors import AdvisedError, InputError
from infomcr_cli.runs import RunDirectory, State, read_status
from infomcr_cli.runs.lifecycle import RunOutcome, active_run
from infomcr_cli.train import TrainResult


class DivergedError(AdvisedError):
    advice = "Try a smaller rate."


def outcome_of(run: RunDirectory, error: Exception) -> tuple[RunOutcome, str]:
    with active_run(run, is_new=False) as active, active.carry_out() as work:
        raise error
    outcome = work.outcome
    result = TrainResult(run, outcome.state, outcome.reason, outcome.exit_code, advice=outcome.advice)
    return outcome, result.problem


def test_a_failure_with_advice_gives_it_in_place_of_the_command_that_continues(run: RunDirectory) -> None:
    outcome, problem = outcome_of(run, DivergedError("no number"))
    assert (outcome.state, outcome.exit_code) == (State.FAILED, 1)
    assert problem == "FAILED: DivergedError: no number. Try a smaller rate."


@pytest.mark.parametrize("error", [RuntimeError("broken"), OSError("full")])
def test_any_other_failure_gives_the_command_that_continues(run: RunDirectory, error: Exception) -> None:
    outcome, problem = outcome_of(run, error)
    assert outcome.advice is None
    assert f"Continue with: infomcr train --resume {run.path}" in problem
    assert read_status(run).state is State.FAILED


def test_bad_input_late_in_training_is_a_failure_though_the_clock_was_corrected(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = psutil.boot_time()

    def break_late() -> None:
        with active_run(run, is_new=False) as active:
            active.begin(step=3)
            monkeypatch.setattr("psutil._psplatform.boot_time", lambda: boot + 1)
            with active.carry_out():
                raise InputError("an image must be readable", received="a.png")

    with pytest.raises(InputError):
        break_late()
    assert read_status(run).state is State.FAILED
    assert "a.png" in str(read_status(run).reason)


def test_a_new_run_that_is_refused_on_nfs_gives_its_reason_and_goes(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_open, unlink = [True], os.unlink

    def silly_rename(path: str, *, dir_fd: int | None = None) -> None:  # what NFS does with a file that is open
        if os.fspath(path).endswith(".lock") and is_open[0]:
            os.rename(path, f"{path}.nfs1", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        else:
            unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", silly_rename)
    with pytest.raises(InputError, match="the data is broken"), active_run(run, is_new=True):
        raise InputError("the data is broken", received="x")
    assert not run.path.exists()
