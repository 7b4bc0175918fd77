"""When two runs are the same: every number and every byte but the clock's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

TINY = [
    "model=wrn",
    "model.widths=[4,8]",
    "model.blocks_per_group=1",
    "data.train_size=256",
    "data.test_size=128",
    "measure.batch_size=32",
    "augment=standard",
    "augment.padding=1",
]


def lines_without_timing(run: Path) -> list[str]:
    """Return metrics.jsonl with everything that depends on the clock left out."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [json.dumps({key: value for key, value in record.items() if key != "timing"}) for record in records]


def checkpoints_of(run: Path) -> dict[str, bytes]:
    """Return the bytes of all checkpoints at the end of an epoch."""
    return {path.name: path.read_bytes() for path in sorted((run / "checkpoints").glob("epoch-*.safetensors"))}


def assert_same_run(run: Path, unbroken: Path) -> int:
    """Assert that two runs are the same, bit for bit; return how many lines of metrics the broken one lacks: none."""
    ours, theirs = lines_without_timing(run), lines_without_timing(unbroken)
    assert ours == theirs
    assert checkpoints_of(run) == checkpoints_of(unbroken)
    assert json.loads((run / "status.json").read_text())["state"] == "FINISHED"
    assert not list((run / "checkpoints").glob(".*"))
    return len(set(theirs) - set(ours))


def copy_run(source: Path, target: Path) -> Path:
    """Copy a run directory and return the copy."""
    shutil.copytree(source, target)
    return target
