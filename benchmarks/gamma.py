"""Gamma of one draw on Wide ResNet 28-2: against its floors, the original way and PyTorch; memory; growth; ResNet-50.

Command:  python -m benchmarks.gamma [inference] [batch] [peers] [original] [growth] [resnet50] [vmap] … [--rounds 5]
Sides of a ratio run in processes of their own and take turns. PyTorch peers are found by the python of `INFOMCR_PEERS`
(an environment with `benchmarks/requirements-peers.txt`); without it, or where one fails, that is said.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.timing import Side, take_turns

PEERS = ("vmap", "nngeometry", "backpack", "loop", "vmap-float32", "nngeometry-float32")
GIGABYTE = 1e9


def main() -> int:
    """Print the requested rows, all by default."""
    options = _options()
    for row in options.rows or list(ROWS):
        if row in PEERS:
            peer(row, options.rounds)
        else:
            ROWS[row](options.rounds)
    return 0


def inference(rounds: int) -> None:
    """Against one backward pass to all layer outputs."""
    _ratio(
        "inference", [_ours("inference"), _ours("inference-floor")], rounds, "slower than its floor, at most 2.5", 2.0
    )


def batch(rounds: int) -> None:
    """Against ten vectorised backward passes a chunk."""
    _ratio("batch", [_ours("batch"), _ours("batch-floor")], rounds, "slower than its floor, at most 1.1", 2.5)


def original(rounds: int) -> None:
    """Against a retraced Jacobian and the singular values of J, in both modes."""
    for mode in ("inference", "batch"):
        sides = take_turns([_ours(mode), _ours(f"{mode}-original")], rounds)
        ratio = sides[1].median / sides[0].median
        wanted = ", at least 15" if mode == "inference" else ""
        print(f"{mode:12}{ratio:7.2f} times faster than the original way{wanted}   {_sides(sides)}", flush=True)


def peers(rounds: int) -> None:
    """Against PyTorch's ways: JJᵀ in float64 as ours is, then the fastest two in float32, of a lower accuracy."""
    for way in PEERS:
        peer(way, rounds)


def peer(way: str, rounds: int) -> None:
    """Against one of them."""
    python = os.environ.get("INFOMCR_PEERS")
    if not python:
        print(f"{way:19}left out: INFOMCR_PEERS names no python with benchmarks/requirements-peers.txt", flush=True)
        return
    script = str(Path(__file__).with_name("torch_gamma.py"))
    sides = take_turns([_ours("inference"), Side(way, [python, script, way])], rounds)
    if len(sides) < 2:
        print(f"{way:19}failed; its message stands above", flush=True)
        return
    ratio = sides[1].median / sides[0].median
    print(f"{way:19}{ratio:7.2f} times faster, against the fastest at least 1.4   {_sides(sides)}", flush=True)


def growth(rounds: int) -> None:
    """Time against a·N + b·N², and memory at N = 800."""
    counts = np.array([200, 400, 800])
    sides = [take_turns([_ours("inference", str(n))], min(rounds, 3))[0] for n in counts]
    seconds = np.array([side.median for side in sides])
    (linear, square), *_ = np.linalg.lstsq(np.stack([counts, counts**2], axis=1), seconds, rcond=None)
    for n, side in zip(counts, sides, strict=True):
        fitted = linear * n + square * n**2
        print(f"N = {n:<8}{side.median:7.2f} s, fitted {fitted:.2f} s   {_sides([side])}", flush=True)
    print(f"growth      {linear:.3g} N + {square:.3g} N² seconds; at N = 800 at most 4 GB", flush=True)


def resnet50(rounds: int) -> None:
    """Whether it completes, in what time and memory."""
    side = take_turns([_ours("resnet50", "32")], 1)
    print(f"resnet50    {_sides(side) if side else 'failed'}; at most 12 GB", flush=True)


ROWS: dict[str, Callable[[int], None]] = {
    "inference": inference,
    "batch": batch,
    "peers": peers,
    "original": original,
    "growth": growth,
    "resnet50": resnet50,
}


def _ratio(name: str, sides: list[Side], rounds: int, what: str, gigabytes: float) -> None:
    up = take_turns(sides, rounds)
    ratio = up[0].median / up[1].median
    print(f"{name:12}{ratio:7.2f} times {what}; memory at most {gigabytes} GB   {_sides(up)}", flush=True)


def _ours(name: str, *arguments: str) -> Side:
    return Side(name, [sys.executable, "-m", "benchmarks.gamma_sides", name, *arguments])


def _sides(sides: list[Side]) -> str:
    return ", ".join(
        f"{s.name} {s.median:.2f} s ({min(s.seconds):.2f} to {max(s.seconds):.2f}) {s.peak_bytes / GIGABYTE:.2f} GB"
        for s in sides
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=[*ROWS, *PEERS, []])
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
