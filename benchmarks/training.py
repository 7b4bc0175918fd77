"""Training of Wide ResNet 28-2 against what bounds it: a bare loop, PyTorch, float32; parts of the way to step one.

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
from pathlib import Path
from typing import Any

from benchmarks.rows import FASTER, Row, finish, ratios_of

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
LIMITS = {"whole": 0.96, "precision": 1.35, "torch": 0.95}
NAMES = {"whole": "infomcr train, whole, by step", "precision": "a step in mixed_bfloat16", "torch": "a step"}
AGAINST = {"whole": "a bare tf.function loop", "precision": "float32", "torch": "PyTorch"}
ROWS = (*LIMITS, "start")


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
    return finish(results, options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side")
    parser.add_argument("--steps", type=int, default=10, help="steps in a turn")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _ratio(row: str, deterministic: bool, options: argparse.Namespace) -> Row:
    settings = {"rounds": options.rounds, "steps": options.steps, "deterministic": _word(deterministic)}
    found = _turns(row, *(f"--{name}={value}" for name, value in settings.items()))
    name = f"{NAMES[row]}, deterministic={_word(deterministic)}"
    result = Row(
        name,
        found["ours"],
        against=AGAINST[row],
        other_seconds=found["theirs"],
        ratios=ratios_of(found["ours"], found["theirs"], FASTER),
        meaning=FASTER,
        target=LIMITS[row],
    )
    images = found["images"]
    speeds = (images / statistics.median(found[side]) for side in ("ours", "theirs"))
    print(f"{result.line()}   {' and '.join(f'{speed:.0f}' for speed in speeds)} images/s", flush=True)
    return result


def _turns(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.training_turns", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _print_start() -> None:
    """Print the parts of the way to the first step; `benchmarks.start` times the command itself."""
    parts = _turns("start")
    print("from the command to the first step, digits, Wide ResNet 28-2: seconds, and those of the processor")
    together = [sum(seconds) for seconds in zip(*parts.values(), strict=True)]
    for part, (seconds, busy) in {**parts, "together": together}.items():
        print(f"  {part:36}{seconds:7.2f} {busy:7.2f}")


def _word(flag: bool) -> str:
    return "true" if flag else "false"


if __name__ == "__main__":
    sys.exit(main())
