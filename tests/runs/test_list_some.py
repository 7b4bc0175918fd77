"""`runs` keeps those of which the conditions hold, in the order of any value, with the columns that are chosen."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from infomcr_cli.errors import InputError
from infomcr_cli.list_runs import RunQuery, list_runs
from infomcr_cli.report.run_conditions import Condition, in_order, parse_condition
from infomcr_cli.report.run_list import RunList
from infomcr_cli.runs import RunDirectory, State, finished, new_status, write_status
from infomcr_cli.runs.measures_file import Evaluation, record_evaluation
from tests.conftest import CommandLine

CONFIG = """
model: {{name: wrn, depth: 10, widths: [8, 16]}}
optimizer: {{name: sgd, l2: {l2}, nesterov: true}}
reg: {{name: "{reg}"}}
schedule: {{target_loss: null}}
seed: {seed}
tracking: {{name: "off", uri: null, experiment: infomcr}}
"""
# name, regularizer, L2, seed, gamma
RUNS = (("a", "off", "5.0e-4", 0, -3.5), ("b", "on", "1.0e-4", 1, -10.0), ("c", "on", "5.0e-5", 2, None))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three finished runs; the last one has not been measured."""
    root = tmp_path / "runs"
    for name, reg, l2, seed, gamma in RUNS:
        config = CONFIG.format(reg=reg, l2=l2, seed=seed).encode()
        status = new_status(name * 64)
        run = RunDirectory.create(root / name, config=config, overrides=[], status=status)
        if gamma is not None:
            record_evaluation(run, "last", evaluation(gamma))
        write_status(run, finished(status, State.FINISHED).model_copy(update={"step": 7}))
    return root


def evaluation(gamma: float) -> Evaluation:
    scores = {"train": {"loss": 0.1, "accuracy": 1.0}, "test": {"loss": 0.3, "accuracy": 0.75}}
    gaps = {"gap": {"error": 0.25, "loss": 0.2}}
    return Evaluation.model_validate({"step": 7, **scores, **gaps, "measures": {"gamma": {"value": gamma}}})


def names(found: RunList) -> list[str]:
    return [run.run for run in found.runs]


def listed(folder: Path, *conditions: str, sort: str | None = None, columns: Sequence[str] = ()) -> RunList:
    return list_runs(folder, query=RunQuery(conditions, sort, columns))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("reg.name=on", "bc"),
        ("reg=on", "bc"),
        ("reg.name!=on", "a"),
        ("optimizer.l2>=1e-4", "ab"),
        ("optimizer.l2 > 0.0001", "a"),
        ("optimizer.l2<1e-4", "c"),
        ("optimizer.l2<=0.0001", "bc"),
        ("optimizer.l2=0.0005", "a"),
        ("seed!=1", "ac"),
        ("model.widths=[8,16]", "abc"),
        ("optimizer.nesterov=true", "abc"),
        ("schedule.target_loss=null", "abc"),
        ("state=finished", "abc"),
        ("state=LOST", ""),
        ("gamma<-5", "b"),
        ("gamma!=null", "ab"),
        ("gap_error>0.2", "ab"),
        ("test_error=0.25", "ab"),
        ("run=b", "b"),
        ("started>2020-01-01", "abc"),
        ("started<2020-01-01", ""),
        ("reg.beta>0", ""),  # a setting that there is, but not in these runs
    ],
)
def test_a_condition_keeps_the_runs_of_which_it_holds(folder: Path, condition: str, expected: str) -> None:
    assert names(listed(folder, condition)) == list(expected)


def test_all_conditions_must_hold(folder: Path) -> None:
    found = listed(folder, "reg.name=on", "optimizer.l2>=1e-4")
    assert (names(found), found.total) == (["b"], 3)


def test_equal_and_unequal_divide_the_runs(folder: Path) -> None:
    for name, value in (("gamma", "-10"), ("seed", "1"), ("reg.beta", "1"), ("optimizer.l2", "1e-4")):
        equal, other = (names(listed(folder, f"{name}{sign}{value}")) for sign in ("=", "!="))
        assert sorted(equal + other) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("gamma", "bac"), ("-gamma", "abc"), ("optimizer.l2", "cba"), ("-seed", "cba"), ("-run", "cba"), ("reg", "abc")],
)
def test_runs_without_the_value_come_last_in_both_directions(folder: Path, sort: str, expected: str) -> None:
    assert "".join(names(listed(folder, sort=sort))) == expected


def test_numbers_sort_as_numbers_and_before_texts() -> None:
    assert in_order(["x", 10, 9, None, 2.5], lambda item: item, descending=False) == [2.5, 9, 10, "x", None]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("optimizer.l3", "optimizer.l2"), ("gama", "gamma"), ("lr", "learning_rate"), ("reg.nam", "reg.name")],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(folder: Path, name: str, nearest: str) -> None:
    for query in (RunQuery([f"{name}=1"]), RunQuery(sort=name), RunQuery(columns=[name])):
        with pytest.raises(InputError, match=f"Did you mean '[a-z.]*{nearest}'"):
            list_runs(folder, query=query)


