"""What a search may search by; what it may not is refused before anything is made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from infomcr_cli.config.sweep_settings import split_arguments
from infomcr_cli.engine.search.objectives import Objective, objectives_of
from infomcr_cli.errors import InputError
from tests.cli import CommandLine

SEARCH = ("optimizer.learning_rate=interval(0.01,0.5)", "sweep.search=optuna", "sweep.trials=3", "tracking=off")


def objectives(*arguments: str) -> tuple[Objective, ...]:
    return objectives_of(split_arguments(["sweep.search=optuna", *arguments]).sweep)


def test_directions_are_those_of_the_registry_unless_given() -> None:
    assert [one.direction for one in objectives("sweep.objective=[gamma,margin,validation_accuracy]")] == [
        "minimize",
        "maximize",
        "maximize",
    ]
    (one,) = objectives("sweep.objective=gamma", "sweep.directions=[maximize]")
    assert one.direction == "maximize"


@pytest.mark.parametrize("name", ["test_error", "test_loss", "test_accuracy", "gap", "gap_error", "gap_loss"])
def test_the_test_set_is_no_objective_without_leave(name: str) -> None:
    with pytest.raises(InputError, match=r"sweep\.objective=gamma,validation_\w+ data\.validation_size=200") as refusal:
        objectives(f"sweep.objective=[gamma,{name}]")
    assert "validation_loss" in refusal.value.accepted
    _, allowed = objectives(f"sweep.objective=[gamma,{name}]", "sweep.allow_test=true")
    assert allowed.uses_test


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep.objective=gama"], "Did you mean 'gamma'"),
        (["sweep.objective=val_loss"], "Did you mean 'validation_loss'"),
        (["sweep.objective=[gamma,gamma]"], "each objective must be given only once"),
        (["sweep.objective=[gamma,margin]", "sweep.directions=[minimize]"], r"sweep\.directions=\[minimize,maximize\]"),
    ],
)
def test_wrong_objectives_are_explained(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        objectives(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep.objective=test_error"], "the test set cannot be an objective"),
        (["sweep.objective=validation_loss"], "needs a validation split"),
        (["sweep.objective=gamma", "sweep.pruner=median"], "sweep.pruner needs a validation split"),
        (["sweep.objective=gamma", "sweep.evaluate=false"], "needs measured runs"),
        (["sweep.objective=hessian_trace", "measure=fast"], "measure.names=[gamma,hessian_trace]"),
        (["sweep.objective=gamma", "reg.beta=interval(1,2)"], "It is a setting of"),
        (["sweep.objective=gamma", "schedule.epochs=-1"], "schedule.epochs must be at least 1"),
        (["sweep.objective=gamma", "data.train_size=64"], "draw_size"),
    ],
)
def test_a_search_that_cannot_be_is_refused_before_anything_is_made(
    command_line: CommandLine, tmp_path: Path, arguments: list[str], message: str
) -> None:
    answer = command_line("sweep", *SEARCH, *arguments)
    assert answer.code == 2, answer.text
    assert message in " ".join(answer.err.split())
    assert not list(tmp_path.iterdir())


def test_more_trials_than_combinations_are_refused(command_line: CommandLine) -> None:
    answer = command_line(
        "sweep", "reg=off,on", "seed=range(2)", *SEARCH[1:2], "sweep.trials=5", "sweep.objective=gamma"
    )
    assert answer.code == 2
    assert "sweep.trials=5, 4 combinations" in answer.err


def test_a_dry_run_says_what_would_be_searched(command_line: CommandLine, tmp_path: Path) -> None:
    answer = command_line("sweep", *SEARCH, "reg=off,on", "sweep.objective=[gamma,margin]", "--dry-run")
    assert answer.code == 0, answer.err
    assert "A search of 3 trials, to minimize gamma, maximize margin" in answer.out
    assert "optimizer.learning_rate: numbers from 0.01 to 0.5" in answer.out
    assert "reg: off, on" in answer.out
    assert not list(tmp_path.iterdir())


def test_a_plain_sweep_imports_no_optuna() -> None:
    import subprocess

    code = "import sys, infomcr_cli.sweep, infomcr_cli.engine.run_sweep; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_shell_offers_the_settings_of_a_search() -> None:
    from infomcr_cli.command_line.complete import complete_sweep

    assert complete_sweep("sweep.search=") == ["sweep.search=optuna"]
    assert {"sweep.sampler=tpe", "sweep.search_seed="} <= set(complete_sweep("sweep.s"))
    assert complete_sweep("reg=o") == ["reg=off", "reg=on"]
