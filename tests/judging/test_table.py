"""`judge` on tables made elsewhere: what is left out is said, what is no measure is none, CSV in all its forms."""

from __future__ import annotations

import json
import unicodedata

import numpy as np
import pandas as pd
import pytest
from fake_runs import CONVENTION, config_with, evaluation, grid_of_runs, write_run

from infomcr_cli.compare import CompareOptions, compare, judge_file
from infomcr_cli.errors import InputError
from infomcr_cli.report import judge

GAPS = [0.1, 0.2, 0.4, 0.5, 0.6, 0.3]
NUMBERS = ["1", "2", "4", "5", "6", "3"]


def written(path, columns, delimiter=","):
    """A CSV file of columns of text; a cell that holds the delimiter is quoted."""
    pd.DataFrame(columns, dtype=str).to_csv(path, index=False, sep=delimiter)
    return path


def table(path, **more):
    """Six settings with a gap, a measure that ranks them perfectly, and more columns."""
    axes = {"lr": ["1", "2", "1", "2", "3", "3"], "width": ["1", "1", "2", "2", "1", "2"]}
    return written(path, {**axes, "gap": [str(gap) for gap in GAPS], "gamma": NUMBERS, **more})


def judged(path, **options):
    return judge_file(path, **{"gap": "gap", "axes": ["lr", "width"], **options}).to_dict()


@pytest.mark.parametrize(
    ("cell", "example"),
    [
        ("diverged", "diverged"),
        ("1,234.5", "1,234.5"),
        ("12.5 %", "12.5 %"),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        ("True", "True"),
        ("inf", "inf"),
        ("-inf", "-inf"),
        ("1e999", "1e999"),
        ("9" * 400, "9" * 40 + "…"),
        ("nan", "nan"),
        ("N/A", "N/A"),
        ("–", "–"),
        ("", None),
        ("   ", None),
    ],
)
def test_a_cell_that_is_no_number_costs_its_row_alone_and_is_said(tmp_path, cell, example):
    mu = [*NUMBERS[:2], cell, *NUMBERS[3:]]
    document = judged(table(tmp_path / "t.csv", mu=mu))
    assert document["n"] == 6
    found = document["measures"]["mu"]
    assert (found["n"], found["kendall_tau"]["value"]) == (5, 1.0)
    assert document["measures"]["gamma"]["n"] == 6
    assert document["left_out"]["measures"] == {"mu": {"rows": 1, "example": example}}
    (note,) = [note for note in document["notes"] if note.startswith("mu has no number in 1 of 6 rows")]
    assert example is None or example in note
    json.dumps(document, allow_nan=False)


def test_a_very_long_integer_is_a_number(tmp_path):
    document = judged(table(tmp_path / "t.csv", mu=["1", "2", "4" + "0" * 30, "5" + "0" * 30, "6" + "0" * 30, "3"]))
    assert (document["measures"]["mu"]["n"], document["measures"]["mu"]["kendall_tau"]["value"]) == (6, 1.0)
    assert document["left_out"]["measures"] == {}


def test_the_statistics_of_a_measure_with_words_are_those_of_the_table_without_these_rows(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"lr": np.repeat([1, 2, 3, 4], 5), "width": np.tile(range(5), 4)})
    frame["gap"], frame["mu"] = rng.normal(0.2, 0.1, 20), rng.normal(size=20)
    words = frame.astype({"mu": object})
    words.loc[[3, 8, 15], "mu"] = "diverged"
    one = judge(words, gap="gap", axes=["lr", "width"], n_test=500).to_dict()["measures"]["mu"]
    other = judge(frame.drop([3, 8, 15]), gap="gap", axes=["lr", "width"], n_test=500).to_dict()["measures"]["mu"]
    for statistic in ("kendall_tau", "spearman_rho", "granulated_psi", "conditional_information"):
        assert one[statistic]["value"] == pytest.approx(other[statistic]["value"], abs=1e-12)
    assert one["sign_error"]["mean"] == pytest.approx(other["sign_error"]["mean"], abs=1e-12)


