"""Runs on two data sets are no replicates of each other; one data set at two places makes no axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from fake_runs import config_with, evaluation, write_run

from infomcr_cli.compare import CompareOptions, compare
from infomcr_cli.runs import Checkpoint, RunDirectory, save_checkpoint


def axes(folder: Path, runs: Sequence[tuple[str | None, str | None, int]]) -> dict[str, tuple[str, ...]]:
    """Compare runs, each with its data.root, the fingerprint in its checkpoint, and its seed."""
    for number, (root, fingerprint, seed) in enumerate(runs):
        measured = {"last": evaluation(0.1 + number / 100, {"gamma": -float(number)})}
        run = write_run(folder / f"run-{number}", config_with(data__root=root, seed=seed), measured)
        extra = {} if fingerprint is None else {"data": fingerprint}
        save_checkpoint(RunDirectory.open(run), "epoch-0003", Checkpoint(60, 3, {"w": np.zeros(1)}, extra=extra))
    return {axis.name: axis.labels for axis in compare(CompareOptions((str(folder),))).axes}


def test_runs_on_two_data_sets_are_not_averaged_as_if_only_the_seed_differed(tmp_path: Path) -> None:
    runs = [("/a", "1", 0), ("/a", "1", 1), ("/b", "2", 0), ("/b", "2", 1)]
    assert axes(tmp_path, runs) == {"data.root": ("/a", "/a", "/b", "/b")}


def test_one_data_set_at_two_places_makes_no_axis(tmp_path: Path) -> None:
    assert axes(tmp_path, [("/a", "1", 0), ("/a", "3", 1), ("/b", "3", 0), (None, "1", 2)]) == {}


def test_two_of_three_places_with_the_same_data_count_as_one(tmp_path: Path) -> None:
    runs = [("/a", "1", 0), ("/b", "2", 0), ("/c", "1", 1)]
    assert axes(tmp_path, runs) == {"data.root": ("/a", "/b", "/a")}


@pytest.mark.parametrize("fingerprint", [None, "1"])
def test_a_place_of_which_nothing_is_known_makes_no_axis(tmp_path: Path, fingerprint: str | None) -> None:
    assert axes(tmp_path, [("/a", None, 0), ("/b", fingerprint, 1)]) == {}
