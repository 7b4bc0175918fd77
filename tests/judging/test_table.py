"""`judge` on tables: which columns are measures, which rows count, CSV in all its dialects."""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cli import CommandLine
from tolerances import CLOSED_FORM, ROUNDING

from infomcr_cli.errors import InputError
from infomcr_cli.judging.rank_correlation import tau_b
from infomcr_cli.judging.result import RankingResult
from infomcr_cli.report import judge
from infomcr_cli.report.judge_table import judge_file
from infomcr_cli.report.ranking_table import importance_table

GAPS = [0.1, 0.2, 0.4, 0.5, 0.6, 0.3]


NUMBERS = ["1", "2", "4", "5", "6", "3"]


def written(path: Path, columns: dict[str, Sequence[str]], delimiter: str = ",") -> Path:
    """A CSV file of columns of text; a cell that holds the delimiter is quoted."""
    pd.DataFrame(columns, dtype=str).to_csv(path, index=False, sep=delimiter)
    return path


def table(path: Path, **more: Sequence[str]) -> Path:
    """Six settings with a gap, a measure that ranks them perfectly, and more columns."""
    axes = {"lr": ["1", "2", "1", "2", "3", "3"], "width": ["1", "1", "2", "2", "1", "2"]}
    return written(path, {**axes, "gap": [str(gap) for gap in GAPS], "gamma": NUMBERS, **more})


def ranking_of(path: Path, **options: Any) -> dict[str, Any]:
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
def test_cell_without_a_number_excludes_its_row_from_that_measure_only(
    tmp_path: Path, cell: str, example: str | None
) -> None:
    mu = [*NUMBERS[:2], cell, *NUMBERS[3:]]
    document = ranking_of(table(tmp_path / "t.csv", mu=mu))
    assert document["n"] == 6
    found = document["measures"]["mu"]
    assert (found["n"], found["kendall_tau"]["value"]) == (5, 1.0)
    assert document["measures"]["gamma"]["n"] == 6
    assert document["left_out"]["measures"] == {"mu": {"rows": 1, "example": example}}
    (note,) = [note for note in document["notes"] if note.startswith("mu has no number in 1 of 6 rows")]
    assert example is None or example in note
    json.dumps(document, allow_nan=False)


def test_very_long_integer_is_a_number(tmp_path: Path) -> None:
    document = ranking_of(table(tmp_path / "t.csv", mu=["1", "2", "4" + "0" * 30, "5" + "0" * 30, "6" + "0" * 30, "3"]))
    assert (document["measures"]["mu"]["n"], document["measures"]["mu"]["kendall_tau"]["value"]) == (6, 1.0)
    assert document["left_out"]["measures"] == {}


def test_measure_with_words_equals_the_table_without_those_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"lr": np.repeat([1, 2, 3, 4], 5), "width": np.tile(range(5), 4)})
    frame["gap"], frame["mu"] = rng.normal(0.2, 0.1, 20), rng.normal(size=20)
    words = frame.astype({"mu": object})
    words.loc[[3, 8, 15], "mu"] = "diverged"
    one = judge(words, gap="gap", axes=["lr", "width"], n_test=500).to_dict()["measures"]["mu"]
    other = judge(frame.drop([3, 8, 15]), gap="gap", axes=["lr", "width"], n_test=500).to_dict()["measures"]["mu"]
    for statistic in ("kendall_tau", "spearman_rho", "granulated_psi", "conditional_information"):
        assert one[statistic]["value"] == pytest.approx(other[statistic]["value"], abs=ROUNDING)
    assert one["sign_error"]["mean"] == pytest.approx(other["sign_error"]["mean"], abs=ROUNDING)