def test_rows_without_a_gap_are_left_out_and_said(tmp_path):
    path = table(tmp_path / "t.csv", other=["0.1", "crashed", "", "inf", "0.6", "0.3"])
    document = judged(path, gap="other")
    assert document["rows"] == 3
    assert document["left_out"]["without_gap"] == {"rows": 3, "example": "crashed"}
    assert any("3 rows (such as 'crashed')" in note for note in document["notes"])


def test_a_named_column_without_any_number_is_refused_with_an_example(tmp_path):
    path = table(tmp_path / "t.csv", word=["a"] * 6, comma=["0,5", "0,6", "0,7", "1,5", "2,5", "3,5"])
    with pytest.raises(InputError, match="column 'word' must hold numbers; got 'a'"):
        judged(path, measures=["word"])
    with pytest.raises(InputError, match=r"got '0,5'. Write a point before decimals: 0\.5"):
        judged(path, gap="comma")


@pytest.mark.parametrize(
    "name",
    [
        "", "Unnamed: 0", "index", "idx", "id", "ID", "run", "run_id", "seed", "test_loss", "test_accuracy",
        "test_error", "train_accuracy", "train_error", "gap_error", "gap_loss", "compute", "n_test", "in_verdict",
        "gamma std_error", "gamma direction", "gamma convention",
    ],
)  # fmt: skip
def test_what_is_no_measure_by_its_name_is_none_unless_it_is_named(tmp_path, name):
    values = ["lower"] * 6 if name.endswith("direction") else [str(10 * float(number)) for number in NUMBERS]
    path = table(tmp_path / "t.csv", **{name: values})
    document = judged(path)
    assert set(document["measures"]) == {"gamma"}
    (column, reason), *others = document["left_out"]["columns"].items()
    assert others == []
    assert column in (name, "Unnamed: 4")
    assert any(f"{column} ({reason})" in note for note in document["notes"])
    if name and name not in ("in_verdict", "gamma direction"):
        assert set(judged(path, measures=[name])["measures"]) == {name}


def test_an_index_that_was_saved_twice_is_no_measure(tmp_path):
    frame = pd.DataFrame({"lr": range(4), "gap": GAPS[:4], "gamma": [1.0, 2.0, 4.0, 5.0]})
    for _ in range(3):
        frame.to_csv(tmp_path / "t.csv")
        frame = pd.read_csv(tmp_path / "t.csv")
    assert [*frame.columns[:2]] == ["Unnamed: 0.2", "Unnamed: 0.1"]
    frame.to_csv(tmp_path / "t.csv")
    assert set(judged(tmp_path / "t.csv", axes=["lr"])["measures"]) == {"gamma"}


def test_columns_of_words_are_no_measures_even_where_some_look_like_numbers(tmp_path):
    commit = ["a1b2c3d", "1234567", "45e6789", "ffffff1", "0e12345", "beef123"]
    document = judged(table(tmp_path / "t.csv", commit=commit, model=[f"net_{i}" for i in range(6)]))
    assert set(document["measures"]) == {"gamma"}
    words = {"commit": "mostly words such as 'a1b2c3d'", "model": "words such as 'net_0'"}
    assert document["left_out"]["columns"] == words


def test_a_measure_with_no_value_at_all_is_listed_without_statistics(tmp_path):
    found = judged(table(tmp_path / "t.csv", empty=[""] * 6))
    assert found["measures"]["empty"]["n"] == 0
    assert found["left_out"]["measures"]["empty"] == {"rows": 6, "example": None}
    assert "empty has no number in any row." in found["notes"]


