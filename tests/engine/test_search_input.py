"""What a user may type of a search, and what it must not be misled by."""

from __future__ import annotations

from pathlib import Path

import pytest
from searching import planned

from infomcr_cli.config.exclude import parse_exclusions
from infomcr_cli.config.search_space import search_space
from infomcr_cli.config.sweep_settings import split_arguments
from infomcr_cli.engine.job import Job
from infomcr_cli.engine.search.objectives import objectives_of
from infomcr_cli.engine.summary import JobResult
from infomcr_cli.engine.sweep_plan import plan_sweep
from infomcr_cli.errors import InputError
from infomcr_cli.report.search import SearchedObjective, SearchedTrial, SearchReport, named_sweeps, write_search
from infomcr_cli.runs import State
from infomcr_cli.runs.lifecycle import create_run

SEARCH = ("sweep.search=optuna", "tracking=off", "sweep.trials=3")


@pytest.mark.parametrize("value", ["glob(gam*)", "range(3)", "interval(0,1)"])
def test_objectives_are_names(value: str) -> None:
    with pytest.raises(InputError, match="a run takes one value"):
        split_arguments(["sweep.search=optuna", f"sweep.objective={value}"])


@pytest.mark.parametrize("value", ["interval(0.1,1)", "range(0,10000000)"])
def test_what_is_excluded_is_a_list_of_some_length(value: str) -> None:
    with pytest.raises(InputError, match=r"sweep\.exclude must list"):
        parse_exclusions([f"optimizer.learning_rate={value}"])


def test_a_file_of_some_settings_of_a_sweep_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text("trials: 5\n")
    assert split_arguments(["sweep.search=optuna"], tmp_path).sweep.trials == 5
    own = split_arguments(["sweep.search=optuna"]).sweep
    assert split_arguments(["sweep.search=optuna"], tmp_path).sweep == own.model_copy(update={"trials": 5})


def test_quoted_objectives_are_the_names_in_the_quotes() -> None:
    sweep = split_arguments(["sweep.search=optuna", "sweep.objective='gamma',\"train_loss\""]).sweep
    assert sweep.objective == ("gamma", "train_loss")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("accuracy", "validation_accuracy"),
        ("loss", "validation_loss"),
        ("error", "validation_error"),
        ("acuracy", "train_accuracy"),
        ("val_acc", "validation_gap"),
        ("test_eror", "test_error"),
    ],
)
def test_the_test_set_is_proposed_only_to_whom_names_it(name: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"Did you mean '{meant}'"):
        objectives_of(split_arguments(["sweep.search=optuna", f"sweep.objective={name}"]).sweep)


@pytest.mark.parametrize("setting", ["name=", "search=optna", "evaluate=perhaps"])
def test_a_wrong_setting_of_a_sweep_has_its_whole_name_in_the_message(setting: str) -> None:
    with pytest.raises(InputError, match=rf"^sweep\.{setting.partition('=')[0]} must be"):
        split_arguments([f"sweep.{setting}"], None)


def test_a_choice_that_is_given_twice_is_no_likelier() -> None:
    space = search_space(["reg=off,off,on"])
    assert (space.searched["reg"].texts, space.combinations) == (("off", "on"), 2)
    with pytest.raises(InputError, match="needs at least one setting"):
        search_space(["reg=off,off"])


def test_a_search_of_which_everything_is_excluded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sweep\.exclude excluded every combination"):
        planned(tmp_path, 'sweep.exclude=["seed=1,2,3"]', space=("seed=1,2,3",), trials=3)


@pytest.mark.parametrize("value", ["interval(0.1)", "uniform(0.01,1)", "loguniform(0.01,1)", "intervall(0.01,1)"])
def test_a_function_that_hydra_does_not_know_is_not_quoted(value: str) -> None:
    with pytest.raises(InputError, match=r"'optimizer\.learning_rate=(tag\(log,)?interval\([\d.,]+\)+'"):
        plan_sweep([*SEARCH, f"optimizer.learning_rate={value}"], None)


def test_trials_of_different_conventions_are_not_ranked_together(tmp_path: Path) -> None:
    sizes = ("data.train_size=interval(300,600)",)
    common = ("sweep.objective=gamma", "measure.gamma.draw_size=50")
    with pytest.raises(
        InputError, match=r"the same convention in all trials; got 'samples=300, draws=6 and samples=600"
    ):
        planned(tmp_path, *common, "measure.gamma.samples=10000", space=sizes)
    assert planned(tmp_path, *common, "measure.gamma.samples=300", space=sizes).objectives[0].name == "gamma"
    assert planned(tmp_path, "measure.gamma.samples=10000", space=sizes).objectives[0].name == "validation_loss"


def report(values: list[tuple[float, ...]], runs: list[str], front: tuple[int, ...]) -> SearchReport:
    names = ("validation_error", "gamma")[: len(values[0])]
    return SearchReport(
        objectives=tuple(SearchedObjective(name=name, direction="minimize") for name in names),
        trials=tuple(
            SearchedTrial(number=number, state="COMPLETE", params={"seed": 1}, values=one, run=run)
            for number, (one, run) in enumerate(zip(values, runs, strict=True))
        ),
        front=front,
        uses_test=False,
        sampler="tpe",
        seed=0,
        pruner=None,
        wanted=len(runs),
    )


def test_a_run_that_several_trials_share_is_shown_once() -> None:
    single = report([(0.2,), (0.1,), (0.1,), (0.3,)], ["b", "a", "a", "c"], (1, 2))
    assert [one.number for one in single.shown] == [1, 0, 3]
    several = report([(0.1, 2.0), (0.1, 2.0), (0.2, 1.0)], ["a", "a", "b"], (0, 1, 2))
    (table,) = several.tables()
    assert (table.title, len(table.rows)) == ("Pareto front, 2 runs", 2)


def test_a_comparison_of_several_sweeps_says_where_the_test_set_chose(tmp_path: Path) -> None:
    for name, uses_test in (("honest", False), ("tested", True)):
        (tmp_path / name).mkdir()
        write_search(report([(0.1,)], ["a"], (0,)).model_copy(update={"uses_test": uses_test}), tmp_path / name)
    (tmp_path / "grid").mkdir()
    assert named_sweeps([str(tmp_path / "*")]).tested == ("tested",)
    assert named_sweeps([str(tmp_path / "honest"), str(tmp_path / "grid"), "mlflow:x"]).tested == ()


def test_runs_that_were_deleted_are_no_part_of_the_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from infomcr_cli.engine.compare_sweep import compare_sweep
    from infomcr_cli.engine.directory import SweepDirectory

    plan = plan_sweep([*SEARCH[1:2], "data=digits", "model=mlp", "seed=0,1,2", f"runs_dir={tmp_path / 'runs'}"], None)
    for job in plan.jobs[:2]:
        create_run(job.config, job.overrides, job.run)
    compared: list[list[str]] = []

    def gather(names: list[str]) -> None:
        compared.append(names)
        raise InputError("two runs without measures")

    monkeypatch.setattr("infomcr_cli.report.gather.gather", gather)
    folder = SweepDirectory(tmp_path / "sweeps" / "x", "0" * 32)
    compare_sweep(plan, [_skipped(job) for job in plan.jobs], folder, Console(), None)
    assert compared == [[str(job.run) for job in plan.jobs[:2]]]


def _skipped(job: Job) -> JobResult:
    return JobResult(job, State.SKIPPED)
