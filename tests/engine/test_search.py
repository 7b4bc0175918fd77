"""A search: its proposals, its trials, and how it goes on after it was killed."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.trial import TrialState
from searching import InProcessEngine, Killed, carry_out, distance, finished_runs, killed_at, planned, recorded

from infomcr_cli.engine.directory import SweepDirectory
from infomcr_cli.engine.job import Job
from infomcr_cli.engine.search import journal
from infomcr_cli.engine.search.plan import SearchPlan
from infomcr_cli.engine.search.result import search_report
from infomcr_cli.engine.summary import JobResult, is_incomplete
from infomcr_cli.errors import InputError
from infomcr_cli.report.gather import gather
from infomcr_cli.report.search import named_sweeps, write_search
from infomcr_cli.runs import State, read_status
from infomcr_cli.runs.directory import RunDirectory


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def plan(folder: Path) -> SearchPlan:
    return planned(folder)


@pytest.fixture(autouse=True)
def emptied(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # nothing is killed for real, and disks are slow
    for path in folder.iterdir():
        shutil.rmtree(path)


def test_every_trial_is_one_run_with_its_values(plan: SearchPlan, folder: Path) -> None:
    search = carry_out(plan, folder, InProcessEngine())
    trials = search.journal.trials()
    assert [one.state for one in trials] == [TrialState.COMPLETE] * 6
    assert {one.user_attrs["run"] for one in trials} == {path.name for path in finished_runs(folder)}
    assert search.is_complete
    for one, job in zip(trials, search.jobs.values(), strict=True):
        assert one.values == pytest.approx([distance(job) + 0.25])
        assert one.params["optimizer.learning_rate"] == job.config.optimizer.learning_rate


def test_the_same_search_proposes_the_same(plan: SearchPlan, folder: Path) -> None:
    first = recorded(carry_out(plan, folder, InProcessEngine()))
    for path in folder.iterdir():
        shutil.rmtree(path)
    assert recorded(carry_out(plan, folder, InProcessEngine())) == first


@pytest.mark.parametrize("room", [1, 2])
def test_a_search_killed_anywhere_loses_and_doubles_no_trial(plan: SearchPlan, folder: Path, room: int) -> None:
    undisturbed = recorded(carry_out(plan, folder, InProcessEngine(room)))
    for count in range(0, 1000, 6):
        for path in folder.iterdir():
            shutil.rmtree(path)
        with killed_at(count) as step:
            try:
                carry_out(plan, folder, InProcessEngine(room, step))
                break
            except Killed:
                pass
        search = carry_out(plan, folder, InProcessEngine(room))
        assert [one.state for one in search.journal.trials()] == [TrialState.COMPLETE] * 6, count
        assert len(finished_runs(folder)) == 6, count
        if room == 1:  # with two at once, what is known when a trial is proposed depends on when others end
            assert recorded(search) == undisturbed, count
    assert count > 20


def test_what_is_finished_is_not_trained_again(plan: SearchPlan, folder: Path) -> None:
    with killed_at(20) as step, pytest.raises(Killed):
        carry_out(plan, folder, engine := InProcessEngine(1, step))
    again = InProcessEngine()
    carry_out(plan, folder, again)
    done = Counter(engine.epochs + again.epochs)
    assert set(done.values()) == {1}
    assert len(done) == 6 * 4
    assert carry_out(plan, folder, last := InProcessEngine()).is_complete
    assert not last.epochs


def test_a_lost_journal_is_found_again_in_the_run_directories(plan: SearchPlan, folder: Path) -> None:
    before = recorded(carry_out(plan, folder, InProcessEngine()))
    shutil.rmtree(folder / "sweep")
    engine = InProcessEngine()
    assert recorded(carry_out(plan, folder, engine)) == before
    assert not engine.epochs


def test_a_torn_line_and_a_left_lock_of_the_journal_are_skipped(plan: SearchPlan, folder: Path) -> None:
    before = recorded(carry_out(plan, folder, InProcessEngine()))
    journal = folder / "sweep" / "optuna.journal"
    with open(journal, "ab") as file:
        file.write(b'{"op_code":4,"worker_i')
    Path(f"{journal}.lock").symlink_to(journal)
    assert recorded(carry_out(plan, folder, InProcessEngine())) == before


def test_a_failed_job_is_a_failed_trial_counted_once(plan: SearchPlan, folder: Path) -> None:
    bad: set[str] = set()

    def wrong(job: object) -> str | None:
        bad.add(str(job)) if len(bad) < 2 else None
        return "it cannot be" if str(job) in bad else None

    search = carry_out(plan, folder, InProcessEngine(wrong=wrong))
    assert Counter(one.state.name for one in search.journal.trials()) == {"COMPLETE": 4, "FAIL": 2}
    failed = next(one for one in search.journal.trials() if one.state is TrialState.FAIL)
    assert "it cannot be" in failed.user_attrs["reason"]
    assert carry_out(plan, folder, engine := InProcessEngine()).is_complete
    assert not engine.epochs


def test_retry_failed_repeats_failed_trials_and_no_others(plan: SearchPlan, folder: Path) -> None:
    first = InProcessEngine(wrong=lambda job: "no" if distance(job) > 1 else None)
    failed = {job.identity for job in carry_out(plan, folder, first).jobs.values() if distance(job) > 1}
    assert failed
    again = InProcessEngine()
    search = carry_out(plan, folder, again, retry_failed=True)
    assert {identity for identity, _ in again.epochs} == failed
    report = search_report(search)
    assert [one.state for one in report.trials] == ["COMPLETE"] * 6
    carry_out(plan, folder, last := InProcessEngine(), retry_failed=True)
    assert not last.epochs


def test_more_trials_of_a_search_go_on_from_those_there_are(plan: SearchPlan, folder: Path) -> None:
    before = recorded(carry_out(plan, folder, InProcessEngine()))
    search = carry_out(planned(folder, trials=8), folder, engine := InProcessEngine())
    assert recorded(search)[:6] == before
    assert len(recorded(search)) == 8
    assert len(engine.epochs) == 2 * 4


def test_trials_of_one_search_have_one_convention_of_a_measure(folder: Path) -> None:
    objective = "sweep.objective=[gamma,train_loss]"
    first = planned(folder, objective, "measure.gamma.draws=2", trials=1)
    carry_out(first, folder, InProcessEngine())
    other = planned(folder, objective, "measure.gamma.draws=1", trials=2)
    with pytest.raises(InputError, match=r"convention of gamma .*\{'draws': 1\}.*sweep has \{'draws': 2\}"):
        carry_out(other, folder, InProcessEngine())
    carry_out(planned(folder, objective, "measure.gamma.draws=2", trials=2), folder, InProcessEngine())


def test_running_trials_count_as_bad_ones(plan: SearchPlan, folder: Path) -> None:
    search = carry_out(plan, folder, InProcessEngine())
    sampler = search.journal._sampler(0)
    assert sampler._constant_liar  # type: ignore[attr-defined]


def test_a_journal_without_conventions_is_continued(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(folder, "sweep.objective=gamma", trials=2)
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_conventions", lambda names, config: {})
        carry_out(plan, folder, InProcessEngine())
    assert carry_out(replace(plan, settings=plan.settings.model_copy(update={"trials": 3})), folder, InProcessEngine())


def test_trials_with_the_same_settings_share_one_run(folder: Path) -> None:
    plan = planned(folder, space=("optimizer.learning_rate=0.1,0.2", "optimizer.l2=0.001,0.002"), trials=4)
    search = carry_out(plan, folder, engine := InProcessEngine(2))
    trials = search.journal.trials()
    assert [one.state for one in trials] == [TrialState.COMPLETE] * 4
    assert len(engine.epochs) == 4 * len(search.jobs) < 16
    assert all(one.values == trials[0].values for one in trials if one.params == trials[0].params)


def test_a_pruned_run_is_a_pruned_trial_and_stays_one(folder: Path) -> None:
    plan = planned(folder, "sweep.pruner=median", trials=12)
    search = carry_out(plan, folder, engine := InProcessEngine())
    states = Counter(one.state.name for one in search.journal.trials())
    assert states["PRUNED"] > 0
    assert states["PRUNED"] + states["COMPLETE"] == 12
    runs = [RunDirectory.open(path) for path in finished_runs(folder)]
    pruned = [read_status(run) for run in runs if read_status(run).pruned_at is not None]
    assert len(pruned) == states["PRUNED"]
    assert {status.state for status in pruned} == {State.KILLED}
    assert all(status.epoch == status.pruned_at < 4 for status in pruned)
    assert "above the median of" in str(pruned[0].reason)
    again = carry_out(plan, folder, last := InProcessEngine())
    assert recorded(again) == recorded(search)
    assert not last.epochs
    assert len(engine.epochs) < 12 * 4


def test_a_comparison_of_a_search_leaves_out_what_it_pruned(folder: Path) -> None:
    search = carry_out(planned(folder, "sweep.pruner=median", trials=12), folder, InProcessEngine())
    results = [search.complete(job_result_of(job)) for job in search.jobs.values()]
    assert not is_incomplete(results)
    SweepDirectory(folder / "sweep", "0" * 32).write([], [one.to_dict() for one in results])
    write_search(search_report(search), folder / "sweep")
    compared = {run.directory.name for run in gather([str(folder / "sweep")]).runs}
    complete = {one.user_attrs["run"] for one in search.journal.trials() if one.state is TrialState.COMPLETE}
    assert compared == complete
    found = named_sweeps([str(folder / "sweep")]).search
    assert found == search_report(search)


def job_result_of(job: Job) -> JobResult:
    return JobResult(job, read_status(RunDirectory.open(job.run)).state)


def test_a_pruned_search_killed_anywhere_tells_the_same(folder: Path) -> None:
    plan = planned(folder, "sweep.pruner=median", trials=9)
    undisturbed = recorded(carry_out(plan, folder, InProcessEngine()))
    for count in range(45, 1000, 13):
        for path in folder.iterdir():
            shutil.rmtree(path)
        with killed_at(count) as step:
            try:
                carry_out(plan, folder, InProcessEngine(1, step))
                break
            except Killed:
                pass
        assert recorded(carry_out(plan, folder, InProcessEngine())) == undisturbed, count


def test_two_objectives_give_a_front_that_nothing_is_better_than(folder: Path) -> None:
    plan = planned(folder, "sweep.objective=validation_loss,gamma", trials=8)
    report = search_report(carry_out(plan, folder, InProcessEngine()))
    values = {one.number: one.values for one in report.trials}
    best = {
        number
        for number, one in values.items()
        if not any(all(a <= b for a, b in zip(two, one, strict=True)) and two != one for two in values.values())
    }
    assert set(report.front) == best
    assert [one.direction for one in report.objectives] == ["minimize", "minimize"]


def test_a_run_without_a_value_is_a_failed_trial(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(folder, "sweep.objective=gamma", trials=2)
    monkeypatch.setattr("searching.distance", lambda job: float("nan"))
    monkeypatch.setattr("searching.measure", _without_gamma)
    report = search_report(carry_out(plan, folder, InProcessEngine()))
    assert [one.state for one in report.trials] == ["FAIL", "FAIL"]
    assert "gamma has no value: all draws are rank-deficient" in str(report.trials[0].reason)
    assert any("Runs without a value: 2" in note for note in report.notes)


def _without_gamma(job: object, run: RunDirectory) -> None:
    from infomcr_cli.runs.measures_file import Evaluation, record_evaluation

    found = {"gamma": {"value": None, "reason": "all draws are rank-deficient"}}
    record_evaluation(run, "last", Evaluation.model_validate({"step": 4, "n_train": 100, "measures": found}))


def test_another_space_or_another_configuration_is_refused(plan: SearchPlan, folder: Path) -> None:
    carry_out(plan, folder, InProcessEngine())
    with pytest.raises(InputError, match=r"continued with the space.*sweep\.name"):
        carry_out(planned(folder, space=("optimizer.learning_rate=interval(0.01,0.6)",)), folder, InProcessEngine())
    with pytest.raises(InputError, match=r"continued with the objectives"):
        carry_out(planned(folder, "sweep.objective=validation_error"), folder, InProcessEngine())
    with pytest.raises(InputError, match=r"the runs of a search must not change.*sweep\.name"):
        carry_out(planned(folder, "schedule.epochs=5"), folder, InProcessEngine())


def test_a_journal_that_is_none_is_named(plan: SearchPlan, folder: Path) -> None:
    (folder / "sweep").mkdir()
    (folder / "sweep" / "optuna.journal").write_text("this is no journal\nat all\n")
    with pytest.raises(InputError, match=r"as Optuna writes it.*optuna\.journal"):
        carry_out(plan, folder, InProcessEngine())


def test_an_invalid_combination_is_a_failed_trial_without_a_run(folder: Path) -> None:
    plan = planned(folder, "reg=on", space=("data.batch_size=int(interval(8,64))",), trials=4)
    report = search_report(carry_out(plan, folder, InProcessEngine()))
    invalid = [one for one in report.trials if one.state == "FAIL"]
    assert invalid
    assert all(one.run is None and "must divide data.batch_size" in str(one.reason) for one in invalid)
    assert len(finished_runs(folder)) == 4 - len(invalid)
