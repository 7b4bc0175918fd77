"""Landscapes and paths of runs whose data is no single array of images in memory."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from cli import CommandLine
from PIL import Image

from infomcr_cli.data import Split
from infomcr_cli.data.streamed import StreamedImages
from infomcr_cli.landscapes import network

L = keras.layers
LABELS = np.arange(20) % 3


@pytest.fixture
def two_inputs(command_line: CommandLine, tmp_path: Path) -> str:
    """A run of a network of two inputs."""
    given = {"vector": keras.Input((4,), name="vector"), "words": keras.Input((3,), name="words", dtype="int32")}
    words = L.GlobalAveragePooling1D()(L.Embedding(9, 2)(given["words"]))
    keras.Model(given, L.Dense(3)(L.Concatenate()([given["vector"], words]))).save(tmp_path / "net.keras")
    rng = np.random.default_rng(0)
    arrays = {"vector": rng.normal(size=(20, 4)).astype("f"), "words": rng.integers(0, 9, (20, 3)), "labels": LABELS}
    np.savez(
        tmp_path / "data.npz", **{f"{split}_{name}": a for name, a in arrays.items() for split in ("train", "test")}
    )
    made = command_line("import", "net.keras", "data=npz", "data.root=data.npz", "tracking=off", "--run-dir", "r")
    assert made.code == 0, made.err
    return "r"


def test_a_network_of_two_inputs_has_a_spectrum_and_eigenvectors(command_line: CommandLine, two_inputs: str) -> None:
    found = command_line("spectrum", two_inputs, "--probes", "1", "--steps", "3", "--json")
    assert found.code == 0, found.err
    assert json.loads(found.out)["runs"][0]["size"] == 9 * 2 + 6 * 3 + 3
    curve = command_line("landscape", two_inputs, "--directions", "hessian", "--points", "3", "--json")
    assert curve.code == 0, curve.err
    assert len(json.loads(curve.out)["runs"][0]["eigenvalues"]) == 1


def test_a_curve_that_cannot_be_trained_is_refused_before_the_line(
    command_line: CommandLine, two_inputs: str, tmp_path: Path
) -> None:
    refused = command_line("path", two_inputs, two_inputs, "--points", "3", "--out", "p")
    assert refused.code == 2, refused.err
    assert "images" in refused.err
    assert not (tmp_path / "p/.points.json").exists()


def test_images_that_memory_has_no_room_for_stay_in_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    split = Split(StreamedImages(tmp_path, np.array([b"a.png"] * 2), 8, 8, 1), LABELS[:2])
    assert isinstance(network.in_memory(split).images, np.ndarray)
    memory = SimpleNamespace(virtual_memory=lambda: SimpleNamespace(available=4 * 2 * 8 * 8 * 3 - 4))
    monkeypatch.setattr(network, "psutil", memory)
    assert network.in_memory(split) is split