def test_a_measure_that_is_known_outside_the_verdict_alone_is_said(tmp_path):
    inside = ["True"] * 5 + ["False"]
    path = table(tmp_path / "t.csv", in_verdict=inside, mu=[""] * 5 + ["1"])
    document = judged(path)
    assert (document["rows"], document["left_out"]["not_in_verdict"]) == (5, 1)
    assert document["left_out"]["columns"]["mu"] == "known outside the verdict alone"
    assert judged(path, measures=["mu"])["measures"]["mu"]["n"] == 0


@pytest.mark.parametrize("name", ["seed", "Seed", "SEED"])
def test_a_seed_numbers_replicates_however_it_is_written(name):
    frame = pd.DataFrame({"lr": [1, 1, 2, 2, 3, 3], name: [0, 1] * 3, "gap": GAPS, "mu": range(6)})
    assert judge(frame, gap="gap", axes=["lr"]).n == 3
    assert judge(frame, gap="gap", axes=["lr", name]).n == 6


def test_cells_of_any_type_of_a_data_frame_are_read():
    from decimal import Decimal

    cells = [Decimal(1), np.float32(2), " 3 ", True, None, pd.NA, pd.Timestamp("2024-01-01"), 10**400, float("nan"), 5]
    frame = pd.DataFrame({"lr": range(10), "gap": np.arange(10) / 10, "mu": pd.Series(cells, dtype=object)})
    document = judge(frame, gap="gap", axes=["lr"], measures=["mu"]).to_dict()
    assert document["left_out"]["measures"] == {"mu": {"rows": 6, "example": "True"}}
    assert document["measures"]["mu"]["n"] == 4


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_spaces_delimiters_line_ends_and_byte_order_marks_change_nothing(tmp_path, delimiter, end, encoding):
    rows = [["lr", "width ", " gap", "gamma"], ["1", "1", " 0.1", "3"], ["2", "1", "0.2", "4 "], ["1", "2", "0.4", "9"]]
    text = end.join(f"{delimiter} ".join(row) for row in rows) + end
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    document = judged(tmp_path / "t.csv", gap=" gap", axes=["lr", " width"])
    assert (document["n"], set(document["measures"])) == (3, {"gamma"})
    assert document["measures"]["gamma"]["kendall_tau"]["value"] == 1.0


def test_the_command_line_strips_names_and_takes_commas_in_quotes(command_line, tmp_path):
    (tmp_path / "t.csv").write_text(
        'lr, width, "a, b", gap, gamma\n1, 1, 1, 0.1, 3\n2, 1, 1, 0.2, 4\n1, 2, 2, 0.4, 9\n'
    )
    answer = command_line(
        "judge", "t.csv", "--gap", " gap", "--axes", 'lr , width, "a, b"', "--measures", " gamma", "--json"
    )
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["axes"] == ["lr", "width", "a, b"]


def test_empty_fields_of_a_table_with_tabs_stay_empty(tmp_path):
    (tmp_path / "t.csv").write_text("lr\tgap\ta\tb\n1\t0.1\t\t1\n2\t0.2\t2\t\n3\t0.3\t3\t3\n")
    found = judged(tmp_path / "t.csv", axes=["lr"])["measures"]
    assert (found["a"]["n"], found["b"]["n"]) == (2, 2)


def test_names_of_another_unicode_form_are_the_same_names(tmp_path):
    path = written(tmp_path / "t.csv", {"größe": ["1", "2", "3"], "gap": ["1", "2", "3"], "mu": ["1", "2", "3"]})
    for form in ("NFC", "NFD"):
        assert judged(path, axes=[unicodedata.normalize(form, "größe")])["n"] == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("lr,gap,mu\n1,0.1,1\n".encode("utf-16"), "must be text in UTF-8"),
        (b"PK\x03\x04\xff\xfe", "must be text in UTF-8"),
        (b"\n \n", "it is empty"),
        (b"lr,width,gap\n1,1,0.1,2\n", "4 fields in row 2"),
        (b"lr,width,gap, gap\n1,1,0.1,1\n", "names of their own; got 'gap'"),
        (b"lr|width|gap\n1|1|2\n", "a column must be in the table; got 'gap'"),
    ],
)
def test_a_table_of_another_kind_is_refused_by_the_rule_that_it_breaks(tmp_path, content, words):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=words):
        judged(tmp_path / "t.csv")


