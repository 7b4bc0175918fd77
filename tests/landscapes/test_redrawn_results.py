"""Results that are drawn anew: another width of a spectrum, another kind of result in the same folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli import infomcr

from infomcr_cli.landscapes import spectra
from infomcr_cli.landscapes.density import lanczos_quadrature, probe
from infomcr_cli.landscapes.folder import ResultFolder
from infomcr_cli.report.path_document import parse_path
from infomcr_cli.report.plots.style import Plot
from infomcr_cli.runs.io.safe_documents import dump_json

FEW = ("runs/a", "--operator", "fisher", "--samples", "20", "--probes", "2", "--steps", "4")
PATH = {
    "ends": [
        {"run": "a", "name": "a", "uid": "a", "checkpoint": "last", "step": 1, "epoch": 1, "train": {}, "test": {}},
        {"run": "b", "name": "b", "uid": "b", "checkpoint": "last", "step": 1, "epoch": 1, "train": {}, "test": {}},
    ],
    **{"points": 3, "steps": 0, "samples": {}, "seed": 0, "paths": {}, "barriers": {}},
}


def document(folder: Path, *arguments: str) -> Any:
    answer = infomcr(("spectrum", *FEW, *arguments, "--json"), folder)
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_another_width_draws_the_same_values_and_computes_no_product(
    three_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = document(three_runs, "--out", "width")
    picture = (three_runs / "width" / "density.svg").read_bytes()
    monkeypatch.setattr(spectra, "open_network", None)
    wide = document(three_runs, "--out", "width", "--width", "1.5")
    assert wide["width"] == 1.5
    assert wide["runs"][0]["probes"] == first["runs"][0]["probes"]
    assert (three_runs / "width" / "density.svg").read_bytes() != picture
    again = document(three_runs, "--out", "width")
    assert again == first
    assert (three_runs / "width" / "density.svg").read_bytes() == picture


def test_narrow_gaussians_do_not_make_the_bulk_negative(three_runs: Path) -> None:
    """G/N has no negative eigenvalue; the node of its bulk may lie a little below zero by rounding."""
    low, high = (document(three_runs, "--out", "narrow", *width) for width in (("--width", "1e-9"), ()))
    assert low["runs"][0]["negative_share"] == high["runs"][0]["negative_share"] == 0
    assert low["negative_below"] == high["negative_below"] < -low["width"]


def test_eigenvalues_below_the_bulk_count_whatever_the_width(three_runs: Path) -> None:
    values = np.array([-2.0, 5.0, *np.full(98, -1e-4)])
    found = [lanczos_quadrature(lambda v: values * v, probe(100, 0, index), steps=6) for index in range(2)]
    assert spectra.negative_share(found, 0.07) == pytest.approx(0.01)


def test_force_leaves_no_picture_of_an_earlier_kind(tmp_path: Path) -> None:
    plot = Plot("contours", "", b"<svg/>", b"png")
    earlier = ResultFolder(tmp_path, {"dimensions": 2}, "landscape.json")
    earlier.open()
    earlier.save({"loss": np.zeros(3)})
    earlier.finish({}, [plot])
    (tmp_path / "control.safetensors").write_bytes(b"of a path")
    (tmp_path / "notes.txt").write_text("my own")
    (tmp_path / "contours-of-mine.png").write_bytes(b"my own")
    ResultFolder(tmp_path, {"probes": 2}, "spectrum.json").open(force=True)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"settings.json", "notes.txt", "contours-of-mine.png"}


def test_force_replaces_a_damaged_document_too(tmp_path: Path) -> None:
    ResultFolder(tmp_path, {"a": 1}, "landscape.json").open()
    (tmp_path / "landscape.json").write_bytes(b"{")
    (tmp_path / "spectrum.json").write_bytes(dump_json({"pictures": {"../../outside": {}, "density": 3}}))
    (tmp_path / "density.svg").write_bytes(b"<svg/>")
    ResultFolder(tmp_path, {"a": 2}, "landscape.json").open(force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    "alignment",
    [{}, {"groups": 1, "channels": 2, "moved": 1, "distance_before": 1.0}, {"distance_before": "far"}, 3],
)
def test_a_damaged_alignment_is_refused_in_words(alignment: Any) -> None:
    with pytest.raises(ValueError, match="must be as `infomcr path` writes it"):
        parse_path(dump_json({**PATH, "alignment": alignment}), "path.json")


def test_a_whole_alignment_keeps_what_else_it_holds() -> None:
    whole = {"groups": 1, "channels": 2, "moved": 1, "distance_before": 2.0, "distance_after": 1, "sweeps": 3}
    found = parse_path(dump_json({**PATH, "alignment": whole}), "path.json").alignment
    assert found is not None
    assert found.model_dump() == whole
