"""Depth as the field counts it: the layers with a kernel."""

from __future__ import annotations

from infomcr_cli.errors import InputError


def blocks_of(depth: int, others: int) -> int:
    """Return n of a depth 6n + `others`: three groups of n blocks of two layers each.

    Raises: InputError: the depth is none of these.
    """
    blocks, rest = divmod(depth - others, 6)
    if rest or blocks < 1:
        raise InputError(f"depth must be 6n+{others}, at least {6 + others}", received=depth)
    return blocks
