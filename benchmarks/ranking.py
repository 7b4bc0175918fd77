"""Ranking 1,000 runs with 20 measures: run directories read, statistics with intervals, table printed.

Command:  python -m benchmarks.ranking [--runs 1000] [--measures 20] [--json FILE]
Expected: at most 20 s and 1 GB. The run directories are generated; nothing is trained.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.rows import Row, finish

LIMIT_SECONDS, LIMIT_BYTES = 20.0, 10**9
GRID: dict[str, tuple[Any, ...]] = {
    "model.width": (0.5, 1, 2, 4),
    "model.depth": (10, 16, 22),
    "data.batch_size": (32, 64, 128, 256),
    "optimizer.learning_rate": (0.02, 0.05, 0.1, 0.2),
    "optimizer.l2": (0.0, 1e-4, 5e-4),
    "reg.name": ("off", "on"),
}
BASE = Path(__file__).resolve().parents[1] / "conf"
GROUPS = {"data": "digits", "model": "wrn", "augment": "none", "optimizer": "sgd", "schedule": "piecewise"}


def generate(root: Path, runs: int, measures: int) -> None:
    """Write evaluated run directories of a full grid of settings, with a gap that the measures follow more or less."""
    rng = np.random.default_rng(0)
    base = {group: yaml.safe_load((BASE / group / f"{name}.yaml").read_text()) for group, name in GROUPS.items()}
    base |= {"reg": {"name": "off"}, "measure": yaml.safe_load((BASE / "measure" / "standard.yaml").read_text())}
    for index, values in enumerate(itertools.islice(itertools.product(*GRID.values()), runs)):
        config = json.loads(json.dumps({**base, "seed": 0, "precision": "float32", "device": "auto"}))
        for name, value in zip(GRID, values, strict=True):
            group, _, leaf = name.partition(".")
            config[group][leaf] = value
        gap = 0.1 + 0.02 * np.log(values[0]) + 0.0002 * values[2] - 0.1 * values[3] + 0.02 * rng.normal()
        taken = {f"measure_{m:02d}": _measured(gap + 0.01 * m * rng.normal()) for m in range(measures)}
        _write_run(root / f"run-{index:04d}", config, gap, taken)


def _measured(value: float) -> dict[str, Any]:
    convention = {"samples": 10000, "draws": 100, "draw_size": 100, "batch_norm": "inference", "logit_scale": None}
    return {"value": value, "std_error": 0.01, "unit": "nats", "direction": "lower", "convention": convention}


def _write_run(folder: Path, config: dict[str, Any], gap: float, measures: dict[str, Any]) -> None:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / "status.json").write_text(json.dumps({"state": "FINISHED", "identity": folder.name}))
    evaluation = {
        "train": {"loss": 0.01, "accuracy": 1.0},
        "test": {"loss": 0.01 + gap, "accuracy": 1.0 - max(gap, 0.0)},
        "gap": {"error": gap, "loss": gap},
        "n_test": 10000,
        "measures": measures,
    }
    (folder / "measures.json").write_text(json.dumps({"format": 1, "checkpoints": {"last": evaluation}}))


def measure(root: Path) -> dict[str, float]:
    """Compare the runs in a process of its own and return seconds and peak bytes."""
    command = [sys.executable, "-m", "benchmarks.ranking", "--ranking", str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def ranking(root: Path) -> None:
    """Compare, print the tables to nowhere, and print seconds and peak bytes of this process as JSON."""
    start, at_work = time.perf_counter(), time.process_time()
    from rich.console import Console

    from infomcr_cli.compare import CompareRequest, compare

    comparison = compare(CompareRequest((str(root),)))
    with open("/dev/null", "w") as nowhere:
        console = Console(file=nowhere, width=160)
        for part in comparison.renderables(console.width):
            console.print(part)
    seconds, cpu = time.perf_counter() - start, time.process_time() - at_work
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sizes = {"minima": comparison.ranking.n, "measures": len(comparison.measures), "axes": len(comparison.axes)}
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak, **sizes}))


def main() -> int:
    """Print the figures; 1 where a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--measures", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--ranking", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ranking:
        ranking(options.ranking)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder) / "runs", options.runs, options.measures)
        result = measure(Path(folder) / "runs")
    sizes = ", ".join(f"{result[key]:,.0f} {key}" for key in ("minima", "measures", "axes"))
    peak = int(result["peak_bytes"])
    times = [result["seconds"]], [result["cpu_seconds"]]
    row = Row(f"compare: {sizes}", *times, peak, target=LIMIT_SECONDS, most_bytes=LIMIT_BYTES)
    print(row.line())
    return finish([row], options.json)


if __name__ == "__main__":
    sys.exit(main())
