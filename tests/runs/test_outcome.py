"""How a run ended, and what standard error says of it."""

import pytest

from infomcr_cli.errors import AdvisedError
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