def test_rows_without_a_gap_are_skipped_with_a_note(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", other=["0.1", "crashed", "", "inf", "0.6", "0.3"])
    document = ranking_of(path, gap="other")
    assert document["rows"] == 3
    assert document["left_out"]["without_gap"] == {"rows": 3, "example": "crashed"}
    assert any("3 rows without a gap (such as 'crashed')" in note for note in document["notes"])


def test_named_column_of_words_raises_with_an_example(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", word=["a"] * 6, comma=["0,5", "0,6", "0,7", "1,5", "2,5", "3,5"])
    with pytest.raises(InputError, match="column 'word' must contain numbers; got 'a'"):
        ranking_of(path, measures=["word"])
    with pytest.raises(InputError, match=r"got '0,5'. Use a decimal point: 0\.5"):
        ranking_of(path, gap="comma")


@pytest.mark.parametrize(
    "name",
    [
        "", "Unnamed: 0", "index", "idx", "id", "ID", "run", "run_id", "seed", "test_loss", "test_accuracy",
        "test_error", "train_accuracy", "train_error", "gap_error", "gap_loss", "compute", "n_test", "in_verdict",
        "gamma std_error", "gamma direction", "gamma convention",
    ],
)  # fmt: skip
def test_scores_costs_and_indices_are_measures_only_if_named(tmp_path: Path, name: str) -> None:
    values = ["lower"] * 6 if name.endswith("direction") else [str(10 * float(number)) for number in NUMBERS]
    path = table(tmp_path / "t.csv", **{name: values})
    document = ranking_of(path)
    assert set(document["measures"]) == {"gamma"}
    (column, reason), *others = document["left_out"]["columns"].items()
    assert others == []
    assert column in (name, "Unnamed: 4")
    assert any(f"{column} ({reason})" in note for note in document["notes"])
    if name and name not in ("in_verdict", "gamma direction"):
        assert set(ranking_of(path, measures=[name])["measures"]) == {name}


def test_pandas_index_columns_are_not_measures(tmp_path: Path) -> None:
    frame = pd.DataFrame({"lr": range(4), "gap": GAPS[:4], "gamma": [1.0, 2.0, 4.0, 5.0]})
    for _ in range(3):
        frame.to_csv(tmp_path / "t.csv")
        frame = pd.read_csv(tmp_path / "t.csv")
    assert [*frame.columns[:2]] == ["Unnamed: 0.2", "Unnamed: 0.1"]
    frame.to_csv(tmp_path / "t.csv")
    assert set(ranking_of(tmp_path / "t.csv", axes=["lr"])["measures"]) == {"gamma"}


def test_columns_of_mostly_words_are_not_measures(tmp_path: Path) -> None:
    commit = ["a1b2c3d", "1234567", "45e6789", "ffffff1", "0e12345", "beef123"]
    document = ranking_of(table(tmp_path / "t.csv", commit=commit, model=[f"net_{i}" for i in range(6)]))
    assert set(document["measures"]) == {"gamma"}
    words = {"commit": "mostly words such as 'a1b2c3d'", "model": "words such as 'net_0'"}
    assert document["left_out"]["columns"] == words


def test_measure_without_any_value_is_listed_without_statistics(tmp_path: Path) -> None:
    found = ranking_of(table(tmp_path / "t.csv", empty=[""] * 6))
    assert found["measures"]["empty"]["n"] == 0
    assert found["left_out"]["measures"]["empty"] == {"rows": 6, "example": None}
    assert "empty has no number in any row." in found["notes"]


def test_measure_known_only_for_unranked_rows_is_rejected_with_a_reason(tmp_path: Path) -> None:
    inside = ["True"] * 5 + ["False"]
    path = table(tmp_path / "t.csv", in_verdict=inside, mu=[""] * 5 + ["1"])
    document = ranking_of(path)
    assert (document["rows"], document["left_out"]["not_in_verdict"]) == (5, 1)
    assert document["left_out"]["columns"]["mu"] == "known only for runs that are not ranked"
    assert ranking_of(path, measures=["mu"])["measures"]["mu"]["n"] == 0


@pytest.mark.parametrize("name", ["seed", "Seed", "SEED"])
def test_seed_column_numbers_replicates_in_any_case(name: str) -> None:
    frame = pd.DataFrame({"lr": [1, 1, 2, 2, 3, 3], name: [0, 1] * 3, "gap": GAPS, "mu": range(6)})
    assert judge(frame, gap="gap", axes=["lr"]).n == 3
    assert judge(frame, gap="gap", axes=["lr", name]).n == 6


def swept(*, seeds: int, seed_step: int = 1) -> pd.DataFrame:
    """16 widths × 3 learning rates × some seeds; the gap follows the width, the measure the learning rate as well."""
    levels = np.array(list(itertools.product(range(16), range(3), range(seeds))))
    width, rate, seed = levels.T
    noise = np.random.default_rng(0).normal(size=(2, len(levels)))
    columns = {"width": 2**width, "lr": 10.0**-rate, "seed": seed * seed_step}
    return pd.DataFrame({**columns, "gap": (width + 0.1 * noise[0]) / 20, "mu": width - 8 * rate + 0.1 * noise[1]})


def has_note(ranking: RankingResult) -> bool:
    return any("have the same seed" in note for note in ranking.notes)


def test_axis_that_is_left_out_is_named_and_not_averaged_over() -> None:
    for frame in (swept(seeds=2), swept(seeds=2, seed_step=0), swept(seeds=1), swept(seeds=2).assign(in_verdict=True)):
        ranking = judge(frame, gap="gap", axes=["width"])
        assert ranking.n == len(frame)
        assert any("differ in 'lr'" in note for note in ranking.notes)
    assert judge(swept(seeds=2), gap="gap", axes=["width", "lr"]).n == 48


def test_rows_of_one_seed_are_averaged_only_in_a_table_that_lists_every_setting() -> None:
    frame = swept(seeds=2, seed_step=0).drop(columns="lr")
    ranking = judge(frame, gap="gap", axes=["width"])
    assert (ranking.n, has_note(ranking)) == (len(frame), True)
    compared = judge(frame.assign(in_verdict=True), gap="gap", axes=["width"])
    means = frame.groupby("width").mean()
    assert (compared.n, has_note(compared)) == (16, False)
    assert compared.measures[0].kendall_tau.value == pytest.approx(tau_b(means["mu"], means["gap"]))


def test_named_measure_that_repeats_its_values_is_no_axis() -> None:
    frame = swept(seeds=2)
    assert judge(frame, gap="gap", axes=["width"], measures=["lr", "mu"]).n == len(frame)


def test_smallest_test_set_is_that_of_the_ranked_rows() -> None:
    frame = swept(seeds=1).assign(train_loss=0.0, n_test=10_000)
    frame.loc[0, ["train_loss", "n_test"]] = [9.0, 10]
    axes = ["width", "lr"]
    limited = judge(frame, gap="gap", axes=axes, max_train_loss=1.0)
    assert limited.to_dict() == judge(frame, gap="gap", axes=axes, max_train_loss=1.0, n_test=10_000).to_dict()
    assert judge(frame, gap="gap", axes=axes).n_test == 10
    without_gap = frame.assign(gap=frame["gap"].where(frame.index > 0))
    assert judge(without_gap, gap="gap", axes=axes).n_test == 10_000
    assert judge(frame.assign(n_test=1e300), gap="gap", axes=axes).n_test is None


def test_nothing_to_rank_names_gaps_that_do_not_differ() -> None:
    values = {"mu": [1, 2, 3, np.nan], "other": [1, 1, 1, 2]}
    found = judge(pd.DataFrame({"lr": range(4), "gap": [0.1, 0.1, 0.1, 0.2], **values}), gap="gap", axes=["lr"])
    assert found.measures[1].kendall_tau.value is not None
    frame = pd.DataFrame({"lr": range(4), "gap": [0.1, 0.1, 0.1, 0.2], "mu": values["mu"]})
    ranking = judge(frame, gap="gap", axes=["lr"])
    assert ranking.measures[0].kendall_tau.value is None
    assert any("with gaps that are not" in note for note in ranking.notes)


def test_data_frame_cells_of_any_type_are_read() -> None:
    from decimal import Decimal

    cells = [Decimal(1), np.float32(2), " 3 ", True, None, pd.NA, pd.Timestamp("2024-01-01"), 10**400, float("nan"), 5]
    frame = pd.DataFrame({"lr": range(10), "gap": np.arange(10) / 10, "mu": pd.Series(cells, dtype=object)})
    document = judge(frame, gap="gap", axes=["lr"], measures=["mu"]).to_dict()
    assert document["left_out"]["measures"] == {"mu": {"rows": 6, "example": "True"}}
    assert document["measures"]["mu"]["n"] == 4


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_dialect_changes_nothing(tmp_path: Path, delimiter: str, end: str, encoding: str) -> None:
    rows = [["lr", "width ", " gap", "gamma"], ["1", "1", " 0.1", "3"], ["2", "1", "0.2", "4 "], ["1", "2", "0.4", "9"]]
    text = end.join(f"{delimiter} ".join(row) for row in rows) + end
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    document = ranking_of(tmp_path / "t.csv", gap=" gap", axes=["lr", " width"])
    assert (document["n"], set(document["measures"])) == (3, {"gamma"})
    assert document["measures"]["gamma"]["kendall_tau"]["value"] == 1.0


def test_command_line_strips_names_and_accepts_quoted_commas(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        'lr, width, "a, b", gap, gamma\n1, 1, 1, 0.1, 3\n2, 1, 1, 0.2, 4\n1, 2, 2, 0.4, 9\n'
    )
    answer = command_line(
        "judge", "t.csv", "--gap", " gap", "--axes", 'lr , width, "a, b"', "--measures", " gamma", "--json"
    )
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["axes"] == ["lr", "width", "a, b"]


def test_empty_tab_separated_fields_stay_empty(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("lr\tgap\ta\tb\n1\t0.1\t\t1\n2\t0.2\t2\t\n3\t0.3\t3\t3\n")
    found = ranking_of(tmp_path / "t.csv", axes=["lr"])["measures"]
    assert (found["a"]["n"], found["b"]["n"]) == (2, 2)


def test_names_are_compared_in_one_unicode_form(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", {"größe": ["1", "2", "3"], "gap": ["1", "2", "3"], "mu": ["1", "2", "3"]})
    for form in ("NFC", "NFD"):
        assert ranking_of(path, axes=[unicodedata.normalize(form, "größe")])["n"] == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("lr,gap,mu\n1,0.1,1\n".encode("utf-16"), "must be UTF-8 text"),
        (b"PK\x03\x04\xff\xfe", "must be UTF-8 text"),
        (b"\n \n", "it is empty"),
        (b"lr,width,gap\n1,1,0.1,2\n", "4 fields in row 2"),
        (b"lr,width,gap, gap\n1,1,0.1,1\n", "column names must be unique; got 'gap'"),
        (b"lr|width|gap\n1|1|2\n", "there is no such column in the table; got 'gap'"),
    ],
)
def test_malformed_table_raises_the_violated_rule(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=words):
        ranking_of(tmp_path / "t.csv")


def test_path_that_is_not_a_csv_file_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the folder"):
        ranking_of(tmp_path)
    with pytest.raises(InputError, match="that exists"):
        ranking_of(tmp_path / "none.csv")
    with pytest.raises(InputError, match="File name too long"):
        ranking_of(tmp_path / ("x" * 300))
    with pytest.raises(InputError, match="regular file"):
        ranking_of(Path("/dev/null"))


def test_direction_option_reverses_the_order_and_is_reported(command_line: CommandLine, tmp_path: Path) -> None:
    columns = {"lr": range(16), "gap": range(16), "margin": range(0, -16, -1), "weak": [*range(14), 15, 14]}
    written(tmp_path / "t.csv", {name: [str(value) for value in column] for name, column in columns.items()})
    ask = ("judge", "t.csv", "--gap", "gap", "--axes", "lr", "--measures", "margin,weak", "--json")
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
        (["lr=higher"], "--direction must name a ranked measure; got 'lr'"),
        (["gamma=lower", "gamma=higher"], "one direction"),
    ],
)
def test_invalid_direction_raises_with_a_suggestion(tmp_path: Path, directions: Sequence[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ranking_of(table(tmp_path / "t.csv"), directions=directions)


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
def test_gap_outside_the_sign_error_bound_gets_a_note(name: str, gaps: list[float], said: bool) -> None:
    frame = pd.DataFrame({"lr": [1, 2, 3], name: gaps, "mu": [1.0, 2.0, 4.0]})
    notes = judge(frame, gap=name, axes=["lr"], n_test=100).notes
    assert any("sign error assume a gap in [0, 1]" in note for note in notes) is said


def test_judge_ranks_a_plain_csv(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("lr,gap,mu,word\n1,0.1,1,a\n2,0.2,2,b\n3,0.3,3,c\n")
    document = judge_file(path, gap="gap", axes=("lr",)).to_dict()
    assert set(document["measures"]) == {"mu"}
    assert document["measures"]["mu"]["kendall_tau"]["value"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "exists"),
        ("", "CSV"),
        ("lr,gap,mu\n\n", "a row below its header"),
        ("lr,gap\n1,2\n1,2,3,4\n", "CSV"),
        (b"\xff\xfe\x00", "CSV"),
        ("lr,gap\n1,x\n", "numbers"),
        ("lr,gap,mu\n1,0.1,1,\n2,0.2,2,\n", "4 fields in row 2"),
        ("lr,gap,mu\n1,0.1,1\n\n2,0.2,2,5\n", "4 fields in row 4"),
        ("lr,gap,mu,mu\n1,0.1,1,2\n", "column names must be unique; got 'mu'"),
    ],
)
def test_unreadable_table_raises(tmp_path: Path, content: str | bytes | None, words: str) -> None:
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=words):
        judge_file(path, gap="gap", axes=("lr",))