def test_a_table_that_is_no_file_is_refused_by_what_it_is(tmp_path):
    with pytest.raises(InputError, match="the folder"):
        judged(tmp_path)
    with pytest.raises(InputError, match="that exists"):
        judged(tmp_path / "none.csv")
    with pytest.raises(InputError, match="File name too long"):
        judged(tmp_path / ("x" * 300))
    with pytest.raises(InputError, match="plain file"):
        judged("/dev/null" and type(tmp_path)("/dev/null"))


def test_a_direction_turns_the_order_and_is_reported(command_line, tmp_path):
    table(tmp_path / "t.csv", margin=[str(-gap) for gap in GAPS], weak=["1", "2", "4", "3", "6", "5"])
    ask = ("judge", "t.csv", "--gap", "gap", "--axes", "lr,width", "--measures", "margin,weak", "--json")
    plain = json.loads(command_line(*ask).out)["measures"]
    turned = json.loads(command_line(*ask, "--direction", "margin=higher", "--direction", "weak=lower").out)["measures"]
    assert ([*plain], [*turned]) == (["weak", "margin"], ["margin", "weak"])
    assert (turned["margin"]["direction"], turned["weak"]["direction"]) == ("higher", "lower")
    assert turned["margin"]["kendall_tau"] == plain["margin"]["kendall_tau"]


@pytest.mark.parametrize(
    ("directions", "words"),
    [
        (["gama=higher"], "got 'gama'. Accepted: gamma. Did you mean 'gamma'"),
        (["gamma=hihger"], "got 'hihger'. Accepted: lower, higher. Did you mean 'higher'"),
        (["gamma"], "must be NAME=lower or NAME=higher; got 'gamma'"),
        (["lr=higher"], "a direction must be of a measure that is judged; got 'lr'"),
        (["gamma=lower", "gamma=higher"], "one direction"),
    ],
)
def test_a_mistaken_direction_is_refused_with_the_way_out(tmp_path, directions, words):
    with pytest.raises(InputError, match=words):
        judged(table(tmp_path / "t.csv"), directions=directions)


@pytest.mark.parametrize(
    ("name", "gaps", "said"),
    [
        ("gap_loss", [0.1, 0.2, 0.3], True),
        ("Loss gap", [0.1, 0.2, 0.3], True),
        ("g", [0.1, 0.2, 1.3], True),
        ("g", [-0.1, 0.2, 0.3], True),
        ("g", [0.1, 0.2, 0.3], False),
        ("gap_error", [-0.01, 0.2, 0.3], False),  # of error rates, as `compare --csv` writes it
        ("gap_error", [-1.01, 0.2, 0.3], True),
    ],
)
def test_a_gap_without_the_bound_of_the_sign_error_is_said(name, gaps, said):
    frame = pd.DataFrame({"lr": [1, 2, 3], name: gaps, "mu": [1.0, 2.0, 4.0]})
    notes = judge(frame, gap=name, axes=["lr"], n_test=100).notes
    assert any("sign error assume a gap in [0, 1]" in note for note in notes) is said


def without_notes(document):
    """The part of a document that a table can give again."""
    keys = ("n", "rows", "n_test", "seed", "resamples", "confidence", "rank_by", "significant_digits")
    return {key: document[key] for key in (*keys, "measures", "references")}


def test_a_table_that_compare_wrote_is_judged_as_compare_did(command_line, tmp_path):
    grid_of_runs(tmp_path / "runs")
    command_line("compare", "runs", "--csv", "t.csv", "--sort", "noise", "--no-tracking")
    compared = json.loads(command_line("compare", "runs", "--no-tracking", "--json").out)
    axes = ",".join(compared["axes"])
    again = json.loads(command_line("judge", "t.csv", "--gap", "gap_error", "--axes", axes, "--json").out)
    assert without_notes(again) == without_notes(compared)
    assert again["measures"]["gamma"]["direction"] == "lower"
    assert again["n_test"] == 400


