"""Run directories as training and `infomcr eval` leave them, without training anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

CONFIG = {
    "data": {"name": "digits", "root": None, "cache": None, "batch_size": 64, "train_size": None},
    "model": {"name": "wrn", "depth": 10, "width": 1.0, "widths": None, "blocks_per_group": None},
    "augment": {"name": "none", "flip": False, "padding": 0},
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "l2": 0.0005},
    "schedule": {
        "name": "constant",
        "epochs": 3,
        "boundaries": [],
        "factor": 1.0,
        "phases": [0.3, 0.6],
        "warmup_epochs": 0.0,
        "stop_at_train_loss": None,
        "match_compute": False,
        "eval_every": 1,
        "checkpoint_every": 1,
        "keep_checkpoints": None,
    },
    "reg": {"name": "off"},
    "measure": {"names": "fast"},
    "tracking": {"name": "off"},
    "seed": 0,
    "precision": "float32",
    "device": "auto",
    "runs_dir": "runs",
}
REG_ON = {"name": "on", "num_sub_batches": 8, "alpha": 1e-4, "beta": 10.0, "share_pass": False, "phases": "011"}
STEPS_PER_EPOCH = 20
CONVENTION = {"samples": 1000, "draws": 10, "draw_size": 100, "batch_norm": "inference", "logit_scale": None}


def config_with(**changes: Any) -> dict[str, Any]:
    """The configuration with dotted settings changed, `reg="on"` or "off" as a choice."""
    config: dict[str, Any] = json.loads(json.dumps(CONFIG))
    for name, value in changes.items():
        *path, last = name.replace("__", ".").split(".")
        target = config
        for part in path:
            target = target[part]
        target[last] = REG_ON if (name, value) == ("reg", "on") else {"name": "off"} if name == "reg" else value
    return config


def evaluation(
    gap: float,
    measures: dict[str, float],
    *,
    convention: Any = CONVENTION,
    train_loss: float = 0.01,
    n_test: int | None = 400,
    **extra: Any,
) -> dict[str, Any]:
    """One checkpoint's evaluation in measures.json; each measure has a standard error and a convention."""
    noted = {
        name: {"value": value, "std_error": 0.5, "unit": "nats", "direction": "lower", "convention": convention}
        for name, value in measures.items()
    }
    return {
        "checkpoint": "epoch-0003",
        "step": 60,
        "epoch": 3,
        "train": {"loss": train_loss, "accuracy": 0.99},
        "test": {"loss": train_loss + gap * 3, "accuracy": 0.99 - gap},
        "gap": {"error": gap, "loss": gap * 3},
        "n_train": STEPS_PER_EPOCH * 64,
        "n_test": n_test,
        "measures": noted,
        **extra,
    }


def write_run(
    path: Path, config: dict[str, Any], checkpoints: dict[str, Any] | None, *, steps: int = 3, **status: Any
) -> Path:
    """A finished run; without `checkpoints` it was never evaluated."""
    (path / "checkpoints").mkdir(parents=True)
    (path / "plots").mkdir()
    (path / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (path / "overrides.yaml").write_text("[]\n")
    (path / "status.json").write_text(json.dumps({"state": "FINISHED", "identity": "ab", "step": 60, **status}))
    lines = [
        {"step": s, "epoch": s, "train/loss": 1 / s, "test/loss": 1.2 / s, "timing": {}} for s in range(1, steps + 1)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if checkpoints is not None:
        (path / "measures.json").write_text(json.dumps({"format": 1, "checkpoints": checkpoints}))
    return path


def grid_of_runs(root: Path, *, seeds: int = 2, noise: float = 0.01, rates: Sequence[float] = (0.1, 0.2)) -> Path:
    """Learning rates × 2 batch sizes × regularizer on and off, some seeds; the gap follows gamma up to noise."""
    rng = np.random.default_rng(0)
    for lr in rates:
        for batch in (32, 64):
            for reg in ("on", "off"):
                for seed in range(seeds):
                    gap = 0.05 + lr / 4 + batch / 1000 - 0.03 * (reg == "on") + noise * rng.normal()
                    measures = {"gamma": 300 * gap - 100 + rng.normal(), "noise": rng.normal(), "width": 1.0}
                    config = config_with(optimizer__learning_rate=lr, data__batch_size=batch, reg=reg, seed=seed)
                    images = {"n_train": STEPS_PER_EPOCH * batch}
                    last = evaluation(gap, measures, **images)
                    middle = evaluation(gap / 2, {"gamma": 300 * gap - 140}, step=20, epoch=1, **images)
                    last["measures"]["gamma"]["spectrum"] = sorted(rng.gamma(1.0, size=12).tolist(), reverse=True)
                    name = f"run-{reg}-{lr}-{batch}-{seed}"
                    write_run(root / name, config, {"last": last, "epoch-0001": middle, "epoch-0003": last})
    return root


def three_runs(root: Path, **changes: Any) -> Path:
    """Three evaluated runs of different learning rates; `changes` are arguments of the last run's evaluation."""
    for index, lr in enumerate((0.1, 0.2, 0.4)):
        extra = changes if index == 2 else {}
        config = config_with(optimizer__learning_rate=lr)
        found = evaluation(0.1 + lr / 10, {"gamma": lr * 10, "noise": [3.0, 1.0, 2.0][index]}, **extra)
        write_run(root / f"run-{index}", config, {"last": found})
    return root
