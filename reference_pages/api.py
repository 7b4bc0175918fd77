"""The page of the Python API: what `infomcr_cli` exports, each name rendered from its docstring."""

from __future__ import annotations

import ast
from pathlib import Path

_STUB = Path(__file__).resolve().parents[1] / "infomcr_cli" / "__init__.pyi"
_HEAD = """# Python API

`from infomcr_cli import NAME` gives each of the names below. The import takes milliseconds: TensorFlow is imported at
the first use. [In Python](../python.md) shows how to use them. This page is generated from their docstrings.

"""
_SECTIONS = {
    "Measuring": ("gamma", "Gamma", "measure", "GammaCallback", "gram_matrix", "log_volume", "SingularGramError"),
    "Training": ("RegularizedModel", "LocalMinimum", "SAM", "GradientNorm", "FisherTrace", "train_step"),
    "Runs and rankings": ("load_run", "SavedRun", "judge"),
    "Extending": ("register_measure", "MeasureValue", "RegularizerTerm", "InputError"),
}


def page() -> str:
    """Return the whole page, Markdown with a directive of mkdocstrings for each name."""
    places = exported()
    sections = {title: [name for name in names if name in places] for title, names in _SECTIONS.items()}
    listed = {name for names in sections.values() for name in names}
    sections["Further names"] = [name for name in places if name not in listed]
    parts = [
        f"## {title}\n\n" + "".join(f"::: {places[name]}\n\n" for name in names)
        for title, names in sections.items()
        if names
    ]
    return _HEAD + "".join(parts)


def exported() -> dict[str, str]:
    """Return the dotted place of each name that the package exports."""
    tree = ast.parse(_STUB.read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {one.name: f"infomcr_cli.{node.module}.{one.name}" for node in imports for one in node.names}
