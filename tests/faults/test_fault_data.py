"""Data that cannot be used: exit 2 with its name and the rule, no traceback, and nothing is left behind."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fork_server import ForkServer
from PIL import Image

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import load_dataset
from infomcr_cli.data.epoch_plan import epoch_order
from infomcr_cli.data.streamed import StreamedImages

pytestmark = pytest.mark.faults

MODEL = [
    *("model=mlp", "model.depth=1", "model.width=4", "schedule.epochs=1", "data.batch_size=8"),
    *("measure=fast", "measure.gamma.draw_size=8", "measure.gamma.draws=2", "measure.gamma.samples=16"),
]


def image_folder(place: Path, tested: str = "test") -> list[str]:
    rng = np.random.default_rng(0)
    for split, count in (("train", 16), (tested, 4)):
        for name in ("ant", "bee"):
            (place / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / split / name / f"{i}.jpg")
    return ["data=image_folder", f"data.root={place}"]


def imagenet(place: Path) -> list[str]:
    image_folder(place, "val")
    return ["data=imagenet", f"data.root={place}", "data.image_size=8", "data.resize=8"]


def npz(place: Path, **changed: object) -> list[str]:
    place.mkdir()
    pixels, labels = np.random.default_rng(0).integers(0, 256, (24, 4, 4, 1), dtype=np.uint8), np.arange(24) % 3
    arrays = {"x_train": pixels, "y_train": labels, "x_test": pixels, "y_test": labels, **changed}
    np.savez(place / "a.npz", **arrays)
    return ["data=npz", f"data.root={place / 'a.npz'}"]


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 255
    path.write_bytes(data)


def as_gif(path: Path) -> None:
    Image.open(path).save(path.with_suffix(".gif"))
    path.with_suffix(".gif").rename(path)


def as_sixteen_bits(path: Path) -> None:
    Image.fromarray(np.full((12, 12), 40_000, np.uint16)).save(path.with_suffix(".png"))
    path.with_suffix(".png").rename(path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def hostile_archive(place: Path) -> list[str]:
    place.mkdir()
    with zipfile.ZipFile(place / "c.zip", "w") as archive:
        for number in range(1, 6):
            archive.writestr(f"data_batch_{number}", b"cos\nsystem\n(S'touch mark'\ntR.")
        archive.writestr("test_batch", b"\x80\x02}r\xff\xff\xff\x7f.")
    return ["data=cifar10", f"data.root={place / 'c.zip'}"]


def spoiled(make: Callable[[Path], list[str]], name: str, spoil: Callable[[Path], None]) -> Callable[[Path], list[str]]:
    def made(place: Path) -> list[str]:
        arguments = make(place)
        spoil(place / name)
        return arguments

    return made


# what is wrong: (the data, what the message says)
REFUSED: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "a damaged file of arrays": (spoiled(npz, "a.npz", damaged), "a.npz"),
    "one class": (lambda place: npz(place, y_train=np.zeros(24, int), y_test=np.zeros(24, int)), "two classes"),
    "fractional labels": (lambda place: npz(place, y_train=np.arange(24) / 2), "whole numbers"),
    "a cut image": (spoiled(image_folder, "train/bee/3.jpg", cut), "train/bee/3.jpg"),
    "16 bits a channel": (spoiled(image_folder, "test/ant/0.jpg", as_sixteen_bits), "test/ant/0.jpg"),
    "a streamed image, cut": (spoiled(imagenet, "train/bee/3.jpg", cut), "train/bee/3.jpg"),
    "a streamed GIF by another name": (spoiled(imagenet, "val/ant/0.jpg", as_gif), "val/ant/0.jpg"),
    "a streamed PNG of 16 bits": (spoiled(imagenet, "train/ant/0.jpg", as_sixteen_bits), "train/ant/0.jpg"),
    "a pickle that runs something": (hostile_archive, "data_batch_1"),
    "a name of 300 bytes": (lambda place: ["data=npz", "data.root=" + "n" * 300], "n" * 300),
}


def test_data_that_cannot_be_used_leaves_nothing_behind(
    fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None]
) -> None:
    tried = 0
    for name, (make, said) in REFUSED.items():
        data = make(tmp_path / f"data {tried}")
        for command in (["train"], ["train", "--run-dir", "runs/a"], ["sweep", "seed=0,1", "engine.jobs=1"]):
            tried += 1
            folder = tmp_path / f"work {tried}"
            folder.mkdir()
            environment = {"INFOMCR_CACHE": str(tmp_path / "cache")}
            child = fork_server.run([*command, *data, *MODEL], cwd=folder, environment=environment)
            assert child.code == 2, (name, command, child.stderr)
            assert "Traceback" not in child.stderr, (name, command, child.stderr)
            assert said in child.stderr, (name, command, child.stderr)
            assert os.listdir(folder) == [], (name, command)
    assert not list(tmp_path.rglob("mark"))
    observed("bad input: data that is damaged", bad_inputs=tried)


@pytest.mark.parametrize(
    ("make", "broken", "damage"),
    [(npz, "a.npz", damaged), (image_folder, "test/ant/0.jpg", as_gif), (imagenet, "val/ant/0.jpg", cut)],
    ids=["npz", "image_folder", "imagenet"],
)
def test_data_that_breaks_after_training_is_named_by_eval(
    fork_server: ForkServer,
    tmp_path: Path,
    make: Callable[[Path], list[str]],
    broken: str,
    damage: Callable[[Path], None],
) -> None:
    environment = {"INFOMCR_CACHE": str(tmp_path / "cache")}
    data = make(tmp_path / "data")
    command = ["train", *data, *MODEL, "tracking=off", "--run-dir", "a"]
    child = fork_server.run(command, cwd=tmp_path, environment=environment)
    assert child.code == 0, child.stderr
    before = sorted(os.listdir(tmp_path / "a"))
    damage(tmp_path / "data" / broken)
    child = fork_server.run(["eval", "a"], cwd=tmp_path, environment=environment)
    assert child.code == 2, child.stderr
    assert "Traceback" not in child.stderr
    assert broken in child.stderr
    assert sorted(os.listdir(tmp_path / "a")) == before


HEADS_ALONE = "import infomcr_cli.data.imagenet as imagenet; imagenet.FEW = 0"
AFTER_A_CHECKPOINT = """
from infomcr_cli.training.callbacks import RunCallback
plain = RunCallback.on_checkpoint
def on_checkpoint(self, *arguments):
    plain(self, *arguments)
    open("BROKEN", "wb").write(b"broken")
