"""A small study: minima of CIFAR-10 images at one training loss, measured by everything, judged, written up.

Command:  make study-small CIFAR10=PATH, which is python -m benchmarks.study_small --data PATH
Expected: at most 90 minutes on 2 cores. The same command again does what is left, and writes the document anew.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.study_document import Judgement, document

PRESET = "experiment=study_small"
AXES = (
    "model.widths=[8,32,64],[8,48,96]",
    "model.blocks_per_group=1,2",
    "data.batch_size=16,32",
    "optimizer.learning_rate=0.07,0.12",
    "optimizer.l2=1e-4,5e-4",
)
# A regularized step takes three times as long: the wide networks, the most expensive runs, are skipped.
DEAREST = 'sweep.exclude=["model.widths=[8,48,96]"]'
# Crops keep so small a network from the target; flips alone do not.
FLIPS = ("augment.padding=0", "schedule.epochs=100")
# The regularizer has settings that plain training lacks, so its minima are a sweep of their own in the same folder.
SWEEPS = {
    "off": ("main", (*AXES, "reg=off")),
    "on": ("main", (*AXES, "reg=on", "reg.num_sub_batches=4", DEAREST)),
    "augmented": ("augmented", (*AXES[:1], *AXES[2:3], "augment=none,standard", *FLIPS)),
}
GAPS = ("error", "test_error")
PICTURES_OF_MEASURES = ("measures.png", "measures-2.png", "measures-3.png")  # nine measures each
KEPT = ("gamma-gap.svg", *PICTURES_OF_MEASURES, "psi.svg", "correlations.svg", "runs.csv")


def main() -> None:
    """Train and measure what is left, judge, and write the document."""
    options = _options()
    began = time.monotonic()
    for name, (folder, overrides) in SWEEPS.items():
        _sweep(name, folder, overrides, options)
    if options.dry_run:
        return
    minutes = _minutes_in_all(options.runs, (time.monotonic() - began) / 60)
    folders = list(dict.fromkeys(folder for folder, _ in SWEEPS.values()))
    judged = [Judgement(folder, gap, _compare(folder, gap, options)) for folder in folders for gap in GAPS]
    options.document.write_text(
        document(judged, [shlex.join(o) for _, o in SWEEPS.values()], minutes), encoding="utf-8"
    )
    print(f"{options.document}: {minutes:.0f} minutes of training and measuring", file=sys.stderr)


def _sweep(name: str, folder: str, overrides: Sequence[str], options: argparse.Namespace) -> None:
    arguments = [PRESET, *overrides, f"runs_dir={options.runs / folder}", f"engine.jobs={options.jobs}"]
    arguments += [f"data.root={options.data}"] if options.data else []
    arguments += [f"sweep.name={name}", "sweep.compare=false", *options.overrides]
    flags = ["--dry-run"] if options.dry_run else []
    # A run that fails or misses the target is reported in the document; bad input ends here.
    ended = subprocess.run(_infomcr("sweep", *arguments, *flags), env=_one_thread(), check=False)
    if ended.returncode not in (0, 1):
        sys.exit(ended.returncode)


def _minutes_in_all(runs: Path, now: float) -> float:
    """Add these minutes to those of earlier calls that left something to do."""
    log = runs / "minutes.json"
    spent = [*(json.loads(log.read_text()) if log.exists() else []), round(now, 1)]
    log.write_text(json.dumps(spent))
    return sum(spent)


def _compare(folder: str, gap: str, options: argparse.Namespace) -> Any:
    """Return the JSON document of a comparison; its pictures go beside the document, its page among the runs."""
    runs = options.runs / folder
    pictures = options.document.with_suffix("") / folder / gap
    arguments = [runs, "--gap", gap, "--sort", "granulated_psi", "--no-tracking", "--json"]
    arguments += ["--html", options.runs / f"{folder}-{gap}.html", "--plots", pictures]
    arguments += ["--csv", pictures / "runs.csv"]
    pictures.mkdir(parents=True, exist_ok=True)
    ended = subprocess.run(_infomcr("compare", *map(str, arguments)), stdout=subprocess.PIPE, check=True)
    for path in pictures.iterdir():  # the document shows a few of them, the page among the runs shows all
        if path.name not in KEPT:
            path.unlink()
    return json.loads(ended.stdout)


def _infomcr(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from infomcr_cli.cli import main; main()", *arguments]


def _one_thread() -> dict[str, str]:
    return {**os.environ, "INFOMCR_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", default=os.environ.get("CIFAR10"), help="CIFAR-10: an archive or a folder of images")
    parser.add_argument("--runs", type=Path, default=Path("study/small"))
    parser.add_argument("--document", type=Path, default=Path("docs/study-small.md"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--dry-run", action="store_true", help="list the jobs and stop")
    parser.add_argument("overrides", nargs="*", help="further overrides of every run")
    return parser.parse_args()


if __name__ == "__main__":
    main()