@pytest.mark.parametrize("text", ["reg", "=on", ">3", "optimizer.l2>=much", "seed<", "started>yesterday", "seed>nan"])
def test_what_states_no_condition_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_condition(text)


def test_a_value_may_hold_an_operator() -> None:
    assert parse_condition("reason=a<b=c") == Condition("reason", "=", "a<b=c")
    assert parse_condition("seed == 3") == Condition("seed", "=", "3")


def test_a_measure_taken_before_the_last_step_is_not_of_the_run(folder: Path) -> None:
    path = folder / "a" / "status.json"
    path.write_text(path.read_text().replace('"step": 7', '"step": 8'))
    assert names(listed(folder, "gamma!=null")) == ["b"]


def test_a_run_that_cannot_be_read_is_found_by_its_state_only(folder: Path) -> None:
    (folder / "a" / "config.yaml").write_text("a: [")
    assert names(listed(folder, "state=unreadable")) == ["a"]
    assert names(listed(folder, "reg.name!=on")) == []
    assert names(listed(folder, sort="-seed")) == ["c", "b", "a"]
    (folder / "b" / "measures.json").write_text("[")
    assert names(listed(folder, "gamma=null")) == ["b", "c"]


def test_only_the_chosen_runs_are_repaired(folder: Path) -> None:
    lost = new_status("ab").model_copy(update={"started": 1e9, "pid": 1})
    for name in "ab":
        write_status(RunDirectory.open(folder / name), lost)
    (repaired,) = list_runs(folder, repair=True, query=RunQuery(["reg.name=on", "state=LOST"])).runs
    assert (repaired.run, repaired.repaired) == ("b", True)
    assert '"RUNNING"' in (folder / "a" / "status.json").read_text()


def test_chosen_columns_are_shown_and_written_whole(folder: Path, command_line: CommandLine) -> None:
    words = ("--columns", "run,optimizer.l2,model.widths,optimizer.nesterov,gamma,reg", "--sort", "-gamma")
    answer = command_line("runs", "--runs-dir", str(folder), *words, "--csv", "t.csv")
    assert answer.code == 0, answer.err
    head = ["run", "optimizer.l2", "model.widths", "optimizer.nesterov", "gamma", "reg.name"]
    assert answer.out.split("\n")[0].split() == head
    rows = list(csv.reader((folder.parent / "t.csv").read_text().splitlines()))
    assert rows[0] == head
    assert rows[1:3] == [
        ["a", "0.0005", "[8, 16]", "true", "-3.5", "off"],
        ["b", "0.0001", "[8, 16]", "true", "-10.0", "on"],
    ]
    assert rows[3][4] == ""


def test_the_json_document_keeps_its_keys_and_has_the_values(folder: Path, command_line: CommandLine) -> None:
    place = ("--runs-dir", str(folder), "--json")
    plain = json.loads(command_line("runs", *place).out)["runs"][0]
    assert {"run", "path", "state", "started", "step", "epoch", "choices", "problem", "closed"} <= plain.keys()
    document = json.loads(command_line("runs", *place, "run=b", "--columns", "gamma,seed").out)
    assert [run["values"] for run in document["runs"]] == [{"gamma": -10.0, "seed": 1}]


def test_a_bad_condition_exits_2_and_writes_nothing(folder: Path, command_line: CommandLine) -> None:
    answer = command_line("runs", "reg.naem=on", "--runs-dir", str(folder), "--csv", "t.csv")
    assert answer.code == 2
    assert "Did you mean 'reg.name'?" in answer.err
    assert not (folder.parent / "t.csv").exists()


def test_formulas_in_a_run_are_text_in_the_csv_file(folder: Path, command_line: CommandLine) -> None:
    config = folder / "a" / "config.yaml"
    config.write_text(config.read_text().replace("wrn", '"=cmd()"'))
    command_line("runs", "--runs-dir", str(folder), "--columns", "model.name", "--csv", "t.csv")
    assert "'=cmd()" in (folder.parent / "t.csv").read_text()


@pytest.mark.parametrize("text", ["gamma=>3", "gamma=<9", "state=FINISHD"])
def test_what_can_never_hold_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_condition(text)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("started>=2026-11-27 23:59", False),
        ("started<20261101", False),
        ("started>=2026-11-27T08:00+02:00", True),
        ("started<2026-11-28", True),
    ],
)
def test_dates_are_compared_as_times(text: str, holds: bool) -> None:
    assert parse_condition(text).holds("2026-11-27T06:49:38+00:00") is holds
