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
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.sweep import INFOMCR, Cost, cost_of

LIMITS = {"train, to the first step": 5.0, "eval": 8.0, "compare": 3.0}
SMALL = "data=digits model=mlp data.train_size=256 data.test_size=128 schedule=constant schedule.epochs=2 measure=fast"
GRID = "optimizer.learning_rate=0.01,0.02,0.05,0.1,0.2 seed=0,1 sweep.name=ten"
FIRST = "data=digits data.train_size=64 data.test_size=64 schedule.epochs=1 measure.gamma.draw_size=32"


@dataclass(frozen=True)
class Row:
    """A command and what it took in each round.

    Args:
        seconds:           on the clock.
        processor_seconds: of all cores, child processes included.
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)

    def add(self, cost: Cost) -> None:
        """Note another round."""
        self.seconds.append(cost.wall)
        self.processor_seconds.append(cost.cpu)

    def line(self) -> str:
        """Return a line of the table."""
        wall, cpu = statistics.median(self.seconds), statistics.median(self.processor_seconds)
        limit = f"   (at most {LIMITS[self.name]:.0f})" if self.name in LIMITS else ""
        return f"{self.name:28}{wall:7.2f}{cpu:7.2f}{limit}"


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


def measured(rounds: int) -> list[Row]:
    """Train ten runs, then run every command in turn, after a first round that is not counted."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cost_of(f"{INFOMCR} sweep {SMALL} {GRID}", folder)
        cost_of(f"{INFOMCR} compare 'runs/*' --csv table.csv", folder)
        todo = commands(folder)
        rows = {one: Row(one) for one in todo}
        for number in range(rounds + 1):
            for one, command in todo.items():
                cost = command()
                if number:
                    rows[one].add(cost)
    return list(rows.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of each command, besides the first")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rows = measured(options.rounds)
    print(f"{'infomcr':28}{'clock':>7}{'cores':>7}  seconds, medians of {options.rounds}")
    for row in rows:
        print(row.line())
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows]) + "\n", encoding="utf-8")
    return int(any(statistics.median(row.seconds) > LIMITS.get(row.name, float("inf")) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
