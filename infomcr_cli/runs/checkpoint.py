"""Checkpoints: written to a temporary file and renamed, verified by checksum before any of their numbers is used.

`checkpoints/NAME.safetensors` holds weights, optimizer state and a record; `NAME.safetensors.sha256` its checksum in
the format of `sha256sum -c`. The checksum is written first, so that every checkpoint has one; a half-written file never
has the name of a checkpoint. "last" is the checkpoint with the highest step, "best" has the lowest training loss.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_files import open_without_links, sync_directory, write_atomically
from infomcr_cli.runs.io.tensors import MAX_HEADER, Array, decode_arrays, encode_arrays, header_record, read_header
from infomcr_cli.runs.metrics import MetricsLog

MAX_CHECKPOINT = 64 * 1024**3
_SUFFIX, _SUM = ".safetensors", ".safetensors.sha256"
_MILESTONE = "loss-"
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
_log = logging.getLogger("infomcr.runs")


class CorruptCheckpointError(InputError):
    """A checkpoint is damaged: truncated, altered, or without its checksum."""


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run needs in order to continue with the same numbers.

    Args:
        step, epoch: training steps and whole epochs done.
        weights:     name → array, moving statistics included.
        optimizer:   name → array.
        extra:       a small record for JSON: random state, counters.
        train_loss:  training loss, nats, by which "best" is chosen.
    """

    step: int
    epoch: int
    weights: Mapping[str, Array]
    optimizer: Mapping[str, Array] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    train_loss: float | None = None


@dataclass(frozen=True)
class CheckpointInfo:
    """The header of a checkpoint whose content is not verified yet."""

    name: str
    step: int
    epoch: int
    train_loss: float | None


def epoch_name(epoch: int) -> str:
    """Return the name of the checkpoint at the end of an epoch, counted from 1: epoch-0003."""
    return f"epoch-{epoch:04d}"


def step_name(step: int) -> str:
    """Return the name of a checkpoint inside an epoch: step-00001200."""
    return f"step-{step:08d}"


def milestone_name(loss: float) -> str:
    """Return the name of the first checkpoint whose clean training loss is at most `loss`, nats: loss-0.3."""
    return f"{_MILESTONE}{loss:g}"


def kept_milestones(run: RunDirectory, step: int) -> list[float]:
    """Return the losses of the milestones that were kept up to `step`."""
    kept = [info.name for info in list_checkpoints(run) if info.step <= step and _is_milestone(info.name)]
    return [float(name.removeprefix(_MILESTONE)) for name in kept]


def save_checkpoint(
    run: RunDirectory, name: str, checkpoint: Checkpoint, *, keep: int | None = None, besides: str = ""
) -> Path:
    """Write a checkpoint durably, then delete those that `keep` does not keep; return its path.

    Args:
        name:    of letters, digits, "_", "." and "-".
        keep:    how many of the newest are kept, in addition to the best and all milestones; None keeps all.
        besides: the name of another checkpoint that is kept.

    Raises:
        OSError: the disk is full or cannot be written; the former checkpoints are intact.
    """
    if not _NAME.match(name) or name in ("last", "best", "all"):
        raise ValueError(f"a checkpoint's name may contain only letters, digits and _.-; got {name!r}")
    MetricsLog(run).sync()  # a run that is resumed from the checkpoint continues the metrics from its step
    arrays = {f"weights:{name}": value for name, value in checkpoint.weights.items()}
    arrays |= {f"optimizer:{name}": value for name, value in checkpoint.optimizer.items()}
    loss = checkpoint.train_loss
    record = {"step": int(checkpoint.step), "epoch": int(checkpoint.epoch), "extra": dict(checkpoint.extra)}
    record["train_loss"] = float(loss) if loss is not None and math.isfinite(loss) else None  # JSON has no NaN
    content = encode_arrays(arrays, record)
    run.checkpoints.mkdir(exist_ok=True)  # the user may have removed the folder
    write_atomically(run.checkpoints / f"{name}{_SUM}", _sum_line(content, name))
    path = run.checkpoints / f"{name}{_SUFFIX}"
    write_atomically(path, content)
    if keep is not None:
        _retain(run, keep, besides)
    return path


def list_checkpoints(run: RunDirectory) -> list[CheckpointInfo]:
    """Return the checkpoints by step; a warning names each one that cannot be read, and it is left out."""
    found = []
    for path in sorted(run.checkpoints.glob(f"*{_SUFFIX}")):
        name = path.name.removesuffix(_SUFFIX)
        if _NAME.match(name):
            what = f"checkpoint {printable(name)} of {run.name}"
            try:
                record = header_record(read_header(_head(run, name), what), what)
                found.append(_info_of(name, record, what))
            except (InputError, OSError) as error:
                _warn(run, name, error)
    return sorted(found, key=lambda info: (info.step, info.name))


def load_checkpoint(run: RunDirectory, name: str = "last") -> Checkpoint:
    """Return a checkpoint after verifying its checksum.

    Args:
        name: "last", "best", or the name of one.

    Raises:
        CorruptCheckpointError: the checkpoint is damaged, or none of the run is intact.
        InputError: there is no checkpoint of that name.
    """
    for candidate in _candidates(run, name):
        what = f"checkpoint {printable(candidate)} of {run.name}"
        try:
            arrays, record = decode_arrays(_verified(run, candidate, what), what)
            info = _info_of(candidate, record, what)
        except (InputError, OSError) as error:
            if name != "last":
                raise
            _warn(run, candidate, error)
            continue
        extra = record.get("extra")
        return Checkpoint(
            step=info.step,
            epoch=info.epoch,
            weights=_part(arrays, "weights:"),
            optimizer=_part(arrays, "optimizer:"),
            extra=extra if isinstance(extra, dict) else {},
            train_loss=info.train_loss,
        )
    raise CorruptCheckpointError("the run has no intact checkpoint", received=run.name)


