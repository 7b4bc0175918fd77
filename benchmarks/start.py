"""Seconds that commands take which compute little: their start, their imports, MLflow.

Command:  python -m benchmarks.start [--rounds 3] [--json FILE]
Expected: the first step of `train` on digits within 5 s, `eval` of a small run within 8 s, `compare` of ten runs within
3 s. Ten small runs are trained and measured first.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.rows import Row, finish
from benchmarks.sweep import INFOMCR, Cost, cost_of

LIMITS = {"train, to the first step": 5.0, "eval": 8.0, "compare": 3.0}
SMALL = "data=digits model=mlp data.train_size=256 data.test_size=128 schedule=constant schedule.epochs=2 measure=fast"
GRID = "optimizer.learning_rate=0.01,0.02,0.05,0.1,0.2 seed=0,1 sweep.name=ten"
FIRST = "data=digits data.train_size=64 data.test_size=64 schedule.epochs=1 measure.gamma.draw_size=32"


def commands(folder: Path) -> dict[str, Callable[[], Cost]]:
    """Return the commands by their names in the table; each runs in `folder`, which holds ten runs."""

    def run(words: str) -> Callable[[], Cost]:
        return lambda: cost_of(f"{INFOMCR} {words}", folder)[0]

    run_of_ten = min((folder / "runs").iterdir()).name
    return {
        "--help": run("--help"),
        "measures": run("measures"),
        "config optimizer": run("config optimizer"),
        "runs": run("runs"),
        "judge": run("judge table.csv --gap gap_error --axes optimizer.learning_rate"),
        "compare --no-tracking": run("compare 'runs/*' --no-tracking"),
        "compare": run("compare 'runs/*'"),
        "eval": run(f"eval runs/{run_of_ten}"),
        "train, to the first step": lambda: _to_the_first_step(folder),
    }


def _to_the_first_step(folder: Path) -> Cost:
    """Return what `train` takes to its first step, as its own metrics tell, and in all of the processor."""
    run = folder / "first" / "run"
    shutil.rmtree(run.parent, ignore_errors=True)
    whole, _ = cost_of(f"{INFOMCR} train {FIRST} --run-dir {run}", folder)
    first = json.loads((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[0])
    return Cost(float(first["timing"]["seconds_to_first_step"]), whole.cpu)


def measured(rounds: int) -> dict[str, list[Cost]]:
    """Train ten runs, then run every command in turn, after a first round that is not counted."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cost_of(f"{INFOMCR} sweep {SMALL} {GRID}", folder)
        cost_of(f"{INFOMCR} compare 'runs/*' --csv table.csv", folder)
        todo = commands(folder)
        costs: dict[str, list[Cost]] = {one: [] for one in todo}
        for number in range(rounds + 1):
            for one, command in todo.items():
                cost = command()
                if number:
                    costs[one].append(cost)
    return costs


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of each command, besides the first")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rows = [
        Row(f"infomcr {name}", [one.wall for one in costs], [one.cpu for one in costs], target=LIMITS.get(name))
        for name, costs in measured(options.rounds).items()
    ]
    print("\n".join(row.line() for row in rows))
    return finish(rows, options.json)


if __name__ == "__main__":
    sys.exit(main())
