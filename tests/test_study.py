"""The study of docs/study.md: its plan, its tables that survive the runs, its statistics and its document."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from benchmarks.generated import filled
from benchmarks.study import evaluations, sweeps
from benchmarks.study.__main__ import main as study
from benchmarks.study.compared import regularizers, same_epochs
from benchmarks.study.document import write_document
from benchmarks.study.families import NAMES, family
from benchmarks.study.minima import MINIMA, is_core, open_questions
from benchmarks.study.minima_results import minima
from benchmarks.study.pilot import PILOT
from benchmarks.study.place import Place
from benchmarks.study.plane_results import plane
from benchmarks.study.regularizers import EPOCHS, SAME_EPOCHS, SEEDS, STRENGTHS, TUNING, TUNING_SEED, best_strengths
from benchmarks.study.results import PARTS, averaged, frame_of, is_complete
from benchmarks.study.slices import Family, Levels, Slice, crossed, grid
from benchmarks.study.statistics import Interval, paired_bootstrap, partial_rho, partial_tau, ranks_within, seed_share
from benchmarks.study.tables import Table
from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.exclude import parse_exclusions
from infomcr_cli.config.grid import expand
from infomcr_cli.config.sweep_settings import split_arguments
from infomcr_cli.runs import State, finished, read_status, write_status
from infomcr_cli.runs.answers import pack_answers
from infomcr_cli.runs.lifecycle import create_run
from infomcr_cli.runs.measures_file import Evaluation, record_evaluation
from infomcr_cli.runs.metrics import MetricsLog
from tests.tolerances import CLOSED_FORM

TINY = Family(
    name="tiny",
    preset=("data=digits", "model=mlp", "model.depth=1", "model.width=8"),
    axes=("batch", "rate"),
    settings=lambda job: {
        "data.batch_size": job["batch"],
        "optimizer.learning_rate": job["rate"],
        "reg": "off",
        "seed": job["seed"],
    },
    slices=(crossed("tiny-1", {"batch": ("16", "32"), "rate": ("1e-2", "0.1"), "seed": ("0",)}),),
)


def make_run(place: Place, job: Levels, *, state: State = State.FINISHED) -> None:
    """Make the directory of a run, trained and measured if it is finished."""
    runs = place.runs / TINY.name / "runs"
    path = runs / "-".join(TINY.key(job))
    config = compose_run([*TINY.preset, *TINY.overrides(job), "tracking=off"])
    spelled = [one.replace("1e-2", "0.01") for one in TINY.overrides(job)]  # as a sweep spells a number
    run = create_run(config, spelled, path)
    write_status(run, finished(read_status(run), state))
    if state is State.FINISHED:
        values = {"train/loss": 0.4, "test/loss": 0.9, "test/accuracy": 0.75, "clean_train/loss": 0.02}
        MetricsLog(run).append(10, 1, values, {"train_seconds": 2.0, "eval_seconds": 0.5})
        record_evaluation(run, "last", evaluation_of(job))


def evaluation_of(job: Levels) -> Evaluation:
    gamma = {"value": -float(job["batch"]), "std_error": 0.5, "direction": "lower", "convention": {"draws": 2}}
    return Evaluation.model_validate({
        "step": 10,
        "train": {"loss": 0.02, "accuracy": 1.0},
        "test": {"loss": 0.9, "accuracy": 0.75},
        "gap": {"error": 0.25, "loss": 0.88},
        "n_train": 100,
        "n_test": 400,
        "measures": {"gamma": gamma},
    })  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(None, tmp_path / "runs", tmp_path / "tables")


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Levels]]:
    """Replace the sweep by one that makes run directories at once; return what it was given each time."""
    calls: list[Sequence[Levels]] = []

    def command(chosen: Family, part: Slice, due: Sequence[Levels], place: Place) -> list[str]:
        calls.append(due)
        for job in due:
            make_run(place, job)
        return [sys.executable, "-c", ""]

    monkeypatch.setattr(sweeps, "_sweep_command", command)
    return calls


def test_rows_outlive_their_run_directories(place: Place, swept: list[Sequence[Levels]]) -> None:
    assert sweeps.run_slice(TINY, TINY.slices[0], place) == 4
    before = place.table(TINY).path.read_bytes()
    shutil.rmtree(place.runs)
    assert sweeps.run_slice(TINY, TINY.slices[0], place) == 0
    assert place.table(TINY).path.read_bytes() == before
    assert [len(due) for due in swept] == [4]


def test_only_jobs_without_a_row_are_swept(place: Place, swept: list[Sequence[Levels]]) -> None:
    sweeps.run_slice(TINY, TINY.slices[0], place)
    lines = place.table(TINY).path.read_text().splitlines(keepends=True)
    place.table(TINY).path.write_text("".join(lines[:2]))
    (left,) = place.table(TINY).known()
    shutil.rmtree(place.runs)
    assert sweeps.run_slice(TINY, TINY.slices[0], place) == 3
    assert len(swept[1]) == 3
    assert {TINY.key(job) for job in swept[1]}.isdisjoint({left})


def test_a_run_lost_before_its_second_evaluation_is_trained_again(place: Place, swept: list[Sequence[Levels]]) -> None:
    twice = replace(TINY, further=lambda _: ("gamma",))
    sweeps.run_slice(twice, twice.slices[0], place)
    measured, *lacking = twice.jobs
    place.table(twice).merge([{**measured, "conventions_further": "c-1"}])
    sweeps.run_slice(twice, twice.slices[0], place)  # the runs are there: a second evaluation is all that they lack
    assert len(swept) == 1
    shutil.rmtree(place.runs)
    assert sweeps.run_slice(twice, twice.slices[0], place) == 0
    assert swept[1] == lacking


def test_a_row_holds_axes_scores_measures_errors_and_convention(place: Place, swept: list[Sequence[Levels]]) -> None:
    sweeps.run_slice(TINY, TINY.slices[0], place)
    row = place.table(TINY).known()["32", "1e-2", "0"]
    wanted = {
        "gamma": "-32",
        "gamma std_error": "0.5",
        "gamma direction": "lower",
        "gap_error": "0.25",
        "test_error": "0.25",
        "n_test": "400",
        "compute_seconds": "2.5",
        "in_verdict": "True",
        "overrides": "data.batch_size=32 optimizer.learning_rate=1e-2 reg=off seed=0",
    }
    assert {name: row[name] for name in wanted} == wanted
    conventions = json.loads((place.tables / "conventions.json").read_text())
    assert conventions[row["conventions"]]["gamma"] == {"draws": 2}


def test_a_failed_run_has_a_row_that_is_not_ranked(place: Place) -> None:
    job = TINY.jobs[0]
    make_run(place, job, state=State.FAILED)
    assert sweeps.collect(TINY, TINY.slices[0], place) == 1
    row = place.table(TINY).known()[TINY.key(job)]
    assert (row["state"], row["in_verdict"]) == ("FAILED", "False")


def test_a_second_evaluation_fills_cells_once(
    place: Place, swept: list[Sequence[Levels]], monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = replace(TINY, further=lambda _: ("gamma",), followed=lambda job: job["batch"] == "16")
    calls: list[Sequence[str]] = []

    def documents(shares: Sequence[Sequence[tuple[Levels, Path]]], settings: Sequence[str], _: Place) -> list[object]:
        calls.append(settings)
        scores = {"checkpoint": "loss-0.3", "step": 3, "train": {"loss": 0.02}, "test": {"accuracy": 0.5}}
        gamma = {"value": -7.5, "std_error": 0.5, "direction": "lower", "convention": {"logit_scale": 0.04}}
        found = [path for share in shares for _, path in share]
        return [{"run": str(path), **scores, "measures": {"gamma": gamma}} for path in found]

    monkeypatch.setattr(evaluations, "_documents", documents)
    sweeps.run_slice(twice, twice.slices[0], place)
    for _ in range(2):
        evaluations.run_further(twice, twice.slices[0], place)
        evaluations.run_trajectories(twice, twice.slices[0], place)
    rows = place.table(twice).rows()
    assert {(row["gamma_normalised"], row["gamma_normalised direction"]) for row in rows} == {("-7.5", "lower")}
    assert {row["gamma"] for row in rows} == {"-16", "-32"}
    points = evaluations.trajectories(twice, place.tables).rows()
    assert [(row["batch"], row["checkpoint"], row["gamma"]) for row in points] == [("16", "loss-0.3", "-7.5")] * 2
    assert [evaluations.LOGIT_SCALE in one for one in calls] == [True, False]
    evaluations.run_trajectories(MINIMA, MINIMA.slices[-1], place)  # its keys are not those of the table that is there
    assert len(calls) == 2


def test_a_second_evaluation_of_another_network_than_the_rows_is_refused(
    place: Place, swept: list[Sequence[Levels]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def document(shares: Sequence[Sequence[tuple[Levels, Path]]], *_: object) -> list[object]:
        return [{"run": str(path), "train": {"loss": 0.0201}, "measures": {}} for share in shares for _, path in share]

    monkeypatch.setattr(evaluations, "_documents", document)
    twice = replace(TINY, further=lambda _: ("gamma",))
    sweeps.run_slice(twice, twice.slices[0], place)
    with pytest.raises(SystemExit, match="is not the run of row tiny-"):
        evaluations.run_further(twice, twice.slices[0], place)


def test_a_sweep_of_a_slice_has_exactly_its_jobs(tmp_path: Path) -> None:
    due = MINIMA.slices[0].jobs[:5]
    arguments = split_arguments([*MINIMA.preset, *grid([MINIMA.settings(job) for job in due])], None)
    points = expand(arguments.overrides, None, parse_exclusions(arguments.sweep.exclude, None))
    found = {(point.config.optimizer.learning_rate, point.config.data.batch_size) for point in points}
    wanted = [MINIMA.settings(job) for job in due]
    assert len(points) == len(due)
    assert found == {(float(one["optimizer.learning_rate"]), int(one["data.batch_size"])) for one in wanted}


def test_a_cell_that_is_there_stays(tmp_path: Path) -> None:
    table = Table(tmp_path / "t.csv", ("a",))
    assert table.merge([{"a": "1", "gamma": "2"}, {"a": "2", "gamma": ""}]) == 2
    assert table.merge([{"a": "1", "gamma": "9", "more": "3"}, {"a": "2", "gamma": "4"}]) == 0
    assert table.rows() == [{"a": "1", "gamma": "2", "more": "3"}, {"a": "2", "gamma": "4", "more": ""}]


def test_the_plan_has_enough_minima_and_seeds() -> None:
    counts = Counter(tuple(job[axis] for axis in MINIMA.axes) for job in MINIMA.jobs)
    levels = [len({job[axis] for job in MINIMA.jobs}) for axis in MINIMA.axes]
    assert len(MINIMA.jobs) >= 216
    assert sum(levels[axis] >= 3 for axis in range(len(levels))) > len(levels) / 2
    assert sum(count > 1 for count in counts.values()) >= len(counts) / 3
    assert sum(len(part.jobs) for part in MINIMA.slices) == len(MINIMA.jobs)


def test_minima_wait_for_a_pilot_that_reached_the_target(tmp_path: Path) -> None:
    rows = [{**job, "epochs to 0.03": "40"} for job in PILOT.jobs]
    assert open_questions(rows) == []
    flips = next(row for row in rows if row["augment"] == "flips")
    flips["epochs to 0.03"] = ""  # a level that the plan dropped
    assert open_questions(rows) == []
    high = next(row for row in rows if row["learning_rate"] == "0.2")
    high["epochs to 0.03"] = ""  # a rate that the plan dropped
    assert open_questions(rows) == []
    plain = next(row for row in rows if row["augment"] == "plain" and row["learning_rate"] == "0.0707")
    plain["epochs to 0.03"] = ""
    (missed,) = open_questions(rows)
    assert f"optimizer.learning_rate={plain['learning_rate']}" in missed
    document = tmp_path / "study.md"
    document.write_text("")
    with pytest.raises(SystemExit, match="plan is not final"):
        study(
            ["run", "--only", "minima", "--runs", str(tmp_path), "--tables", str(tmp_path), "--document", str(document)]
        )


def test_status_lists_every_slice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study(["status", "--only", "minima", "--runs", str(tmp_path), "--tables", str(tmp_path)])
    assert capsys.readouterr().out.count(" 0 of ") == len(MINIMA.slices)


def test_every_axis_of_the_plan_has_minima_that_differ_in_it_alone() -> None:
    for axis in MINIMA.axes:
        rest = [name for name in MINIMA.axes if name != axis]
        groups: dict[tuple[str, ...], set[str]] = {}
        for job in MINIMA.jobs:
            groups.setdefault(tuple(job[name] for name in rest), set()).add(job[axis])
        assert any(len(found) > 1 for found in groups.values()), axis


@pytest.mark.parametrize("name", NAMES)
def test_every_slice_is_a_sweep_of_runs_that_compose(name: str, tmp_path: Path) -> None:
    chosen = family(name, tmp_path)
    for number, part in enumerate(chosen.slices):
        settings = [chosen.settings(job) for job in part.jobs]
        assert len({tuple(one) for one in settings}) == 1, part.name
        assert not {one.partition("=")[0] for one in chosen.preset} & settings[0].keys(), "a setting is given once"
        assert len({tuple(one.values()) for one in settings}) == len(settings), part.name
        if number % 10 == 0:  # composing takes a while
            compose_run([*chosen.preset, *(f"{key}={value}" for key, value in settings[-1].items())])


def test_partial_tau_is_kendalls_formula_and_its_jackknife_leaves_each_out() -> None:
    rng = np.random.default_rng(0)
    given = rng.normal(size=20)
    measure, gap = given + rng.normal(size=20), np.round(given + rng.normal(size=20), 1)

    def formula(rows: np.ndarray) -> float:
        pairs = ((measure, gap), (measure, given), (gap, given))
        mg, mc, gc = (stats.kendalltau(one[rows], other[rows]).statistic for one, other in pairs)
        return float((mg - mc * gc) / math.sqrt((1 - mc**2) * (1 - gc**2)))

    everyone = np.arange(20)
    scaled = math.atanh(formula(everyone))
    left = np.array([math.atanh(formula(np.delete(everyone, one))) for one in everyone])
    half = stats.t.ppf(0.975, 19) * (20 * scaled - 19 * left).std(ddof=1) / math.sqrt(20)
    found = partial_tau(measure, gap, given)
    wanted = (formula(everyone), math.tanh(scaled - half), math.tanh(scaled + half))
    assert (found.value, found.low, found.high) == pytest.approx(wanted, rel=CLOSED_FORM)


def test_partial_rho_is_the_correlation_of_the_residuals_of_ranks() -> None:
    rng = np.random.default_rng(0)
    given = rng.normal(size=30)
    measure, gap = (given + rng.normal(size=30) for _ in range(2))
    ranks = [stats.rankdata(one) for one in (measure, gap, given)]
    residuals = [one - np.polyval(np.polyfit(ranks[2], one, 1), ranks[2]) for one in ranks[:2]]
    found = partial_rho(measure, gap, given)
    assert found.value == pytest.approx(np.corrcoef(*residuals)[0, 1], rel=CLOSED_FORM)
    without = [partial_rho(*(np.delete(one, i) for one in (measure, gap, given))).value for i in range(30)]
    scaled = np.arctanh(np.array([one for one in without if one is not None]))
    pseudo = 30 * np.arctanh(found.value) - 29 * scaled
    half = stats.t.ppf(0.975, 29) * stats.sem(pseudo)
    assert (found.low, found.high) == pytest.approx(np.tanh(np.arctanh(found.value) + np.array([-half, half])))
    assert partial_rho(measure, gap, np.where(given > 9, given, np.nan)) == Interval(None)


def test_partial_rho_finds_nothing_in_a_measure_that_follows_the_training_loss_alone() -> None:
    false_claims = {"tau": 0, "rho": 0}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        loss = rng.normal(size=100)
        measure, gap = (share * loss + math.sqrt(1 - share**2) * rng.normal(size=100) for share in (0.9, 0.6))
        for name, partial in (("tau", partial_tau), ("rho", partial_rho)):
            low = partial(measure, gap, loss).low
            false_claims[name] += low is not None and low > 0
    assert false_claims["rho"] <= 3
    assert false_claims["tau"] >= 10  # which is why the study does not rest on it


def test_a_measure_that_is_the_training_loss_adds_nothing_to_it() -> None:
    rng = np.random.default_rng(1)
    given, gap = rng.normal(size=30), rng.normal(size=30)
    assert partial_tau(np.exp(given), gap, given).value is None
    assert partial_tau(given[:2], gap[:2], given[:2]).value is None


def test_seed_share_is_the_variance_within_settings() -> None:
    values = np.array([1.0, 3.0, 5.0, 7.0, 9.0])
    share = seed_share(values, ["a", "a", "b", "b", "c"])
    between = np.var([2.0, 6.0, 9.0], ddof=1) - 2.0 * (1 / 2 + 1 / 2 + 1) / 3
    assert share == pytest.approx(2.0 / (2.0 + between), rel=CLOSED_FORM)
    assert seed_share(values, list("abcde")) is None


@pytest.mark.parametrize("true", [0.25, 0.5, 0.8])
def test_seed_share_is_the_share_that_was_simulated(true: float) -> None:
    rng = np.random.default_rng(0)
    settings = [*range(162), *range(54)]  # as in the study: 54 settings have a second seed
    found = []
    for _ in range(300):
        between = rng.normal(0, np.sqrt(1 - true), 162)
        share = seed_share(between[settings] + rng.normal(0, np.sqrt(true), len(settings)), settings)
        assert share is not None
        found.append(share)
    assert np.mean(found) == pytest.approx(true, abs=0.02)


def test_paired_bootstrap_pairs_seeds_and_images() -> None:
    rng = np.random.default_rng(2)
    first = {str(seed): rng.random(500) < 0.6 for seed in range(5)}
    same = paired_bootstrap(first, first)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    better = {seed: correct | (rng.random(500) < 0.3) for seed, correct in first.items()}
    found = paired_bootstrap(better, first)
    errors = [np.mean(~better[seed]) - np.mean(~first[seed]) for seed in first]
    assert found.value == pytest.approx(np.mean(errors), rel=CLOSED_FORM)
    assert found.high is not None
    assert found.high < 0


def test_strengths_are_chosen_once_all_have_been_tried() -> None:
    rows = [
        {"method": method, "strength": strength, "validation_error": str(0.5 + 0.01 * abs(place - 2))}
        for method, (_, strengths) in STRENGTHS.items()
        for place, strength in enumerate(strengths)
    ]
    assert best_strengths(rows) == {method: strengths[2] for method, (_, strengths) in STRENGTHS.items()}
    assert best_strengths(rows[1:]) == {}
    assert len({len(strengths) for _, strengths in STRENGTHS.values()}) == 1


def synthetic_regularizers(tables: Path) -> dict[str, np.ndarray]:
    """Write the tables of the regularizers, in which SAM alone knows 100 images more.

    Returns:
        seed -> which images every other run classifies correctly, [400].
    """
    tried = [
        {"method": method, "strength": strength, "seed": TUNING_SEED, "validation_error": "0.5"}
        for method, (_, strengths) in STRENGTHS.items()
        for strength in strengths
    ]
    Table(tables / "tuning.csv", TUNING.keys).merge(tried)
    rng = np.random.default_rng(4)
    correct = {seed: rng.random(400) < 0.5 for seed in SEEDS}
    for name in ("regularizers", "same_epochs"):
        chosen, rows = family(name, tables), []
        for job in chosen.jobs:
            known = correct[job["seed"]] | (np.arange(400) < 100 if job.get("method") == "sam" else False)
            packed = pack_answers("digest", known)
            assert packed is not None
            scores = {"test_error": str(1 - known.mean()), "n_test": "400", "compute": "24", "test_digest": "digest"}
            scores["gamma"] = str(int(job["seed"]) ** 2 if name == "same_epochs" else 10)
            rows.append({**job, **scores, "test_answers": packed.correct})
        Table(tables / f"{name}.csv", chosen.keys).merge(rows)
    return correct


def test_regularizers_are_compared_with_off_on_the_same_images(tmp_path: Path) -> None:
    correct = synthetic_regularizers(tmp_path)
    lines = {line.split(" | ")[0].strip("| "): line for line in regularizers(tmp_path).splitlines()}
    gained = 100 * np.mean([~one[:100] for one in correct.values()]) / 4
    assert f"| -{gained:.2f} points [" in lines["sam"]
    assert "+0.00 points [+0.00, +0.00]" in lines["gradient_norm"]
    assert lines["on"].endswith("| +0.00 points [+0.00, +0.00] | – |")
    assert lines["sam"].count(f"-{gained:.2f} points [") == 2
    assert "| 1e-4 | 24 |" in lines["off"]  # of equal errors the weaker strength


def test_regularizers_are_compared_with_off_of_as_many_epochs(tmp_path: Path) -> None:
    correct = synthetic_regularizers(tmp_path)
    lines = {line.split(" | ")[0].strip("| "): line for line in same_epochs(tmp_path).splitlines()}
    gained = 100 * np.mean([~one[:100] for one in correct.values()]) / 4
    assert f"| -{gained:.2f} points [" in lines["sam"]
    assert lines["on"].startswith("| on | 10 | ")
    change = 10 - np.arange(5.0) ** 2
    low, high = stats.t.interval(0.95, 4, loc=change.mean(), scale=stats.sem(change))
    wanted = f"{change.mean():+.1f} [{low:+.1f}, {high:+.1f}]"
    assert lines["on"].endswith(f"| +0.00 points [+0.00, +0.00] | 6.0 ± 6.6 | {wanted} |")
    (tmp_path / "same_epochs.csv").unlink()
    assert "incomplete" in same_epochs(tmp_path)


@pytest.mark.parametrize("method", EPOCHS)
def test_the_epochs_of_the_methods_are_those_of_their_compute(method: str) -> None:
    key, strengths = STRENGTHS[method]
    run = compose_run([*TUNING.preset, "data.root=x", f"reg={method}", f"{key}={strengths[0]}"])
    assert str(run.schedule.epochs) == EPOCHS[method]
    assert not compose_run([*SAME_EPOCHS.preset, "data.root=x"]).schedule.match_compute
    assert {job["epochs"] for job in SAME_EPOCHS.jobs} == set(EPOCHS.values())


def synthetic_minima(tables: Path, jobs: Sequence[Levels]) -> None:
    """Write a table in which gamma follows the test error and the margin is noise.

    The confidence knows nothing but the label noise, the Hessian trace is gamma where it is measured.
    """
    rng = np.random.default_rng(3)
    levels = {axis: sorted({job[axis] for job in MINIMA.jobs}) for axis in MINIMA.axes}
    rows: list[dict[str, str]] = []
    for job in jobs:
        error = 0.5 + 0.01 * sum(levels[axis].index(job[axis]) for axis in MINIMA.axes) + 0.002 * rng.random()
        error += 0.1 * (job["label_noise"] == "0.1")
        gamma = str(100 * error + 0.05 * rng.random())
        noisy = str(float(job["label_noise"]) + 0.01 * rng.random())
        rows.append({
            "id": f"minima-{len(rows):04x}", "state": "FINISHED", "in_verdict": "True", "conventions_further": "c-1",
            **{name: job[name] for name in MINIMA.keys},
            "train_loss": str(0.009 + 0.001 * rng.random()), "n_test": "10000",
            "gap_error": str(error), "gap_error std_error": "0.005",
            "test_error": str(error), "test_error std_error": "0.005",
            "compute_seconds": "36", "compute_seconds_measures": "36",
            "gamma": gamma, "gamma std_error": "0.1", "gamma direction": "lower",
            "margin": str(rng.random()), "margin direction": "higher",
            "train_confidence": noisy, "train_confidence direction": "lower",
            "hessian_trace": gamma if is_core(job) else "", "hessian_trace direction": "lower",
            "hessian_eigenvalue": gamma if is_core(job) else "", "hessian_eigenvalue direction": "lower",
        })  # fmt: skip
    Table(tables / "minima.csv", MINIMA.keys).merge(rows)


def test_an_incomplete_table_shows_nothing_but_its_size(tmp_path: Path) -> None:
    synthetic_minima(tmp_path, MINIMA.jobs[:-1])
    text = minima(tmp_path)
    rows = f"{len(MINIMA.jobs) - 1} of {len(MINIMA.jobs)}"
    assert text == f"The table minima.csv is incomplete: {rows} rows. It shows nothing yet."
    assert "incomplete" in regularizers(tmp_path)
    assert rows in PARTS["status"](tmp_path)
    assert not is_complete(TUNING, [])


def test_a_table_without_its_second_evaluation_is_incomplete(tmp_path: Path) -> None:
    synthetic_minima(tmp_path, MINIMA.jobs)
    path = tmp_path / "minima.csv"
    path.write_text(path.read_text().replace(",c-1,", ",,", 3))
    text = minima(tmp_path)
    assert "216 of 216 rows, 3 of them without the second evaluation" in text
    assert "nothing" in text


def test_the_document_is_made_from_the_table_and_agrees_with_judge(tmp_path: Path) -> None:
    from infomcr_cli.report.judge_table import judge_file

    tables, document = tmp_path / "study", tmp_path / "study.md"
    synthetic_minima(tables, MINIMA.jobs)
    document.write_text("".join(f"<!-- generated: {name} -->\n<!-- end -->\n" for name in ("minima", "figures")))
    write_document(document, tables)
    text = document.read_text()
    found = judge_file(tables / "minima.csv", gap="gap_error", axes=MINIMA.axes).to_dict()["measures"]["gamma"]
    psi = found["granulated_psi"]
    assert f"| gamma | volume | lower | 162 | {psi['value']:.2f} [{psi['low']:.2f}, {psi['high']:.2f}]" in text
    assert psi["value"] > 0.9
    assert "Noise of the seed" in text
    for name in ("forest-gap_error.svg", "psi.svg", "measures.png"):
        assert (tables / name).stat().st_size > 1000
        assert f"study/{name}" in text
    write_document(document, tables)
    assert document.read_text() == text  # the same table gives the same document


def test_measures_of_some_minima_are_compared_on_these_alone(tmp_path: Path) -> None:
    synthetic_minima(tmp_path, MINIMA.jobs)
    whole, _, core, _, noise = minima(tmp_path).split("###")[1:]
    assert "hessian" not in whole
    rows = {
        line.split(" | ")[0].strip("| "): line.split(" | ")[3:]
        for line in core.split("By the test error")[0].splitlines()
    }
    assert rows["hessian_trace"] == rows["gamma"]
    assert rows["gamma"][0] == "36"
    assert noise.count("label_noise") == 2


def test_the_change_by_the_regularizer_is_the_mean_over_pairs_of_settings(tmp_path: Path) -> None:
    synthetic_minima(tmp_path, MINIMA.jobs)
    text = minima(tmp_path).split("### The regularizer")[1]
    settings = averaged(frame_of(tmp_path / "minima.csv"), MINIMA.axes)
    by_key: dict[tuple[object, ...], dict[str, float]] = {}
    for row in settings.to_dict("records"):
        key = tuple(row[axis] for axis in MINIMA.axes if axis != "regularizer")
        by_key.setdefault(key, {})[row["regularizer"]] = row["gamma"]
    changes = [pair["on"] - pair["off"] for pair in by_key.values() if len(pair) == 2]
    interval = stats.t.interval(0.95, len(changes) - 1, np.mean(changes), stats.sem(changes))
    assert f"over {len(changes)} pairs" in text
    assert f"`gamma`: {np.mean(changes):+.3g} [{interval[0]:+.3g}, {interval[1]:+.3g}] nats" in text


def test_a_measure_that_sees_only_the_label_noise_has_no_claim(tmp_path: Path) -> None:
    synthetic_minima(tmp_path, MINIMA.jobs)
    planned, corrected, bonferroni = (
        part.split(":")[1] for part in minima(tmp_path).split("By the plan's rule")[1].split(". ")[:3]
    )
    assert "train_confidence" in planned
    assert "train_confidence" not in corrected
    assert "gamma" in corrected
    assert "gamma" in bonferroni
    assert "margin" not in planned


def test_ranks_within_strata_are_those_of_each_alone() -> None:
    rng = np.random.default_rng(1)
    values, strata = rng.normal(size=30), np.repeat([0.0, 0.1, 0.5], 10)
    values[3] = np.nan
    found = ranks_within(values, strata)
    assert found[10:20] == pytest.approx(stats.rankdata(values[10:20]) / 11)
    assert np.isnan(found[3])
    assert found[:3] == pytest.approx(stats.rankdata(np.delete(values[:10], 3))[:3] / 10)


def test_a_higher_level_widens_an_interval_and_keeps_its_value() -> None:
    one, other, given = np.random.default_rng(1).normal(size=(3, 40))
    for partial in (partial_tau, partial_rho):
        narrow, wide = partial(one, other, given), partial(one, other, given, level=0.999)
        assert narrow.value == wide.value
        assert wide.low < narrow.low < narrow.high < wide.high


def test_the_plane_agrees_with_scipy_on_the_means_over_seeds(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parent.parent / "docs" / "study" / "plane.csv", tmp_path)
    text = plane(tmp_path)
    planned, converged, by_test_error = text.split("###")[1:]
    settings = averaged(frame_of(tmp_path / "plane.csv"), ("width", "batch_size"))
    for part, gap in ((planned, "gap_error"), (by_test_error, "test_error")):
        for name in ("gamma", "hessian_trace", "train_loss"):
            row = next(line.split(" | ") for line in part.splitlines() if line.startswith(f"| {name} |"))
            assert row[5].startswith(f"{stats.kendalltau(settings[name], settings[gap]).statistic:.2f} [")
    assert "too few for intervals" in converged
    assert "[" not in converged.partition("| --- |")[2]
    assert (tmp_path / "plane.svg").stat().st_size > 1000


def test_an_incomplete_plane_shows_nothing(tmp_path: Path) -> None:
    assert "It shows nothing yet" in plane(tmp_path)


def test_text_outside_of_generated_parts_stays() -> None:
    text = "a\n<!-- generated: b -->\nold\n<!-- end -->\nc <!-- generated: d -->\nkept<!-- end -->"
    assert filled(text, {"b": "new"}).startswith("a\n<!-- generated: b -->\n\nnew\n\n<!-- end -->\nc ")
    assert "kept" in filled(text, {"b": "new"})
