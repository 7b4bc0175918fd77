"""The page of the example scripts, each with its text."""

from __future__ import annotations

import ast
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "examples"
_HEAD = """# Examples

The scripts in `examples/`, each shorter than a page. The tests run all of them.

"""


def page() -> str:
    """Return the whole page, Markdown."""
    return _HEAD + "".join(map(_section, sorted(FOLDER.glob("*.py"))))


def _section(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    title = (ast.get_docstring(ast.parse(text)) or path.name).partition("\n")[0].rstrip(".")
    return f"## {title}\n\n`python examples/{path.name}`\n\n```python\n{text.rstrip()}\n```\n\n"