RunCallback.on_checkpoint = on_checkpoint
"""


def image_of_the_first_epoch(data: list[str], batch: int) -> Path:
    """Return a file that a batch of the first epoch takes."""
    config = compose_run([*data, *MODEL])
    images = load_dataset(config.data, seed=config.seed).train.images
    assert isinstance(images, StreamedImages)
    order = epoch_order(len(images), config.data.batch_size, seed=config.seed, epoch=0)
    return images.root / os.fsdecode(images.names[order[batch, 0]])


@pytest.mark.parametrize("when", ["in the first batch", "in the last batch", "after a checkpoint"])
def test_an_image_that_breaks_while_training_ends_it_by_name(
    fork_server: ForkServer, tmp_path: Path, when: str
) -> None:
    """Of many files only the heads are read before training: what comes out later has a name all the same."""
    data = imagenet(tmp_path / "data")
    broken = image_of_the_first_epoch(data, batch=0 if when == "in the first batch" else -1)
    sabotage = HEADS_ALONE
    if when == "after a checkpoint":
        sabotage += AFTER_A_CHECKPOINT.replace("BROKEN", str(broken))
    else:
        cut(broken)
    command = ["train", *data, *MODEL, "schedule.epochs=40", "--run-dir", "runs/a"]
    environment = {"INFOMCR_CACHE": str(tmp_path / "own cache")}
    (tmp_path / "work").mkdir()
    child = fork_server.run(command, cwd=tmp_path / "work", sabotage=sabotage, environment=environment)
    assert child.code == 2, child.stderr
    assert "Traceback" not in child.stderr
    assert str(broken) in child.stderr
    if when == "in the first batch":
        assert os.listdir(tmp_path / "work") == []
        return
    status = json.loads((tmp_path / "work" / "runs" / "a" / "status.json").read_text())
    assert status["state"] == "FAILED"
    assert str(broken) in status["reason"]
    kept = list((tmp_path / "work" / "runs" / "a" / "checkpoints").glob("*.safetensors"))
    assert bool(kept) == (when == "after a checkpoint")
