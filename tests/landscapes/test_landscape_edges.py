"""Landscapes at the edges: losses that are not finite, runs that cannot be written to, very fine grids."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli import infomcr

from infomcr_cli.errors import InputError
from infomcr_cli.landscape import LandscapeResult
from infomcr_cli.landscapes.directions_hessian import top_eigenvectors
from infomcr_cli.landscapes.folder import ResultFolder, open_result
from infomcr_cli.landscapes.minima import open_minima
from infomcr_cli.landscapes.surface_pictures import MOST_LINES, Drawing, DrawnSurface, pictures
from infomcr_cli.runs import RunDirectory, load_checkpoint
from infomcr_cli.runs.checkpoint import save_checkpoint

FEW = ("--points", "3", "--samples", "20", "--json")


def overflowing(directory: RunDirectory) -> None:
    """Give a run a checkpoint whose logits overflow in float32."""
    checkpoint = load_checkpoint(directory)
    weights = {
        name: np.asarray(one) * (np.float32(1e38) if one.ndim == 2 else 1) for name, one in checkpoint.weights.items()
    }
    assert all(np.isfinite(one).all() for one in weights.values())
    for path in directory.checkpoints.iterdir():
        path.unlink()
    save_checkpoint(directory, "epoch-0002", type(checkpoint)(checkpoint.step, 2, weights, {}, checkpoint.extra))


@pytest.mark.parametrize("statistics", ["keep", "renew"])
def test_a_minimum_of_infinite_loss_is_null_in_the_document_of_a_plane(three_runs: Path, statistics: str) -> None:
    if not (three_runs / "runs/huge").exists():
        shutil.copytree(three_runs / "runs/c", three_runs / "runs/huge")
        overflowing(RunDirectory.open(three_runs / "runs/huge"))
    arguments = ("--through", "runs/a", "runs/b", "runs/huge", "--batch-statistics", statistics, *FEW)
    answer = infomcr(("landscape", *arguments, "--out", f"infinite-{statistics}"), three_runs)
    assert answer.code == 0, answer.err
    last = json.loads(answer.out)["runs"][-1]
    assert last["loss"] is None
    assert last["in_plane"]["loss"] is None


def test_a_run_that_results_cannot_be_copied_to_is_refused_before_the_work(three_runs: Path, tmp_path: Path) -> None:
    for run in ("a", "b"):
        shutil.copytree(three_runs / "runs" / run, tmp_path / "runs" / run, ignore=shutil.ignore_patterns("landscapes"))
    (tmp_path / "runs/b/landscapes").write_text("no folder")
    for command in (("landscape", *FEW), ("path", "--steps", "0", *FEW), ("spectrum", *FEW[2:])):
        answer = infomcr((command[0], "runs/a", "runs/b", *command[1:]), tmp_path)
        assert answer.code == 2
        assert "runs/b/landscapes" in answer.err
        assert not (tmp_path / "runs/a/landscapes").exists()


def test_a_result_is_mirrored_unless_tracking_is_off(
    three_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored: list[str] = []
    monkeypatch.setattr("infomcr_cli.landscapes.folder.mirror_results", lambda run: mirrored.append(run.name))
    shutil.copytree(three_runs / "runs/a", tmp_path / "a")
    minima = open_minima([str(tmp_path / "a")], "last", (), None, done="evaluated")
    for overrides in (["tracking=off"], ["+tracking=off"], ["tracking.name=off"]):
        with open_result(ResultFolder(tmp_path / "r", {}, "landscape.json"), minima, None, overrides, force=False):
            pass
    assert mirrored == []
    with open_result(ResultFolder(tmp_path / "r", {}, "landscape.json"), minima, None, ["device=cpu"], force=False):
        pass
    assert mirrored == ["a"]


def test_a_document_of_a_fine_grid_is_read_again(tmp_path: Path) -> None:
    folder = ResultFolder(tmp_path, {}, "landscape.json")
    (tmp_path / "landscape.json").write_bytes(b'{"kind": "random"}' + bytes(b" " * (65 * 1024**2)))
    assert folder.document() == {"kind": "random"}


def test_a_surface_of_a_fine_grid_is_drawn_of_so_many_lines() -> None:
    line = np.linspace(-1, 1, 3 * MOST_LINES)
    loss = 1 + np.add.outer(line**2, 3 * line**2)
    surface = DrawnSurface("run", loss, np.zeros_like(loss))
    drawn = {one.name: one for one in pictures(Drawing([surface], line, line, ("x", "y"), "title"))}
    assert drawn["surfaces"].svg.count(b"<path") < 1.1 * MOST_LINES**2


def test_a_path_with_control_characters_does_not_steer_the_terminal() -> None:
    document = {"runs": [], "files": ["/runs/\x1b[31mred/landscape.json"]}
    assert list(LandscapeResult(document).renderables(80)) == [
        "Written: /runs/\N{REPLACEMENT CHARACTER}[31mred/landscape.json"
    ]


@pytest.mark.parametrize("size", [5, 80])
def test_a_hessian_that_is_not_finite_has_no_directions(size: int) -> None:
    with pytest.raises(InputError, match="not finite"):
        top_eigenvectors(lambda v: np.full(size, np.nan), size, count=2, seed=0)


@pytest.mark.parametrize("size", [5, 80])
def test_a_hessian_of_rank_one_has_a_second_direction_of_curvature_zero(size: int) -> None:
    diagonal = np.zeros(size)
    diagonal[0] = 3.0
    found = top_eigenvectors(lambda v: diagonal * v, size, count=2, seed=0)
    np.testing.assert_allclose(found.values, [3.0, 0.0], atol=1e-10)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(2), atol=1e-10)
