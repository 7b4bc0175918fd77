"""Ranking statistics against plain Python, SciPy and closed forms."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import reference_statistics as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tolerances import CLOSED_FORM, STOCHASTIC

from infomcr_cli.errors import InputError
from infomcr_cli.judging import conditional_information
from infomcr_cli.judging.rank_correlation import spearman_rho, tau_b
from infomcr_cli.judging.sign_error import pair_weights
from infomcr_cli.report import judge

AXES = ["width", "lr", "batch"]


def random_table(seed: int, *, ties: bool, full: bool = True) -> pd.DataFrame:
    """A grid of 3·2·3 runs (or two thirds of it) with a gap of a few per cent and three measures."""
    rng = np.random.default_rng(seed)
    grid = [(w, f"lr{r}", b) for w in (1, 2, 4) for r in (0.1, 0.2) for b in (32, 64, 128)]
    rows = [row for row in grid if full or rng.random() < 0.67]
    frame = pd.DataFrame(rows, columns=AXES)
    frame["gap"] = rng.normal(0.1, 0.05, len(rows))
    frame["noise"] = rng.normal(size=len(rows))
    frame["follows"] = frame["gap"] + 0.03 * rng.normal(size=len(rows))
    frame["capacity"] = np.log(frame["width"]) + 0.0
    return frame.round({"gap": 2, "noise": 1, "follows": 2}) if ties else frame


def rows_of(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    return [tuple(row) for row in frame[AXES].itertuples(index=False)]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_every_statistic_equals_its_definition_counted_pair_by_pair(seed: int, ties: bool, full: bool) -> None:
    frame = random_table(seed, ties=ties, full=full)
    document = judge(frame, gap="gap", axes=AXES, n_test=2000, resamples=50).to_dict()
    assert document["n"] == len(frame)
    assert set(document["measures"]) == {"noise", "follows", "capacity"}
    for name, found in document["measures"].items():
        rows, mu, g = rows_of(frame), frame[name].tolist(), frame["gap"].tolist()
        assert found["kendall_tau"]["value"] == pytest.approx(reference.tau_b(mu, g), abs=CLOSED_FORM)
        assert found["kendall_tau"]["value"] == pytest.approx(stats.kendalltau(mu, g).statistic, abs=CLOSED_FORM)
        assert found["spearman_rho"]["value"] == pytest.approx(stats.spearmanr(mu, g).statistic, abs=CLOSED_FORM)
        psi, by_axis = reference.psi(rows, mu, g)
        assert found["granulated_psi"]["value"] == pytest.approx(psi, abs=CLOSED_FORM)
        assert list(found["granulated_psi"]["axes"].values()) == pytest.approx(list(by_axis.values()), abs=CLOSED_FORM)
        k, share = reference.information(rows, mu, g)
        assert found["conditional_information"]["value"] == pytest.approx(k, abs=CLOSED_FORM)
        assert found["conditional_information"]["pairs_used"] == pytest.approx(share, abs=CLOSED_FORM)
        mean, q90, top, pairs = reference.sign_error(rows, mu, g, 2000)
        assert found["sign_error"]["pairs"] == pairs
        assert [found["sign_error"][key] for key in ("mean", "q90", "max")] == pytest.approx(
            [mean, q90, top], abs=CLOSED_FORM
        )


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 1)), min_size=3, max_size=12))
@settings(max_examples=60, deadline=None)
def test_statistics_of_tied_and_duplicate_rows_equal_their_definition(values: list[tuple[int, int, int]]) -> None:
    frame = pd.DataFrame(values, columns=["mu", "gap", "axis"])
    found = judge(frame, gap="gap", axes=["axis"], n_test=10, resamples=5).to_dict()["measures"]["mu"]
    rows, mu, g = [(row[2],) for row in values], frame["mu"].tolist(), frame["gap"].tolist()
    assert found["kendall_tau"]["value"] == pytest.approx(reference.tau_b(mu, g), abs=CLOSED_FORM)
    assert found["granulated_psi"]["value"] == pytest.approx(reference.psi(rows, mu, g)[0], abs=CLOSED_FORM)
    k, _ = reference.information(rows, mu, g)
    assert found["conditional_information"]["value"] == pytest.approx(k, abs=CLOSED_FORM)
    assert found["sign_error"]["mean"] == pytest.approx(reference.sign_error(rows, mu, g, 10)[0], abs=CLOSED_FORM)
    json.dumps(found, allow_nan=False)


def test_correlation_with_a_constant_is_nan_and_ranks_do_not_overflow() -> None:
    assert math.isnan(tau_b(np.ones(4), np.arange(4)))
    assert math.isnan(spearman_rho(np.ones(4), np.arange(4)))
    huge = np.array([-1.7e308, 0.0, 1.7e308])
    assert tau_b(huge, np.arange(3)) == pytest.approx(1.0)


def test_perfect_measure_has_statistics_of_one_and_its_negative_of_minus_one() -> None:
    frame = random_table(0, ties=False)[[*AXES, "gap"]]
    frame["perfect"], frame["opposite"] = frame["gap"], -frame["gap"]
    found = judge(frame, gap="gap", axes=AXES, n_test=5000).to_dict()["measures"]
    for name, sense in (("perfect", 1.0), ("opposite", -1.0)):
        one = found[name]
        bounds = sorted([one["kendall_tau"]["low"], one["kendall_tau"]["high"]], key=abs)
        assert one["kendall_tau"]["value"] == pytest.approx(sense)
        assert bounds[1] == sense
        assert 0.6 < sense * bounds[0] < 0.95  # 18 minima in perfect order do not prove that τ is 1
        assert one["spearman_rho"]["value"] == pytest.approx(sense)
        assert one["granulated_psi"]["value"] == pytest.approx(sense)
        assert one["conditional_information"]["value"] == pytest.approx(1.0)
        assert one["sign_error"]["mean"] == one["sign_error"]["max"] == (1 - sense) / 2
    assert list(found) == ["perfect", "opposite"]


def test_measure_that_follows_one_axis_has_high_tau_and_low_psi() -> None:
    frame = random_table(3, ties=False)[AXES]
    rng = np.random.default_rng(3)
    frame["gap"] = frame["width"] * 0.1 + 0.01 * rng.normal(size=18)
    frame["capacity"] = frame["width"] * 7.0
    found = judge(frame, gap="gap", axes=AXES, n_test=5000).to_dict()["measures"]["capacity"]
    assert found["kendall_tau"]["value"] > 0.8
    assert found["granulated_psi"]["axes"] == {"width": 1.0, "lr": 0.0, "batch": 0.0}
    assert found["granulated_psi"]["value"] == pytest.approx(1 / 3)
    assert found["conditional_information"]["pairs_used"] == pytest.approx(1 - 45 / 153)  # constant within a width


def test_constant_and_missing_measures_give_null_never_nan() -> None:
    frame = random_table(1, ties=False)
    frame["constant"], frame["absent"] = 2.0, np.nan
    frame.loc[:3, "follows"] = np.nan
    frame.loc[4, "noise"] = np.inf
    document = judge(frame, gap="gap", axes=AXES, n_test=2000).to_dict()
    json.dumps(document, allow_nan=False)
    found = document["measures"]
    assert found["constant"]["kendall_tau"]["value"] is None
    assert found["constant"]["spearman_rho"]["low"] is None
    assert found["constant"]["granulated_psi"]["value"] == 0.0
    assert found["constant"]["conditional_information"]["value"] is None
    assert found["constant"]["conditional_information"]["pairs_used"] == 0.0
    assert found["constant"]["sign_error"]["mean"] == 0.5
    assert found["absent"]["granulated_psi"]["value"] is None
    assert (found["follows"]["n"], found["noise"]["n"], found["absent"]["n"]) == (14, 17, 0)


def test_missing_values_equal_dropping_the_rows() -> None:
    frame = random_table(2, ties=True)[[*AXES, "gap", "follows"]]
    frame.loc[[1, 5, 6, 11], "follows"] = np.nan
    whole = judge(frame, gap="gap", axes=AXES, n_test=2000).to_dict()["measures"]["follows"]
    kept = judge(frame.dropna(), gap="gap", axes=AXES, n_test=2000).to_dict()["measures"]["follows"]
    for statistic in ("kendall_tau", "spearman_rho", "granulated_psi", "conditional_information"):
        assert whole[statistic]["value"] == pytest.approx(kept[statistic]["value"], abs=CLOSED_FORM)
    for key in ("mean", "q90", "max", "pairs"):
        assert whole["sign_error"][key] == pytest.approx(kept["sign_error"][key], abs=CLOSED_FORM)


def test_psi_skips_groups_of_constant_gap_and_counts_constant_measures_as_zero() -> None:
    frame = pd.DataFrame(
        {
            "lr": [1, 2, 1, 2, 1, 2],
            "width": [1, 1, 2, 2, 3, 3],
            "gap": [0.1, 0.2, 0.3, 0.3, 0.4, 0.5],
            "mu": [1.0, 2.0, 3.0, 4.0, 5.0, 5.0],
        }
    )
    found = judge(frame, gap="gap", axes=["lr", "width"]).to_dict()["measures"]["mu"]["granulated_psi"]
    assert found["axes"]["lr"] == pytest.approx(0.5)
    assert found["groups"] == {"lr": 2, "width": 2}


def test_replicate_seeds_are_averaged_before_ranking() -> None:
    frame = random_table(4, ties=False)
    two = ((0, -0.01), (1, 0.01))
    shifted = [frame.assign(seed=s, gap=frame["gap"] + d, noise=frame["noise"] + 5 * d) for s, d in two]
    repeated = judge(pd.concat(shifted), gap="gap", axes=AXES, n_test=2000).to_dict()
    single = judge(frame, gap="gap", axes=AXES, n_test=2000).to_dict()
    assert (repeated["n"], repeated["rows"]) == (18, 36)
    assert "seed" not in repeated["measures"]
    for name, one in single["measures"].items():
        other = repeated["measures"][name]
        assert other["kendall_tau"]["value"] == pytest.approx(one["kendall_tau"]["value"], abs=CLOSED_FORM)
        assert other["granulated_psi"]["axes"] == pytest.approx(one["granulated_psi"]["axes"], abs=CLOSED_FORM)


def test_two_settings_with_several_seeds_give_tau_and_rho_over_single_runs() -> None:
    frame = pd.DataFrame({"reg": ["on"] * 3 + ["off"] * 3, "seed": [0, 1, 2] * 2, "gap": [1, 2, 4, 3, 5, 6]})
    frame["mu"] = [1.0, 3.0, 2.0, 4.0, 5.0, 6.0]
    document = judge(frame, gap="gap", axes=["reg"], n_test=100).to_dict()
    found = document["measures"]["mu"]
    assert document["n"] == 6
    assert found["kendall_tau"]["value"] == pytest.approx(stats.kendalltau(frame["mu"], frame["gap"]).statistic)
    assert found["granulated_psi"] == {
        "value": None,
        "low": None,
        "high": None,
        "axes": {"reg": None},
        "groups": {"reg": 0},
    }
    assert found["conditional_information"]["value"] is found["sign_error"]["mean"] is None
    assert "only 2 settings" in document["notes"][0]


def test_psi_of_one_axis_equals_tau() -> None:
    frame = pd.DataFrame({"lr": range(9), "gap": np.arange(9) % 4, "mu": [3, 1, 4, 1, 5, 9, 2, 6, 5]})
    found = judge(frame, gap="gap", axes=["lr"], n_test=10).to_dict()["measures"]["mu"]
    assert found["granulated_psi"]["value"] == pytest.approx(found["kendall_tau"]["value"], abs=CLOSED_FORM)


def test_fewer_than_three_minima_give_null_statistics_and_a_note() -> None:
    frame = pd.DataFrame({"lr": [1, 2], "gap": [0.1, 0.2], "mu": [1.0, 2.0]})
    document = judge(frame, gap="gap", axes=["lr"], n_test=100).to_dict()
    assert document["measures"]["mu"]["kendall_tau"]["value"] is None
    assert document["measures"]["mu"]["sign_error"]["mean"] is None
    assert "at least 3" in document["notes"][0]


def test_sign_error_is_null_without_a_test_set_size() -> None:
    document = judge(random_table(0, ties=False), gap="gap", axes=AXES).to_dict()
    assert document["measures"]["noise"]["sign_error"]["mean"] is None
    assert any("n_test" in note for note in document["notes"])


@pytest.mark.parametrize(("difference", "n", "expected"), [(0.0, 100, 0.0), (1.0, 10**6, 0.5), (0.1, 2000, None)])
def test_pair_weight_equals_its_closed_form(difference: float, n: int, expected: Any) -> None:
    v = max(0.0, 1 - 2 * math.exp(-2 * n * (difference / 2) ** 2)) ** 2
    assert pair_weights(np.array([difference]), n)[0] == pytest.approx(max(0.0, v - 0.5), abs=CLOSED_FORM)
    if expected is not None:
        assert pair_weights(np.array([difference]), n)[0] == pytest.approx(expected, abs=CLOSED_FORM)


def test_seed_changes_simulated_p_values_and_leaves_statistics_and_their_intervals() -> None:
    frame = random_table(5, ties=False)
    one, again, other = (judge(frame, gap="gap", axes=AXES, n_test=2000, seed=s).to_dict() for s in (1, 1, 2))
    assert one == again
    assert one["measures"]["noise"]["kendall_tau"] == other["measures"]["noise"]["kendall_tau"]
    behind = [found["measures"]["capacity"]["against_best"] for found in (one, other)]
    assert behind[0]["difference"] == behind[1]["difference"]
    assert behind[0]["p_value"] != behind[1]["p_value"]


def test_row_order_changes_no_value() -> None:
    frame = random_table(6, ties=True)
    one = judge(frame, gap="gap", axes=AXES, n_test=2000).to_dict()["measures"]
    other = judge(frame.sample(frac=1, random_state=0), gap="gap", axes=AXES, n_test=2000).to_dict()["measures"]
    for name in one:
        for statistic, key in (("kendall_tau", "value"), ("granulated_psi", "value"), ("sign_error", "q90")):
            assert one[name][statistic][key] == pytest.approx(other[name][statistic][key], abs=CLOSED_FORM)


def test_interval_of_tau_covers_the_true_value() -> None:
    rng, rho, hits = np.random.default_rng(0), 0.6, 0
    truth = 2 / math.pi * math.asin(rho)  # Kendall's tau of a bivariate normal
    for seed in range(60):
        x, z = rng.normal(size=(2, 60))
        frame = pd.DataFrame({"mu": x, "gap": rho * x + math.sqrt(1 - rho**2) * z, "axis": range(60)})
        tau = judge(frame, gap="gap", axes=["axis"], seed=seed, resamples=200).measures[0].kendall_tau
        hits += tau.low <= truth <= tau.high
    assert hits >= 53


def test_paired_difference_is_significant_for_a_bad_measure_and_not_for_a_twin() -> None:
    frame = random_table(7, ties=False)[[*AXES, "gap"]]
    rng = np.random.default_rng(0)
    frame["good"] = frame["gap"] + 0.02 * rng.normal(size=18)
    frame["twin"] = frame["good"] * 2 + 1e-9 * rng.normal(size=18)
    frame["bad"] = -frame["gap"] + 0.02 * rng.normal(size=18)
    by_name = {one.name: one for one in judge(frame, gap="gap", axes=AXES).measures}
    best = next(one for one in by_name.values() if one.against_best is None)
    assert best.name in ("good", "twin")
    twin = by_name["twin" if best.name == "good" else "good"]
    assert not twin.against_best.significant
    assert by_name["bad"].against_best.significant
    assert by_name["bad"].against_best.low > 0.4


def test_direction_changes_the_order_and_not_the_reported_value() -> None:
    frame = random_table(8, ties=False)[[*AXES, "gap"]]
    frame["falls"] = -frame["gap"]
    frame["weak"] = frame["gap"] + 0.1 * np.random.default_rng(0).normal(size=18)
    ranking = judge(frame, gap="gap", axes=AXES, directions={"falls": "higher"})
    assert [one.name for one in ranking.measures] == ["falls", "weak"]
    assert ranking.measures[0].kendall_tau.value == pytest.approx(-1.0)


@pytest.mark.parametrize("rank_by", ["spearman_rho", "granulated_psi", "conditional_information", "sign_error"])
def test_measures_can_be_ranked_by_any_statistic(rank_by: str) -> None:
    ranking = judge(random_table(9, ties=False), gap="gap", axes=AXES, n_test=2000, rank_by=rank_by)
    values = [one.oriented(rank_by) for one in ranking.measures]
    assert values == sorted(values, reverse=True)


def test_oracle_control_is_near_one_and_random_control_near_zero() -> None:
    ranking = judge(random_table(10, ties=False), gap="gap", axes=AXES, n_test=5000)
    oracle, noise = ranking.controls
    assert (oracle.name, noise.name) == ("oracle", "random")
    assert oracle.kendall_tau.value > 0.8
    assert noise.kendall_tau.low < 0 < noise.kendall_tau.high


def test_conditional_information_is_exact_up_to_2000_minima_and_takes_2_million_pairs_of_more() -> None:
    assert conditional_information.EXACT_UP_TO == 2000
    assert conditional_information.SAMPLED_PAIRS == 2_000_000


def test_sampled_conditional_information_approximates_the_exact_value(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = random_table(11, ties=False)
    exact = judge(frame, gap="gap", axes=AXES).to_dict()["measures"]["follows"]["conditional_information"]
    monkeypatch.setattr("infomcr_cli.judging.conditional_information.EXACT_UP_TO", 5)
    sampled = judge(frame, gap="gap", axes=AXES).to_dict()["measures"]["follows"]["conditional_information"]
    assert (exact["sampled"], sampled["sampled"]) == (False, True)
    assert sampled["value"] == pytest.approx(exact["value"], abs=STOCHASTIC)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gap": "gpa"}, "Did you mean 'gap'"),
        ({"axes": ["widht"]}, "Did you mean 'width'"),
        ({"axes": ["lr", "lr"]}, "different columns"),
        ({"measures": ["lr"]}, "different columns"),
        ({"measures": ["gap"]}, "different columns"),
        ({"axes": ["gap"]}, "different columns"),
        ({"n_test": 0}, "at least 1"),
        ({"n_test": 10**400}, "at most"),
        ({"resamples": 0}, "at least 1"),
        ({"resamples": -5}, "at least 1"),
        ({"seed": -1}, "0 or more"),
        ({"max_train_loss": float("inf")}, "finite number"),
        ({"rank_by": "tau"}, "Accepted: kendall_tau"),
    ],
)
def test_unknown_columns_and_options_raise_with_a_suggestion(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        judge(random_table(0, ties=False), **{"gap": "gap", "axes": AXES, **changes})
