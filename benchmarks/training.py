"""Training of Wide ResNet 28-2 against what bounds it: a bare loop, PyTorch, float32; and the way to the first step.

Command:  python -m benchmarks.training [whole] [precision] [torch] [start] [--rounds 5] [--steps 10] [--json FILE]
Both sides of a ratio take turns in one run; it is the median over the turns. Settings that hold for a whole process
(`deterministic`) have a process of their own, and both are printed. PyTorch is found by the python of
`INFOMCR_PEERS`; without it its row is left out and said to be.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
LIMITS = {"whole": 0.96, "precision": 1.35, "torch": 0.95}
AGAINST = {"whole": "a bare loop", "precision": "float32", "torch": "PyTorch"}
ROWS = (*LIMITS, "start")


@dataclass(frozen=True)
class Ratio:
    """Speed of one side over that of the other, in the turns that both took.

    Args:
        ours, theirs: seconds of each turn, for the same work.
        images:       of one turn.
    """

    row: str
    deterministic: bool
    ours: Sequence[float]
    theirs: Sequence[float]
    images: int

    @property
    def value(self) -> float:
        """Median over the turns."""
        return statistics.median(theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True))

    def line(self) -> str:
        """Return a line of the table."""
        ours, theirs = (self.images / statistics.median(side) for side in (self.ours, self.theirs))
        setting = f"deterministic={_word(self.deterministic)}"
        speeds = f"{ours:7.1f} images/s, {AGAINST[self.row]:11} {theirs:7.1f}"
        return f"{self.row:10}{setting:21}{speeds}   {self.value:.3f} (at least {LIMITS[self.row]})"


def main() -> int:
    """Print the table; 1 where a limit is missed."""
    options = _options()
    results = []
    for row in options.rows or ROWS:
        if row == "start":
            _print_start()
        elif row == "torch" and not os.environ.get("INFOMCR_PEERS"):
            print("torch     left out: INFOMCR_PEERS names no python that has PyTorch")
        else:
            results += [_ratio(row, deterministic, options) for deterministic in (True, False)]
    if options.json:
        options.json.write_text(json.dumps([_entry(result) for result in results]))
    return int(any(result.value < LIMITS[result.row] for result in results))


def _entry(result: Ratio) -> dict[str, Any]:
    name = f"{result.row}, deterministic={_word(result.deterministic)}"
    return {"name": name, **asdict(result), "ratio": result.value, "seconds": list(result.ours)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; default: all")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side")
    parser.add_argument("--steps", type=int, default=10, help="steps in a turn")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _ratio(row: str, deterministic: bool, options: argparse.Namespace) -> Ratio:
    settings = {"rounds": options.rounds, "steps": options.steps, "deterministic": _word(deterministic)}
    found = _turns(row, *(f"--{name}={value}" for name, value in settings.items()))
    result = Ratio(row, deterministic, **found)
    print(result.line(), flush=True)
    return result


def _turns(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.training_turns", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _print_start() -> None:
    parts = _turns("start")
    print("from the command to the first step, digits, Wide ResNet 28-2: seconds, and those of the processor")
    together = [sum(seconds) for seconds in zip(*parts.values(), strict=True)]
    for part, (seconds, busy) in {**parts, "together": together}.items():
        print(f"  {part:36}{seconds:7.2f} {busy:7.2f}")
    with tempfile.TemporaryDirectory() as folder:
        print(f"  {'infomcr train itself, MLflow on':36}{_whole_start(Path(folder)):7.2f}", flush=True)


def _whole_start(folder: Path) -> float:
    """Return the seconds from the start of an `infomcr train` to its first step, as its own metrics tell."""
    run = folder / "runs" / "a"
    command = [str(Path(sys.executable).with_name("infomcr")), "train", f"--run-dir={run}", "data=digits"]
    small = ["data.train_size=64", "data.test_size=64", "schedule.epochs=1", "measure.gamma.draw_size=32"]
    subprocess.run([*command, *small], check=True, capture_output=True)
    first = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    return float(first["timing"]["seconds_to_first_step"])


def _word(flag: bool) -> str:
    return "true" if flag else "false"


if __name__ == "__main__":
    sys.exit(main())
