"""Full disks and damaged checkpoints: the former checkpoint stays whole, damage is found and named."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fork_server import ForkServer
from same_run import TINY, assert_same_run, copy_run

from infomcr_cli.runs import RunDirectory, load_checkpoint
from infomcr_cli.runs.checkpoint import CorruptCheckpointError

pytestmark = pytest.mark.faults

SETTINGS = ["tracking=off", "schedule.epochs=6"]


@pytest.fixture(scope="module")
def whole(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    child = fork_server.run(["train", *TINY, *SETTINGS, "--run-dir", "whole"], cwd=folder)
    assert child.code == 0, child.stderr
    return folder / "whole"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 512 KiB, where the test may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a file system can be mounted by root only")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def assert_failed_whole(run: Path, stderr: str) -> int:
    """Assert that the run says why it failed and that no half file is left; return how many checkpoints are whole."""
    assert "Traceback" not in stderr
    assert json.loads((run / "status.json").read_text())["state"] in ("FAILED", "RUNNING")
    assert not list((run / "checkpoints").glob(".*"))
    names = [path.stem for path in (run / "checkpoints").glob("*.safetensors")]
    for name in names:
        load_checkpoint(RunDirectory.open(run), name)
    return len(names)


def test_a_disk_that_fills_up(
    fork_server: ForkServer, tmp_path: Path, small_disk: Path, whole: Path, observed: Callable[..., None]
) -> None:
    run = small_disk / "a"
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * (512 * 1024 - 120 * 1024))
    child = fork_server.run(["train", *TINY, *SETTINGS, "--run-dir", str(run)], cwd=tmp_path)
    assert child.code == 1, child.stderr
    assert "No space left" in child.stderr
    checkpoints = assert_failed_whole(run, child.stderr)
    assert checkpoints >= 1
    ballast.unlink()
    assert fork_server.run(["train", "--resume", str(run)], cwd=tmp_path).code == 0
    lost = assert_same_run(run, whole)
    observed("disk full (tmpfs)", whole_checkpoints=checkpoints, then="resumed to the same bits", metrics_lost=lost)


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "where"), [(12_000, "checkpoint"), (30_000, "log")])
def test_a_limit_on_the_size_of_files(
    fork_server: ForkServer, tmp_path: Path, observed: Callable[..., None], limit: int, where: str
) -> None:
    # A line has 400 bytes, a checkpoint 22,000: which of them meets the limit first depends on the number of epochs.
    settings = ["tracking=off", "schedule.keep_checkpoints=3", f"schedule.epochs={100 if where == 'log' else 6}"]
    assert fork_server.run(["train", *TINY, *settings, "--run-dir", "whole"], cwd=tmp_path).code == 0
    child = fork_server.run(["train", *TINY, *settings, "--run-dir", "a"], cwd=tmp_path, file_limit=limit)
    assert child.code == 1, child.stderr
    assert "File too large" in child.stderr
    assert_failed_whole(tmp_path / "a", child.stderr)
    assert fork_server.run(["train", "--resume", "a"], cwd=tmp_path).code == 0
    lost = assert_same_run(tmp_path / "a", tmp_path / "whole")
    observed(f"file-size limit in a {where}", then="resumed to the same bits", metrics_lost=lost)


def damage(path: Path, chance: random.Random) -> None:
    """Flip a bit, overwrite a stretch, or cut the end off, anywhere."""
    content = bytearray(path.read_bytes())
    where = chance.randrange(len(content))
    kind = chance.choice(("flip", "stretch", "cut"))
    if kind == "flip":
        content[where] ^= 1 << chance.randrange(8)
    elif kind == "stretch":
        content[where : where + 64] = bytes(byte ^ 0xFF for byte in content[where : where + 64])
    else:
        del content[where:]
    path.write_bytes(content)


def test_damage_in_200_places_is_found(
    tmp_path: Path, whole: Path, observed: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    run = RunDirectory.open(copy_run(whole, tmp_path / "a"))
    last, before = (run.checkpoints / f"epoch-000{epoch}.safetensors" for epoch in (6, 5))
    content, sidecar = last.read_bytes(), last.with_name(f"{last.name}.sha256").read_bytes()
    expected = load_checkpoint(RunDirectory.open(whole), before.stem)
    chance = random.Random(1)
    for attempt in range(200):
        target = last if attempt % 10 else last.with_name(f"{last.name}.sha256")
        damage(target, chance)
        caplog.clear()
        used = load_checkpoint(run)
        assert used.epoch == 5
        assert all((used.weights[name] == array).all() for name, array in expected.weights.items())
        assert "epoch-0006" in caplog.text
        with pytest.raises(CorruptCheckpointError, match="epoch-0006"):
            load_checkpoint(run, "epoch-0006")
        last.write_bytes(content)
        last.with_name(f"{last.name}.sha256").write_bytes(sidecar)
    observed("a checkpoint truncated or flipped", damages_found="200", of=200, loaded_in_silence=0)


@pytest.mark.slow
def test_a_run_goes_on_from_the_checkpoint_before_the_damaged_one(
    fork_server: ForkServer, tmp_path: Path, whole: Path, observed: Callable[..., None]
) -> None:
    start = ["train", *TINY, *SETTINGS, "--run-dir", "a"]
    assert fork_server.run(start, cwd=tmp_path, moment=("after a log line", 4)).code == -9
    damage(tmp_path / "a" / "checkpoints" / "epoch-0003.safetensors", random.Random(2))
    child = fork_server.run(["train", "--resume", "a"], cwd=tmp_path)
    assert child.code == 0, child.stderr
    assert "epoch-0003" in child.stderr
    lost = assert_same_run(tmp_path / "a", whole)
    observed("the newest checkpoint damaged", used="the one before, to the same bits", metrics_lost=lost)


@pytest.mark.slow
def test_all_checkpoints_damaged_is_said(fork_server: ForkServer, tmp_path: Path, whole: Path) -> None:
    run = copy_run(whole, tmp_path / "a")
    status = json.loads((run / "status.json").read_text()) | {"state": "KILLED"}
    (run / "status.json").write_text(json.dumps(status))
    for path in (run / "checkpoints").glob("*.safetensors"):
        damage(path, random.Random(3))
    child = fork_server.run(["train", "--resume", "a"], cwd=tmp_path)
    assert child.code == 2, child.stderr
    assert "no intact checkpoint" in child.stderr
    assert json.loads((run / "status.json").read_text())["state"] == "KILLED"
