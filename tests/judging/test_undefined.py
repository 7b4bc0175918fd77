"""Statistics that cannot be had are null: of the minima that have a value, and of families."""

from __future__ import annotations

import pandas as pd

from infomcr_cli.report import judge


def test_competition_score_is_undefined_if_the_minima_with_a_value_have_one_gap() -> None:
    grid = pd.DataFrame([(a, b, c) for a in (1, 2) for b in (1, 2) for c in (1, 2)], columns=["a", "b", "c"])
    frame = grid.assign(gap=[0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.4, 0.5], full=range(8), part=[1, 2, 3, 4, *[None] * 4])
    found = judge(frame, gap="gap", axes=["a", "b", "c"]).to_dict()["measures"]
    assert found["full"]["pgdl_cmi"]["value"] is not None
    assert found["part"]["pgdl_cmi"] == {"value": None, "given": None}
    assert found["part"]["conditional_information"]["value"] is None


def test_family_without_a_statistic_has_no_best_measure() -> None:
    frame = pd.DataFrame({"lr": range(16), "gap": range(16), "gamma": range(16), "margin": [1.0] * 16})
    found = judge(frame, gap="gap", axes=["lr"], by_family=True).to_dict()["families"]
    assert found["volume"]["best"] == "gamma"
    assert found["margin"] == {"best": None, "measures": ["margin"]}