def _candidates(run: RunDirectory, name: str) -> list[str]:
    """Return the checkpoints to try for a name: for "last" all of them, the newest first; otherwise a single one."""
    if name == "last":
        return [info.name for info in sorted(list_checkpoints(run), key=lambda info: (-info.step, info.name))]
    if name == "best":
        return [_best(run)]
    names = [path.name.removesuffix(_SUFFIX) for path in run.checkpoints.glob(f"*{_SUFFIX}")]
    if name not in names:
        raise InputError("a checkpoint must exist", received=printable(name), accepted=["last", "best", *sorted(names)])
    return [name]


def check_data(checkpoint: Checkpoint, fingerprint: str) -> None:
    """Raise InputError if a checkpoint was trained on other images or labels than those that were loaded."""
    trained_on = checkpoint.extra.get("data")
    if trained_on is not None and trained_on != fingerprint:
        raise InputError(
            "the data set must be the one that this checkpoint was trained on",
            received=f"data {fingerprint[:12]}, trained on {printable(str(trained_on))[:12]}",
            advice="Set data.root= to the place of the original data.",
        )


def trained_on(run: RunDirectory) -> str | None:
    """Return the fingerprint of the data in the header of the newest checkpoint, unverified; None if there is none."""
    for info in reversed(list_checkpoints(run)):
        what = f"checkpoint {printable(info.name)} of {run.name}"
        extra = header_record(read_header(_head(run, info.name), what), what).get("extra")
        fingerprint = extra.get("data") if isinstance(extra, dict) else None
        return fingerprint if isinstance(fingerprint, str) else None
    return None


def has_checkpoint(run: RunDirectory) -> bool:
    """Return whether there is any checkpoint, intact or not."""
    return any(run.checkpoints.glob(f"*{_SUFFIX}"))


def load_weights(run_directory: RunDirectory | Path | str, checkpoint: str = "last") -> dict[str, Array]:
    """Return the weights of a run: name → array, moving statistics included.

    Example: load_weights("runs/a")["head/dense/kernel"].shape is (128, 10).
    """
    run = run_directory if isinstance(run_directory, RunDirectory) else RunDirectory.open(run_directory)
    return dict(load_checkpoint(run, checkpoint).weights)


def _verified(run: RunDirectory, name: str, what: str) -> bytes:
    try:
        content = run.read(f"checkpoints/{name}{_SUFFIX}", MAX_CHECKPOINT)
        expected = run.read(f"checkpoints/{name}{_SUM}", 1000)
    except FileNotFoundError:
        raise CorruptCheckpointError(f"{what} has no checksum file") from None
    if expected != _sum_line(content, name):
        raise CorruptCheckpointError(f"{what} is damaged: its checksum differs", advice="Use another checkpoint.")
    return content


def _sum_line(content: bytes, name: str) -> bytes:
    return f"{hashlib.sha256(content).hexdigest()}  {name}{_SUFFIX}\n".encode()


def _head(run: RunDirectory, name: str) -> bytes:
    """Return the length of the header and the header, without the arrays, which may be gigabytes."""
    with open_without_links(run.checkpoints / f"{name}{_SUFFIX}") as file:
        start = file.read(8)
        return start + file.read(min(int.from_bytes(start, "little"), MAX_HEADER))


def _info_of(name: str, record: Mapping[str, Any], what: str) -> CheckpointInfo:
    step, epoch, loss = record.get("step"), record.get("epoch"), record.get("train_loss")
    # `type` instead of `isinstance`: True is an instance of int.
    counts_are_sane = all(type(count) is int and 0 <= count <= 10**15 for count in (step, epoch))
    if not counts_are_sane or not (loss is None or type(loss) is float):
        raise InputError(f"{what} must record its step, epoch and training loss")
    return CheckpointInfo(name, int(step or 0), int(epoch or 0), loss)


def _best(run: RunDirectory) -> str:
    """Return the name of the best checkpoint; all are verified first, as a flipped bit could hide the best."""
    whole = []
    for info in list_checkpoints(run):
        try:
            _verified(run, info.name, f"checkpoint {info.name} of {run.name}")
            whole.append(info)
        except (InputError, OSError) as error:
            _warn(run, info.name, error)
    ranked = [info for info in whole if info.train_loss is not None]
    if not ranked:
        raise InputError("a best checkpoint needs a recorded training loss", received=run.name, advice="Use last.")
    return _best_of(ranked).name


def _best_of(infos: list[CheckpointInfo]) -> CheckpointInfo:
    return min(infos, key=lambda info: (float("inf") if info.train_loss is None else info.train_loss, info.step))


def _retain(run: RunDirectory, keep: int, besides: str) -> None:
    infos = list_checkpoints(run)
    passing = [info for info in infos if not _is_milestone(info.name)]
    stay = {info.name for info in passing[-keep:]} | {_best_of(infos).name, besides}
    for info in passing:
        if info.name not in stay:
            # The checkpoint before its checksum: if the process is killed in between, only a checksum is left.
            (run.checkpoints / f"{info.name}{_SUFFIX}").unlink(missing_ok=True)
            (run.checkpoints / f"{info.name}{_SUM}").unlink(missing_ok=True)
    sync_directory(run.checkpoints)


def _is_milestone(name: str) -> bool:
    return re.fullmatch(rf"{_MILESTONE}\d+(\.\d+)?(e-\d+)?", name) is not None


def _part(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _warn(run: RunDirectory, name: str, error: Exception) -> None:
    _log.warning("checkpoint %s of %s is skipped: %s", printable(name), run.name, error)
