"""What a benchmark ran on: processor, instruction sets, cores, load, and versions."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

SETS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
PACKAGES = ("infomcr", "tensorflow", "keras", "numpy", "scipy")


def machine() -> dict[str, Any]:
    """Return the record of this machine that goes into a benchmark's JSON document."""
    lines = dict(_cpu_line(line) for line in _cpu_info().splitlines() if ":" in line)  # of the last core
    flags = lines.get("flags", "").split()
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": lines.get("model name", platform.processor()),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "instruction_sets": [name for name in SETS if name in flags],
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _cpu_info() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _cpu_line(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
