"""What a regularizer costs: one step of Wide ResNet 28-2 as a multiple of the plain step, its first call, its memory.

Command:  python -m benchmarks.training_step [KIND ...] [--rounds 5] [--batch 128] [--json FILE]
          [--deterministic true,false]
Steps take turns in one process, so that a busy machine slows both sides; a ratio is the median over the rounds, of
wall-clock time and of processor time (cpu), which other users of the machine disturb less. First call and peak memory
have a process of their own for each kind: the regularizer's is held against the plain one's. `deterministic` holds for
a whole process and is the same on both sides; both settings are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.rows import MEMORY, SLOWER, Row, finish, ratios_of

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
KINDS = {
    "plain": ["reg=off"],
    "on": ["reg=on"],
    "on_shared": ["reg=on", "reg.share_pass=true"],
    "sam": ["reg=sam"],
    "gradient_norm": ["reg=gradient_norm"],
    "fisher_trace": ["reg=fisher_trace"],
    "fisher_trace_shared": ["reg=fisher_trace", "reg.share_pass=true"],
}
LIMITS = {"on": {"step": 3.05, "first_call": 2.5, "memory": 1.25}, "on_shared": {"step": 2.05}}
PLAIN = "a plain step"
STARTS = 3  # processes of each kind for the first call and the memory: medians
_prepared: list[bool] = []  # a process is prepared once


def main() -> int:
    """Print the table; 1 where a limit is missed."""
    options = _options()
    if options.alone:
        print(json.dumps(_alone(options.alone, options)))
        return 0
    if options.turns:
        print(json.dumps(_turns(options.kinds, options)))
        return 0
    print(f"Wide ResNet 28-2, 32x32x3, batch {options.batch}", flush=True)
    rows = [row for setting in options.deterministic.split(",") for row in _table(setting, options)]
    return finish(rows, options.json)


def _table(deterministic: str, options: argparse.Namespace) -> list[Row]:
    """Measure and print, row by row, all kinds in one setting of `deterministic`."""
    kinds = ["plain", *(kind for kind in options.kinds or KINDS if kind != "plain")]
    seconds = _child(options, deterministic, "--turns", *kinds)
    alone, rows = {}, []
    for kind in kinds:
        alone[kind] = _medians([_child(options, deterministic, f"--alone={kind}") for _ in range(STARTS)])
        found = [_step_row(kind, deterministic, seconds), *_start_rows(kind, deterministic, alone)]
        print("\n".join(row.line() for row in found), flush=True)
        rows += found
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each kind")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--deterministic", choices=("true", "false", "true,false"), default="true,false")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    parser.add_argument("--turns", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _child(options: argparse.Namespace, deterministic: str, *arguments: str) -> Any:
    settings = [f"--rounds={options.rounds}", f"--batch={options.batch}", f"--deterministic={deterministic}"]
    command = [sys.executable, "-m", "benchmarks.training_step", *settings, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _step(kind: str, options: argparse.Namespace) -> Callable[[], None]:
    """Return a step on one batch in memory, waited for."""
    import keras
    import tensorflow as tf

    from infomcr_cli import runtime
    from infomcr_cli.config.compose import compose_run
    from infomcr_cli.models import build_model
    from infomcr_cli.training.setup import make_regularizer
    from infomcr_cli.training.state import TrainingState

    config = compose_run(
        [*KINDS[kind], f"deterministic={options.deterministic}", f"data.batch_size={options.batch}", "device=cpu"]
    )
    if not _prepared:
        runtime.prepare(config)
        _prepared.append(True)
    model = build_model("wrn", input_shape=(32, 32, 3), num_classes=10, depth=28, width=2, l2=5e-4)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    state = TrainingState(model, optimizer, make_regularizer(config.reg))
    images, labels = tf.random.normal((options.batch, 32, 32, 3)), tf.range(options.batch, dtype=tf.int32) % 10

    def step() -> None:
        (state.plain_step if kind == "plain" else state.regularized_step)(images, labels)
        state.failed_at.numpy()

    return step


def _turns(kinds: list[str], options: argparse.Namespace) -> dict[str, list[tuple[float, float]]]:
    """Return the seconds of each kind's steps, taken in turns after one that compiles, and those of the processors."""
    made = {kind: _step(kind, options) for kind in kinds}
    for step in made.values():
        step()
    seconds: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for _ in range(options.rounds):
        for kind, step in made.items():
            seconds[kind].append(_timed(step))
    return seconds


def _alone(kind: str, options: argparse.Namespace) -> dict[str, float]:
    step = _step(kind, options)
    first_call, _ = _timed(step)
    step()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"first_call": first_call, "memory": peak}


def _medians(found: list[dict[str, float]]) -> dict[str, float]:
    return {what: statistics.median(one[what] for one in found) for what in found[0]}


def _timed(step: Callable[[], None]) -> tuple[float, float]:
    """Return seconds by the wall clock and of the processors."""
    began, worked = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - began, time.process_time() - worked


def _step_row(kind: str, deterministic: str, seconds: dict[str, list[tuple[float, float]]]) -> Row:
    """Return the row of the steps taken in turns."""
    (ours, busy), (plain, _) = (zip(*seconds[one], strict=True) for one in (kind, "plain"))
    name = f"a step, {' '.join(KINDS[kind])}, deterministic={deterministic}"
    if kind == "plain":
        return Row(name, ours, busy)
    ratios = ratios_of(ours, plain, SLOWER)
    target = LIMITS.get(kind, {}).get("step")
    return Row(name, ours, busy, against=PLAIN, other_seconds=plain, ratios=ratios, meaning=SLOWER, target=target)


def _start_rows(kind: str, deterministic: str, alone: dict[str, dict[str, float]]) -> list[Row]:
    """Return the rows of the first call and of the memory, each of a process of its own."""
    if kind == "plain":
        return []
    limits, name = LIMITS.get(kind, {}), f"{' '.join(KINDS[kind])}, deterministic={deterministic}"
    ours, plain = alone[kind], alone["plain"]
    first = Row(
        f"its first call, {name}",
        [ours["first_call"]],
        against=PLAIN,
        other_seconds=[plain["first_call"]],
        ratios=[ours["first_call"] / plain["first_call"]],
        meaning=SLOWER,
        target=limits.get("first_call"),
    )
    memory = Row(
        f"its memory, {name}",
        peak_bytes=int(ours["memory"]),
        against=PLAIN,
        other_peak_bytes=int(plain["memory"]),
        ratios=[ours["memory"] / plain["memory"]],
        meaning=MEMORY,
        target=limits.get("memory"),
    )
    return [first, memory]


if __name__ == "__main__":
    sys.exit(main())
