"""A job's process without TensorFlow: the real worker, directory, lock, signals and checkpoints; a random walk learns.

`optimizer.momentum` chooses what goes wrong: 0.13 raises, 0.14 raises once
another job has a checkpoint, 0.66 hangs and hears no signal, 0.77 takes all memory.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infomcr_cli.engine import run_job as run_job
from infomcr_cli.engine import worker
from infomcr_cli.measures.base import chosen_measures
from infomcr_cli.runs import (
    Checkpoint,
    MetricsLog,
    epoch_name,
    has_checkpoint,
    load_checkpoint,
    read_status,
    save_checkpoint,
    step_name,
)
from infomcr_cli.runs.lifecycle import ActiveRun, RunOutcome
from infomcr_cli.runs.measures_file import Evaluation, record_evaluation
from infomcr_cli.signals import Interrupted, Interruption, Pruned

STEPS = 4
IMAGES = 100
PACE = float(os.environ.get("LIGHT_PACE", "0.01"))


@dataclass(frozen=True)
class TrainJob:
    run: ActiveRun
    config: Any
    store: Any
    console: Any
    began: float | None = None
    ends: Any = None


def run_training(work: TrainJob) -> RunOutcome:
    print(f"GPU {os.environ.get('CUDA_VISIBLE_DEVICES', 'none')}", file=sys.stderr)
    with work.run.carry_out() as carried:
        learn(work, carried.interruption)
    return carried.outcome


def learn(work: TrainJob, interruption: Interruption) -> None:
    run, config = work.run.directory, work.config
    step, weights = 0, np.zeros(8)
    if has_checkpoint(run):
        checkpoint = load_checkpoint(run)
        step, weights = checkpoint.step, np.array(checkpoint.weights["w"])
    work.run.begin(step=step, epoch=step // STEPS)  # the status may be older: a kill comes between two files
    MetricsLog(run).truncate_after(step)
    while step < config.schedule.epochs * STEPS:
        time.sleep(PACE)
        misbehave(config.optimizer.momentum, Path(config.runs_dir))
        step += 1
        weights = (
            0.9 * weights + np.random.default_rng([config.seed, step]).normal(size=8) * config.optimizer.learning_rate
        )
        epoch = step // STEPS
        if step % STEPS == 0:
            loss = float(np.sum(weights**2))
            values = {"train/loss": loss, **validation(config, loss)}
            MetricsLog(run).append(step, epoch, values, {"time": time.time(), "images_per_second": 1.0})
            save_checkpoint(run, epoch_name(epoch), Checkpoint(step, epoch, {"w": weights}, train_loss=loss))
            work.run.update(step=step, epoch=epoch)
            if work.ends and (reason := work.ends(epoch, values)):
                work.run.update(pruned_at=epoch)
                raise Pruned(reason)
        try:
            interruption.check()
        except Interrupted:
            save_checkpoint(run, step_name(step), Checkpoint(step, epoch, {"w": weights}))
            raise


def validation(config: Any, loss: float) -> dict[str, float]:
    """Scores of a validation split where there is one: the loss is lowest at a learning rate of 0.1 without L2."""
    if config.data.validation_size is None:
        return {}
    distance = abs(np.log(config.optimizer.learning_rate / 0.1)) + config.optimizer.l2
    return {"validation/loss": 0.1 + float(distance), "validation/accuracy": 1 / (1 + float(distance))}


def misbehave(momentum: float, runs: Path) -> None:
    while momentum == 0.14 and not list(runs.glob("*/checkpoints/*.safetensors")):
        time.sleep(0.01)
    if momentum in (0.13, 0.14):
        raise ArithmeticError("this job fails on purpose")
    if momentum == 0.66:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
    if momentum == 0.77:
        hoard = [bytearray(os.urandom(1)) * 20_000_000 for _ in range(40)]
        time.sleep(1000)
        del hoard


def measure_run(run: Any, config: Any, checkpoints: Any, console: Any) -> list[Any]:
    time.sleep(PACE)
    loss = float(np.sum(load_checkpoint(run, "last").weights["w"] ** 2))
    entry = {"value": loss * 2, "std_error": 0.1, "unit": "nats", "direction": "lower"}
    measures = {
        one.name: {**entry, "convention": one.convention(config.measure, IMAGES)}
        for one in chosen_measures(config.measure.names)
    }
    scores = {"train": {"loss": loss, "accuracy": 0.9}, "test": {"loss": loss + 0.1, "accuracy": 0.8}}
    gap = {"error": 0.1 + loss / 100, "loss": 0.1}
    step = read_status(run).step
    place = {"step": step, "epoch": step // STEPS, "reached_target": None, "n_train": IMAGES, "n_test": IMAGES}
    record_evaluation(run, "last", Evaluation.model_validate({**place, **scores, "gap": gap, "measures": measures}))
    return []


def module(name: str, **content: Any) -> None:
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(content)


if __name__ == "__main__":
    module("infomcr_cli.training.trainer", TrainJob=TrainJob, run_training=run_training)
    module("infomcr_cli.measures.evaluate", measure_run=measure_run)
    run_job.PATIENCE = float(os.environ.get("LIGHT_PATIENCE", run_job.PATIENCE))
    worker.main()
