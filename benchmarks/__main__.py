"""Run benchmark suites by name, all by default, compare what two runs wrote, or write the document of benchmarks.

python -m benchmarks [NAME ...] [--json FILE]; see `SUITES`
python -m benchmarks compare A.json B.json
python -m benchmarks document     docs/benchmarks.md from docs/benchmarks/*.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.compare import read, report
from benchmarks.document import known_suites, write_document
from benchmarks.machine import machine

SUITES = ("gamma", "layers", "training", "training_step", "measures", "sweep", "ranking", "start")


def main(arguments: list[str]) -> int:
    """Run each suite in a process of its own; 1 where one fails, 2 for bad input."""
    if arguments[:1] == ["compare"]:
        return _compare(arguments[1:])
    if arguments == ["document"]:
        write_document()
        return 0
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run benchmark suites.")
    parser.add_argument(
        "suites", nargs="*", metavar="NAME", help=f"of {', '.join(SUITES)}; or compare A.json B.json, or document"
    )
    parser.add_argument(
        "--json", type=Path, help="write machine, versions and times here, beside the suites that it has"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.suites) - set(SUITES):
        print(f"suites must be among {', '.join(SUITES)}; got {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    try:
        document: dict[str, Any] = {"machine": machine(), "suites": {}}
        if options.json:
            document["suites"] = known_suites(options.json, document["machine"])
    except (OSError, ValueError) as error:
        print(f"--json takes a new file, or one of this machine; {error}", file=sys.stderr)
        return 2
    failed = False
    for suite in options.suites or SUITES:
        failed |= not _run(suite, document["suites"])
        if options.json:  # after each suite, for all of them take over an hour
            options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return int(failed)


def _run(suite: str, found: dict[str, Any]) -> bool:
    """Run a suite and record its time and what it wrote; say whether it went well."""
    print(f"\n{suite}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path, began = Path(folder) / "found.json", time.perf_counter()
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{suite}", "--json", str(path)], check=False)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        found[suite] = {"time": now, "took": time.perf_counter() - began, "went_well": done.returncode == 0}
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
