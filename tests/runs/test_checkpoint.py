"""Checkpoints: what goes in comes out, bit for bit, or not at all."""

from __future__ import annotations

import errno
import logging
import subprocess

import ml_dtypes
import numpy as np
import pytest

from infomcr_cli.errors import InputError
from infomcr_cli.runs import (
    Checkpoint,
    CorruptCheckpointError,
    RunDirectory,
    epoch_name,
    list_checkpoints,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)


def make_checkpoint(epoch: int, loss: float | None = None) -> Checkpoint:
    generator = np.random.default_rng(epoch)
    weights = {
        "stem/conv/kernel": generator.normal(size=(3, 3, 3, 4)).astype(np.float32),
        "head/dense/bias": np.ones(2),
    }
    optimizer = {"iterations": np.array(10 * epoch, np.int64), "momentum/0": generator.normal(size=5)}
    return Checkpoint(10 * epoch, epoch, weights, optimizer, {"rng": [1, 2]}, train_loss=loss)


def test_every_dtype_and_rank_survives(run: RunDirectory) -> None:
    kinds = [
        np.float16,
        np.float32,
        np.float64,
        np.int8,
        np.uint8,
        np.int32,
        np.int64,
        np.uint64,
        bool,
        ml_dtypes.bfloat16,
    ]
    arrays = {f"a/{np.dtype(kind).name}": np.arange(6).reshape(2, 3).astype(kind) for kind in kinds}
    arrays |= {"scalar": np.array(7, np.int64), "empty": np.zeros((0, 3)), "transposed": np.arange(6.0).reshape(2, 3).T}
    save_checkpoint(run, "epoch-0001", Checkpoint(1, 1, arrays))
    loaded = load_checkpoint(run).weights
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array, strict=True)


def test_special_values_keep_their_bits(run: RunDirectory) -> None:
    values = np.array([np.nan, -np.nan, np.inf, -0.0, 5e-324, 1e308])
    save_checkpoint(run, "a", Checkpoint(0, 0, {"x": values}))
    assert load_weights(run.path)["x"].tobytes() == values.tobytes()


def test_record_survives_and_bytes_repeat(run: RunDirectory) -> None:
    path = save_checkpoint(run, "a", make_checkpoint(3, 0.25))
    first = path.read_bytes()
    loaded = load_checkpoint(run, "a")
    assert (loaded.step, loaded.epoch, loaded.train_loss, loaded.extra) == (30, 3, 0.25, {"rng": [1, 2]})
    assert save_checkpoint(run, "a", loaded).read_bytes() == first


def test_sha256sum_agrees(run: RunDirectory) -> None:
    path = save_checkpoint(run, "a", make_checkpoint(1))
    subprocess.run(["sha256sum", "-c", path.name + ".sha256"], cwd=run.checkpoints, check=True, capture_output=True)


def test_last_and_best_checkpoints_and_how_many_are_kept(run: RunDirectory) -> None:
    for epoch, loss in enumerate([3.0, 0.5, 2.0, 1.0, 1.5], start=1):
        save_checkpoint(run, epoch_name(epoch), make_checkpoint(epoch, loss), keep=2)
    assert [info.name for info in list_checkpoints(run)] == ["epoch-0002", "epoch-0004", "epoch-0005"]
    assert load_checkpoint(run).epoch == 5
    assert load_checkpoint(run, "best").epoch == 2
    assert len(list(run.checkpoints.iterdir())) == 6


def test_damaged_last_is_named_and_the_one_before_used(run: RunDirectory, caplog: pytest.LogCaptureFixture) -> None:
    save_checkpoint(run, "epoch-0001", make_checkpoint(1))
    path = save_checkpoint(run, "epoch-0002", make_checkpoint(2))
    path.write_bytes(path.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING):
        assert load_checkpoint(run).epoch == 1
    assert "epoch-0002" in caplog.text
    with pytest.raises(CorruptCheckpointError, match="epoch-0002"):
        load_checkpoint(run, "epoch-0002")


def test_a_checkpoint_without_its_checksum_is_ignored(run: RunDirectory) -> None:
    path = save_checkpoint(run, "a", make_checkpoint(1))
    path.with_name(path.name + ".sha256").unlink()
    with pytest.raises(CorruptCheckpointError):
        load_checkpoint(run)


def test_a_missing_name_lists_what_is_there(run: RunDirectory) -> None:
    save_checkpoint(run, "epoch-0001", make_checkpoint(1))
    with pytest.raises(InputError, match=r"Did you mean 'epoch-0001'"):
        load_checkpoint(run, "epoch-001")


@pytest.mark.parametrize("name", ["last", "best", "all", "../x", "a/b", "", ".hidden", "x\0"])
def test_unusable_names_are_refused(run: RunDirectory, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        save_checkpoint(run, name, make_checkpoint(1))


def test_other_data_than_was_trained_on_is_refused() -> None:
    from infomcr_cli.runs.checkpoint import check_data

    trained = Checkpoint(step=1, epoch=1, weights={}, extra={"data": "aaaa"})
    check_data(trained, "aaaa")
    check_data(Checkpoint(step=1, epoch=1, weights={}), "aaaa")
    with pytest.raises(InputError, match="trained on"):
        check_data(trained, "bbbb")


def test_a_checkpoint_that_cannot_be_read_is_skipped(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    for epoch in (1, 2):
        save_checkpoint(run, epoch_name(epoch), make_checkpoint(epoch, 1.0 / epoch))
    (run.checkpoints / "epoch-0003.safetensors").mkdir()
    assert [info.name for info in list_checkpoints(run)] == ["epoch-0001", "epoch-0002"]
    read = RunDirectory.read

    def broken(self: RunDirectory, relative: str, *limit: int) -> bytes:
        if "epoch-0002" in relative:
            raise OSError(errno.EIO, "Input/output error")
        return read(self, relative, *limit)

    monkeypatch.setattr(RunDirectory, "read", broken)
    assert load_checkpoint(run).epoch == load_checkpoint(run, "best").epoch == 1
