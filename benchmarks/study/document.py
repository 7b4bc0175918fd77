"""Write the generated parts of docs/study.md anew; all other text of the document stays."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.generated import filled
from benchmarks.study.compared import regularizers, same_epochs
from benchmarks.study.figures import draw_figures
from benchmarks.study.minima_results import minima
from benchmarks.study.plane_results import plane
from benchmarks.study.results import PARTS


def write_document(path: Path, tables: Path) -> None:
    """Fill the generated parts of a document from the tables, and draw the figures beside them.

    Between `<!-- generated: NAME -->` and `<!-- end -->` stands what is replaced.
    """
    text = path.read_text(encoding="utf-8")
    pictures = draw_figures(tables)
    makers = {**PARTS, "minima": minima, "regularizers": regularizers, "same_epochs": same_epochs, "plane": plane}
    parts = {name: make(tables) for name, make in makers.items()}
    parts["figures"] = "\n\n".join(f"![{alt}]({tables.name}/{name})" for name, alt in pictures.items())
    beside = path.with_name(f".{path.name}.{os.getpid()}")  # most of the document is written by hand: all of it or none
    beside.write_text(filled(text, parts), encoding="utf-8")
    beside.replace(path)
    print(path, file=sys.stderr)
