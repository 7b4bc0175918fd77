"""All families of the study, in the order in which they are run."""

from __future__ import annotations

from pathlib import Path

from benchmarks.study.minima import MINIMA
from benchmarks.study.pilot import PILOT
from benchmarks.study.plane import PLANE
from benchmarks.study.regularizers import SAME_EPOCHS, TUNING, regularizers
from benchmarks.study.slices import Family

NAMES = ("pilot", "minima", "tuning", "regularizers", "same_epochs", "plane")


def family(name: str, tables: Path) -> Family:
    """Return a family by its name; that of the regularizers depends on the table of the tuning."""
    return {one.name: one for one in (PILOT, MINIMA, TUNING, regularizers(tables), SAME_EPOCHS, PLANE)}[name]
