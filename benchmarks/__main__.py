"""Run benchmark suites by name, all by default: python -m benchmarks [NAME ...]; see `SUITES`."""

from __future__ import annotations

import subprocess
import sys

SUITES = ("gamma", "layers", "training", "training_step", "measures", "sweep", "ranking")


def main() -> int:
    """Run each suite in a process of its own; 1 where one fails."""
    chosen = sys.argv[1:] or list(SUITES)
    if unknown := set(chosen) - set(SUITES):
        print(f"suites must be among {', '.join(SUITES)}; got {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    return max(_run(suite) for suite in chosen)


def _run(suite: str) -> int:
    print(f"\n{suite}", flush=True)
    return min(1, abs(subprocess.run([sys.executable, "-m", f"benchmarks.{suite}"], check=False).returncode))


if __name__ == "__main__":
    sys.exit(main())
