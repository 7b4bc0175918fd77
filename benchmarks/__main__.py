"""Run benchmark suites by name, all by default, or compare what two runs wrote.

python -m benchmarks [NAME ...] [--json FILE]; see `SUITES`.   python -m benchmarks compare A.json B.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.compare import read, report
from benchmarks.machine import machine

SUITES = ("gamma", "layers", "training", "training_step", "measures", "sweep", "ranking")
WITH_DOCUMENT = ("training", "measures")  # suites that take --json


def main(arguments: list[str]) -> int:
    """Run each suite in a process of its own; 1 where one fails, 2 for bad input."""
    if arguments[:1] == ["compare"]:
        return _compare(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run benchmark suites.")
    parser.add_argument("suites", nargs="*", metavar="NAME", help=f"of {', '.join(SUITES)}, or compare A.json B.json")
    parser.add_argument("--json", type=Path, help="write machine, versions and times here")
    options = parser.parse_args(arguments)
    if unknown := set(options.suites) - set(SUITES):
        print(f"suites must be among {', '.join(SUITES)}; got {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    document: dict[str, Any] = {"machine": machine(), "suites": {}}
    failed = [suite for suite in options.suites or SUITES if not _run(suite, document["suites"])]
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 1 if failed else 0


def _run(suite: str, found: dict[str, Any]) -> bool:
    """Run a suite and record its time and what it wrote; say whether it went well."""
    print(f"\n{suite}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path, began = Path(folder) / "found.json", time.perf_counter()
        own = ["--json", str(path)] if suite in WITH_DOCUMENT else []
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{suite}", *own], check=False)
        found[suite] = {"seconds": time.perf_counter() - began, "went_well": done.returncode == 0}
        if path.exists():
            found[suite]["found"] = read(path)
    return done.returncode == 0


def _compare(paths: list[str]) -> int:
    if len(paths) != 2:
        print("compare takes two files: python -m benchmarks compare A.json B.json", file=sys.stderr)
        return 2
    try:
        print(report(*(read(Path(path)) for path in paths)))
    except (OSError, ValueError) as error:
        print(f"compare takes two JSON documents of benchmarks; {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
