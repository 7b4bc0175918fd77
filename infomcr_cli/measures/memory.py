"""Memory budgets as people write them, and how much of one each part of a measurement may take."""

from __future__ import annotations

import re

from infomcr_cli.errors import InputError

_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def parse_bytes(budget: str | float) -> int:
    """Return a number of bytes from a number or a text such as `2GB` or `512 MiB`.

    Raises: InputError: the text is not a positive number with a unit.
    """
    if isinstance(budget, (int, float)) and budget > 0:
        return int(budget)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?b|)\s*", str(budget).lower())
    if match is None or float(match[1]) <= 0:
        raise InputError("memory must be a positive size such as 2GB", received=budget, accepted=list(_UNITS)[1:])
    return int(float(match[1]) * _UNITS[match[2]])