@pytest.mark.parametrize("gap", ["error", "loss", "test_error"])
def test_a_table_with_everything_in_it_is_judged_as_compare_did(tmp_path, gap):
    """Runs apart, missing values, a mixture, directions, absent and empty settings, hostile and reserved names."""
    rng = np.random.default_rng(0)
    for index in range(12):
        names = ("gamma", "margin", "compute", "test_sharpness", "optimizer.l2", "=cmd()", "twin")
        measures = {name: float(rng.normal()) for name in names}
        convention = CONVENTION | {"draws": 100 if index == 3 else 10}
        missed = {"reached_target": index != 7}
        found = evaluation(
            float(rng.integers(0, 5)) / 20, measures, convention=convention, n_test=300 + index, **missed
        )
        found["measures"]["margin"]["direction"] = "higher"
        found["measures"]["twin"] = found["measures"]["gamma"]
        found["measures"]["train_loss"] = {"value": float(rng.normal()), "convention": {"batch_norm": "inference"}}
        if index % 4 == 0:
            found["measures"]["gamma"] = {"value": None}
            del found["measures"]["compute"]
        if index == 7:
            found["measures"]["apart_alone"] = {"value": 1.0}
        changes = {
            "optimizer__l2": (0.1 * 3, 0.3, 0.5)[index % 3],
            "model__name": ("null", "1e-3", "=a", "-b")[index // 3],
        }
        config = config_with(**changes, seed=index % 2)
        if index in (1, 2):
            del config["model"]["widths"]
        else:
            config["model"]["widths"] = None if index % 5 else [8, 16]
        write_run(tmp_path / "runs" / f"-r{index}", config, {"last": found})
    options = CompareOptions(
        (str(tmp_path / "runs"),), gap=gap, allow_mixed=True, csv=tmp_path / "t.csv", sort="margin"
    )
    compared = compare(options).to_dict()
    column = gap if gap == "test_error" else f"gap_{gap}"
    again = judge_file(tmp_path / "t.csv", gap=column, axes=list(compared["axes"])).to_dict()
    assert without_notes(again) == without_notes(compared)
    assert again["left_out"]["not_in_verdict"] == 1
    assert again["left_out"]["measures"].keys() == compared["left_out"]["measures"].keys()
    assert any("different conventions" in note for note in again["notes"])


def test_float_settings_that_differ_by_rounding_are_one_level_of_a_comparison(tmp_path):
    for index, lr in enumerate((0.1 * 3, 0.3, 0.7, 0.1 * 7)):
        config = config_with(optimizer__learning_rate=lr, optimizer__l2=index % 2 / 10)
        write_run(tmp_path / f"r{index}", config, {"last": evaluation(index / 10, {"gamma": float(index)})})
    document = compare(CompareOptions((str(tmp_path),))).to_dict()
    assert document["axes"]["optimizer.learning_rate"]["values"] == ["0.30000000000000004", "0.7"]
    assert document["measures"]["gamma"]["granulated_psi"]["groups"] == {
        "optimizer.l2": 2,
        "optimizer.learning_rate": 2,
    }


def test_a_measure_without_a_value_in_some_runs_is_said_by_compare(tmp_path):
    for index in range(4):
        found = evaluation(index / 10, {"gamma": float(index), **({"rare": 1.0} if index < 3 else {})})
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 10), {"last": found})
    document = compare(CompareOptions((str(tmp_path),))).to_dict()
    assert document["left_out"]["measures"] == {"rare": {"rows": 1, "example": None}}
    assert any(note.startswith("rare has no number in 1 of 4 rows") for note in document["notes"])
