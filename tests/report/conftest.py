"""Comparisons that the tests of tables, plots and the page share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_runs import CONVENTION, config_with, evaluation, grid_of_runs, write_run

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.plots.all import all_plots
from infomcr_cli.report.plots.style import Plot

HOSTILE = "<script>alert(1)</script>[red]$x^{y$\x1b[31m\"'&"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """16 runs: 8 settings of 2 seeds."""
    return compare(CompareRequest((str(grid_of_runs(tmp_path_factory.mktemp("shown") / "runs")),)))


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """16 runs of as many settings, just enough to be ranked."""
    root = tmp_path_factory.mktemp("ranked") / "runs"
    return compare(CompareRequest((str(grid_of_runs(root, seeds=1, rates=(0.1, 0.2, 0.3, 0.4))),)))


@pytest.fixture(scope="module")
def plots(comparison: Comparison) -> Sequence[Plot]:
    """All plots of that comparison."""
    return all_plots(comparison)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs whose names, settings and measures contain markup, control characters and formulas."""
    root = tmp_path_factory.mktemp("hostile")
    for index in range(4):
        found = evaluation(0.1 + index / 50, {HOSTILE: float(index), "=cmd()": float(index % 2)})
        found["measures"][HOSTILE]["unit"] = HOSTILE
        config = config_with(model__name=f"{HOSTILE}{index}", optimizer__l2=index / 10)
        write_run(root / f"run-<img src=x onerror=alert(1)>[bold]{index}", config, {"last": found})
    write_run(root / "no <b>", config_with(), None)
    return root


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Sixteen runs, gamma of the last in another convention; gamma follows the gap and leads."""
    root = tmp_path_factory.mktemp("mixed")
    for index in range(16):
        convention = CONVENTION | {"draws": 100 if index == 15 else 10}
        last = evaluation(0.1 + index / 40, {"gamma": float(index)}, convention=convention)
        last["measures"]["other"] = {"value": float((index * 7) % 16)}
        last["measures"]["gamma"]["spectrum"] = [2.0, 1.0]
        first = evaluation(0.1, {"gamma": -1.0}, convention=convention, step=20)
        write_run(root / f"r{index:02}", config_with(optimizer__l2=index / 10), {"last": last, "epoch-0001": first})
    return compare(
        CompareRequest((str(root),), allow_mixed=True, csv=root / "out" / "t.csv", html=root / "out" / "p.html")
    )
