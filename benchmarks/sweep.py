"""A sweep against a shell loop over the same runs, two at a time; the start-up of a job's process; the planning.

Command:  python -m benchmarks.sweep [--jobs 16] [--epochs 40] [--repeats 1] [--json FILE]
Expected: the sweep takes at most 5 % longer than `xargs -P2 infomcr train`; 10,000 jobs are planned within 10 s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rows import SLOWER, Row, finish, ratios_of

INFOMCR = str(Path(sys.executable).with_name("infomcr"))
LIMIT, PLANNING_SECONDS = 1.05, 10.0
SMALL = ("model.depth=10", "model.width=0.5", "data.train_size=512", "reg=off")
GRID = (
    "reg=on,off",
    "augment=none,standard",
    "seed=range(250)",
    "optimizer.learning_rate=0.1,0.05",
    "data.batch_size=16,32,64,128,256",
)


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds on the wall, and of all cores together."""

    wall: float
    cpu: float


def cost_of(command: str, folder: Path) -> tuple[Cost, str]:
    """Run a shell command and return its cost and its standard output."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "INFOMCR_STATE": str(folder / "state")}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), done.stdout


def by_loop(jobs: int, settings: Sequence[str], folder: Path) -> Cost:
    """The same runs by a shell, two at a time, each with one of two cores."""
    line = f"seq 0 {jobs - 1} | INFOMCR_THREADS=1 xargs -P2 -I@ {INFOMCR} train {shlex.join(settings)} seed=@"
    return cost_of(f"{line} 2>errors.txt", folder)[0]


def by_sweep(jobs: int, settings: Sequence[str], folder: Path) -> tuple[Cost, dict[str, Any]]:
    """The runs as one sweep, without the evaluation that the loop does not do either."""
    own = ("sweep.evaluate=false", "sweep.compare=false", "engine.jobs=2", f"seed=range({jobs})")
    cost, out = cost_of(f"{INFOMCR} sweep {shlex.join([*settings, *own])} --json", folder)
    return cost, json.loads(out)


def planning() -> tuple[int, float]:
    """Return how many jobs a `--dry-run` planned and the seconds that it took, the start of Python included."""
    with tempfile.TemporaryDirectory() as folder:
        cost, out = cost_of(f"{INFOMCR} sweep {shlex.join(GRID)} --dry-run --json", Path(folder))
    return len(json.loads(out)["jobs"]), cost.wall


def main() -> int:
    """Measure in turns and print; 1 where a limit is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = [_planning_row(), *_sweep_rows(given.jobs, given.repeats, (*SMALL, f"schedule.epochs={given.epochs}"))]
    print("\n".join(row.line() for row in rows))
    return finish(rows, given.json)


def _planning_row() -> Row:
    count, seconds = planning()
    assert count == 10_000
    return Row(f"the planning of {count:,} jobs", [seconds], target=PLANNING_SECONDS)


def _sweep_rows(jobs: int, repeats: int, settings: Sequence[str]) -> list[Row]:
    loops, sweeps = [], []
    startup: dict[str, float] = {}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            loops.append(by_loop(jobs, settings, Path(one)))
            cost, document = by_sweep(jobs, settings, Path(other))
        sweeps.append(cost)
        startup = document["startup_seconds"] or {}
        assert document["finished"] == jobs
    sweep = Row(
        f"a sweep of {jobs} jobs, two at a time",
        [one.wall for one in sweeps],
        [one.cpu for one in sweeps],
        against="a shell loop",
        other_seconds=[one.wall for one in loops],
        ratios=ratios_of([one.wall for one in sweeps], [one.wall for one in loops], SLOWER),
        meaning=SLOWER,
        target=LIMIT,
    )
    starts = {"the start of a job's process": "took", "what a job waited for it": "waited"}
    return [sweep, *(Row(name, [startup[key]]) for name, key in starts.items() if key in startup)]


if __name__ == "__main__":
    sys.exit(main())
