"""Write the generated parts of docs/study.md anew; all other text of the document stays."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.study.compared import regularizers
from benchmarks.study.figures import draw_figures
from benchmarks.study.results import PARTS

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def write_document(path: Path, tables: Path) -> None:
    """Fill the generated parts of a document from the tables, and draw the figures beside them.

    Between `<!-- generated: NAME -->` and `<!-- end -->` stands what is replaced.
    """
    text = path.read_text(encoding="utf-8")
    pictures = draw_figures(tables)
    parts = {name: make(tables) for name, make in {**PARTS, "regularizers": regularizers}.items()}
    parts["figures"] = "\n\n".join(f"![{alt}]({tables.name}/{name})" for name, alt in pictures.items())
    path.write_text(filled(text, parts), encoding="utf-8")
    print(path, file=sys.stderr)


def filled(text: str, parts: Mapping[str, str]) -> str:
    """Return a text with its generated parts replaced; a part without a name that is known stays.

    Examples:
        >>> print(filled("a\\n<!-- generated: b -->\\nold\\n<!-- end -->", {"b": "new"}))
        a
        <!-- generated: b -->
        <BLANKLINE>
        new
        <BLANKLINE>
        <!-- end -->
    """

    def replaced(found: re.Match[str]) -> str:
        return f"{found[1]}\n{parts[found[2]]}\n\n{found[3]}" if found[2] in parts else found[0]

    return _PART.sub(replaced, text)
