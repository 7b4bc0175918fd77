"""Run what is left of the study, slice by slice, and write its document from its tables.

Commands: make study CIFAR10=PATH, which is python -m benchmarks.study run --data PATH
          python -m benchmarks.study run --data PATH --hours 2    no longer than that
          python -m benchmarks.study run --data PATH --only minima --slice 3
          python -m benchmarks.study status
          python -m benchmarks.study document
Expected: docs/study.md says how long it took. A kill loses the jobs in hand at most; the same command goes on.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from benchmarks.study.document import write_document
from benchmarks.study.evaluations import run_further, run_trajectories
from benchmarks.study.families import NAMES, family
from benchmarks.study.minima import MINIMA, open_questions
from benchmarks.study.pilot import PILOT
from benchmarks.study.place import Place
from benchmarks.study.slices import Family, Slice
from benchmarks.study.sweeps import collect, run_slice

NOT_FINAL = "The plan is not final: see the pilot in docs/study.md, whose rule says what to change."


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line says."""
    options = _parser().parse_intermixed_args(arguments)
    if options.command == "document":
        write_document(options.document, options.tables)
    elif options.command == "status":
        for name in options.only:
            _print_status(family(name, options.tables), _place(options))
    else:
        before = signal.signal(signal.SIGTERM, _exit_on_signal)
        try:
            _run(options)
        finally:
            write_document(options.document, options.tables)
            signal.signal(signal.SIGTERM, before)


def _run(options: argparse.Namespace) -> None:
    place = _place(options)
    for chosen, part in _slices(options):
        if chosen.name == MINIMA.name and (questions := open_questions(place.table(PILOT).rows())):
            sys.exit("\n".join((NOT_FINAL, *questions)))
        if place.is_over:
            print("The time is up; the same command goes on.", file=sys.stderr)
            return
        began = time.monotonic()
        new = run_slice(chosen, part, place)
        run_further(chosen, part, place)
        run_trajectories(chosen, part, place)
        if new:
            print(f"{part.name}: {new} rows in {(time.monotonic() - began) / 60:.1f} minutes", file=sys.stderr)


def _slices(options: argparse.Namespace) -> Iterator[tuple[Family, Slice]]:
    """Yield the slices to run; those of the regularizers are known only once their tuning is done."""
    found = False
    for name in options.only:
        chosen = family(name, options.tables)
        for number, part in enumerate(chosen.slices, start=1):
            if options.slice in (None, part.name, str(number)):
                found = True
                yield chosen, part
    if not found:
        sys.exit(f"There is no slice {options.slice!r}; `python -m benchmarks.study status` lists them.")


def _print_status(chosen: Family, place: Place) -> None:
    for part in chosen.slices:
        collect(chosen, part, place)
    known = place.table(chosen).known()
    for number, part in enumerate(chosen.slices, start=1):
        done = sum(chosen.key(job) in known for job in part.jobs)
        print(f"{chosen.name} {number:2d}  {part.name:45s} {done} of {len(part.jobs)}")


def _exit_on_signal(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _place(options: argparse.Namespace) -> Place:
    deadline = time.monotonic() + options.hours * 3600 if options.hours else float("inf")
    data = str(Path(options.data).absolute()) if options.data else None
    return Place(data, options.runs, options.tables, options.jobs, deadline, tuple(options.overrides))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.study", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", nargs="?", choices=("run", "status", "document"), default="run")
    parser.add_argument("overrides", nargs="*", help="further overrides of every run")
    parser.add_argument("--data", default=os.environ.get("CIFAR10"), help="CIFAR-10: an archive or a folder of images")
    parser.add_argument("--runs", type=Path, default=Path("study"), help="folder of the run directories")
    parser.add_argument("--tables", type=Path, default=Path("docs/study"))
    parser.add_argument("--document", type=Path, default=Path("docs/study.md"))
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="FAMILY", help=", ".join(NAMES))
    parser.add_argument("--slice", help="name or number of one slice")
    parser.add_argument("--hours", type=float, help="stop after so many hours")
    parser.add_argument("--jobs", type=int, default=2, help="at once, one thread each")
    return parser


if __name__ == "__main__":
    main()
