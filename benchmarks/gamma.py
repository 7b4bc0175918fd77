"""Gamma of one draw on Wide ResNet 28-2: against its floors, the original way and PyTorch; memory; growth; ResNet-50.

Command:  python -m benchmarks.gamma [inference] [batch] [peers] [original] [growth] [resnet50] [vmap] …
          [--rounds 5] [--json FILE]
Sides of a ratio run in processes of their own and take turns. PyTorch peers are found by the python of `INFOMCR_PEERS`
(an environment with `benchmarks/requirements-peers.txt`); without it, or where one fails, that is said.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.rows import FASTER, SLOWER, Row, compared, finish
from benchmarks.timing import Side, take_turns

PEERS = {
    "vmap": "torch.func.vmap",
    "nngeometry": "NNGeometry",
    "backpack": "BackPACK",
    "loop": "PyTorch, one backward pass a sample",
    "vmap-float32": "torch.func.vmap, JJᵀ in float32",
    "nngeometry-float32": "NNGeometry, JJᵀ in float32",
}
FASTEST_PEERS = 1.4  # times faster than each of those in float64
COUNTS = {200: 0, 400: 0, 800: 4 * 10**9}  # samples in a draw, and the bytes that they may take
Rows = Iterator[Row]


def main() -> int:
    """Measure the requested rows, all by default."""
    options = _options()
    rows = []
    for name in options.rows or list(ROWS):
        found = peer(name, options.rounds) if name in PEERS else ROWS[name](options.rounds)
        for row in found:
            print(row.line(), flush=True)
            rows.append(row)
    return finish(rows, options.json)


def inference(rounds: int) -> Rows:
    """Against one backward pass to all layer outputs."""
    sides = [_ours("inference"), _side("inference-floor", "lower bound: one backward pass to all layer outputs")]
    yield from _ratio("a draw", sides, rounds, SLOWER, 2.5, 2 * 10**9)


def batch(rounds: int) -> Rows:
    """Against ten vectorised backward passes a chunk."""
    sides = [_ours("batch"), _side("batch-floor", "lower bound: ten vectorised backward passes a chunk")]
    yield from _ratio("a draw in batch mode, chunks of 10", sides, rounds, SLOWER, 1.1, 25 * 10**8)


def original(rounds: int) -> Rows:
    """Against a Jacobian retraced for each draw and the singular values of J in float64, in both modes."""
    for mode, name, target in (("inference", "a draw", 15.0), ("batch", "a draw in batch mode, chunks of 10", 3.0)):
        sides = [_ours(mode), _side(f"{mode}-original", "the original way: retraced Jacobian, singular values")]
        yield from _ratio(name, sides, rounds, FASTER, target)


def peers(rounds: int) -> Rows:
    """Against PyTorch's ways: JJᵀ in float64 as ours is, then the fastest two in float32, of a lower accuracy."""
    for way in PEERS:
        yield from peer(way, rounds)


def peer(way: str, rounds: int) -> Rows:
    """Against one of them."""
    python = os.environ.get("INFOMCR_PEERS")
    if not python:
        print(f"{way:19}left out: INFOMCR_PEERS names no python with benchmarks/requirements-peers.txt", flush=True)
        return
    script = str(Path(__file__).with_name("torch_gamma.py"))
    target = None if way.endswith("float32") else FASTEST_PEERS
    yield from _ratio("a draw", [_ours("inference"), Side(PEERS[way], [python, script, way])], rounds, FASTER, target)


def growth(rounds: int) -> Rows:
    """Time and memory for more samples in a draw."""
    for count, most in COUNTS.items():
        (one,) = take_turns([_ours("inference", str(count))], min(rounds, 3))
        yield Row(f"a draw of {count}", one.seconds, peak_bytes=one.peak_bytes, most_bytes=most)


def resnet50(rounds: int) -> Rows:
    """Whether it completes, in what time and memory."""
    for one in take_turns([_ours("resnet50", "32")], 1):
        yield Row("a draw of 32, ResNet-50 at 224×224", one.seconds, peak_bytes=one.peak_bytes, most_bytes=12 * 10**9)


ROWS: dict[str, Callable[[int], Rows]] = {
    "inference": inference,
    "batch": batch,
    "peers": peers,
    "original": original,
    "growth": growth,
    "resnet50": resnet50,
}


def _ratio(name: str, sides: list[Side], rounds: int, meaning: str, target: float | None, most_bytes: int = 0) -> Rows:
    up = take_turns(sides, rounds)
    if len(up) < len(sides):
        print(f"{sides[1].name} failed; its message stands above", flush=True)
        return
    ours, other = up
    yield compared(name, ours, other, meaning, target, most_bytes)


def _ours(name: str, *arguments: str) -> Side:
    return _side(name, name, *arguments)


def _side(name: str, title: str, *arguments: str) -> Side:
    return Side(title, [sys.executable, "-m", "benchmarks.gamma_sides", name, *arguments])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", choices=[*ROWS, *PEERS, []])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the rows here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