def test_row_longer_than_the_header_exits_2(command_line: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("lr,gap,mu\n1,0.1,1,\n2,0.2,2,\n3,0.3,3,\n")
    answer = command_line("judge", "table.csv", "--gap", "gap", "--axes", "lr", "--json")
    assert (answer.code, answer.out) == (2, "")
    assert "4 fields in row 2" in answer.err


def test_short_rows_and_unnamed_columns_are_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("lr,gap,mu,more,,\n1,0.1,1,1,,\n2,0.2,2\n3,0.3,3,5,,\n")
    found = judge_file(path, gap="gap", axes=("lr",), measures=("mu", "more")).to_dict()["measures"]
    assert (found["mu"]["n"], found["more"]["n"]) == (3, 2)


def test_gap_axes_and_measures_must_be_different_columns(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("lr,gap,mu\n1,0.1,1\n2,0.2,2\n3,0.3,3\n")
    for axes, measures in ((("gap",), None), (("lr",), ("lr",)), (("lr",), ("mu", "mu"))):
        with pytest.raises(InputError, match="different columns"):
            judge_file(path, gap="gap", axes=axes, measures=measures)


@pytest.mark.parametrize("limit", ["nan", "inf", "-inf", "1e400"])
def test_limit_that_is_not_a_finite_number_exits_2(command_line: CommandLine, tmp_path: Path, limit: str) -> None:
    table(tmp_path / "t.csv", train_loss=NUMBERS)
    for words in (("judge", "t.csv", "--gap", "gap", "--axes", "lr"), ("compare", "runs")):
        answer = command_line(*words, "--max-train-loss", limit, "--json")
        assert answer.code == 2
        assert f"--max-train-loss must be a finite number; got {float(limit)}" in answer.text


@pytest.mark.parametrize("n_test", [None, 1000])
def test_weights_of_the_sign_error_are_noted_only_if_there_is_one(tmp_path: Path, n_test: int | None) -> None:
    path = table(tmp_path / "t.csv", gap_loss=[str(10 * gap) for gap in GAPS])
    notes = ranking_of(path, gap="gap_loss", n_test=n_test)["notes"]
    assert any("a gap of losses has no such bound" in note for note in notes) is (n_test is not None)
    assert any(note.startswith("No sign error") for note in notes) is (n_test is None)


def test_two_rows_give_one_sentence(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", {"lr": ["1", "2"], "gap": ["0.1", "0.2"], "mu": ["1", "2"]})
    assert ranking_of(path, axes=["lr"])["notes"] == ["No statistics: they need at least 3 minima, but there are 2."]


@pytest.mark.parametrize("seeds", [1, 2])
def test_importance_of_axes_is_shown_only_with_enough_minima_for_an_order(seeds: int) -> None:
    """8 and 16 minima; the JSON has the shares for both."""
    rng = np.random.default_rng(0)
    grid = [(a, b, c, d) for a in range(2) for b in range(2) for c in range(2) for d in range(seeds)]
    frame = pd.DataFrame(grid, columns=["a", "b", "c", "d"]).assign(
        gap=rng.normal(size=len(grid)), m=rng.normal(size=len(grid))
    )
    ranking = judge(frame, gap="gap", axes=["a", "b", "c", "d"])
    assert any(share is not None for share in ranking.importance.values())
    assert bool(importance_table(ranking).rows) == (seeds == 2)


def grid(*levels: int) -> pd.DataFrame:
    """A complete grid of axes a, b, … with a random measure and gap."""
    names = "abcd"[: len(levels)]
    frame = pd.DataFrame(itertools.product(*(range(count) for count in levels)), columns=list(names))
    rng = np.random.default_rng(0)
    return frame.assign(gap=rng.normal(size=len(frame)), mu=rng.normal(size=len(frame)))


def test_psi_has_no_interval_if_an_axis_has_few_minima() -> None:
    whole = grid(6, 8).assign(reg="off")
    one = pd.concat([whole, whole.head(1).assign(reg="on", gap=0.3, mu=0.7)], ignore_index=True)
    eight = pd.concat([whole, whole.head(8).assign(reg="on", gap=whole["mu"], mu=whole["gap"])], ignore_index=True)
    axes = ["a", "b", "reg"]
    assert judge(whole, gap="gap", axes=axes).measures[0].granulated_psi.low is not None
    assert judge(one, gap="gap", axes=axes).measures[0].granulated_psi.low is None
    assert judge(one, gap="gap", axes=axes).measures[0].kendall_tau.low is not None
    assert judge(eight, gap="gap", axes=axes).measures[0].granulated_psi.low is not None


def test_no_family_has_a_best_measure_if_too_few_minima_have_it() -> None:
    frame = grid(4, 5).assign(gamma=np.arange(20.0))
    frame = frame.assign(hessian_trace=frame["gap"].where(frame.index < 9))
    ranking = judge(frame, gap="gap", axes=["a", "b"], by_family=True)
    families = ranking.to_dict()["families"]
    assert families["curvature"] == {"best": None, "measures": ["hessian_trace"]}
    assert families["volume"]["best"] == "gamma"


def test_missing_cells_of_any_type_of_pandas_are_empty() -> None:
    frame = pd.concat([grid(4, 4).assign(seed=seed) for seed in (0, 1)], ignore_index=True)
    frame["seed"] = frame["seed"].astype(float).where(frame.index % 16 > 0)
    axes = ["a", "b"]
    plain = judge(frame, gap="gap", axes=axes)
    assert judge(frame.convert_dtypes(), gap="gap", axes=axes).to_dict() == plain.to_dict()
    assert plain.n == 16


@pytest.mark.filterwarnings("error")
def test_a_huge_gap_leaves_the_oracle_and_the_axes_defined() -> None:
    frame = grid(4, 5)
    plain = judge(frame, gap="gap", axes=["a", "b"])
    huge = judge(frame.assign(gap=1e200 * frame["gap"]), gap="gap", axes=["a", "b"])
    assert huge.importance == pytest.approx(plain.importance, rel=CLOSED_FORM)
    oracle = huge.controls[0]
    assert (oracle.n, oracle.kendall_tau.value) == (20, plain.controls[0].kendall_tau.value)


def test_a_direction_is_read_in_any_case_and_refused_if_unknown() -> None:
    frame, axes = grid(4, 5).rename(columns={"mu": "margin"}), ["a", "b"]
    found = [judge(frame.assign(**{"margin direction": one}), gap="gap", axes=axes) for one in ("higher", "Higher")]
    assert found[0].to_dict() == found[1].to_dict()
    assert found[0].measures[0].direction == "higher"
    with pytest.raises(InputError, match="must state directions"):
        judge(frame.assign(**{"margin direction": "sideways"}), gap="gap", axes=axes)


def test_an_unbalanced_quote_is_refused(tmp_path: Path) -> None:
    lines = ["name,lr,gap_error,gamma", *(f"r{number},{number},0.{number + 1},{number}" for number in range(20))]
    lines[11] = f'"{lines[11]}'
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError):
        judge_file(tmp_path / "a.csv", gap="gap_error", axes=["lr"])
