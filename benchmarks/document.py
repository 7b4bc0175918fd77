"""Fill docs/benchmarks.md from docs/benchmarks/*.json, a document for each machine: python -m benchmarks document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.compare import read
from benchmarks.generated import filled
from benchmarks.measures import table as table_of_measures
from benchmarks.rows import Row, rows_of, side, spread

DOCS = Path(__file__).resolve().parents[1] / "docs"
SETS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX512-BF16", "amx_bf16": "AMX"}
NAMES = {"tensorflow": "TensorFlow", "keras": "Keras"}
HEAD = ("| what | by itself | against | the other side | ratio | target |", "| --- | --- | --- | --- | --- | --- |")
TITLES = {
    "gamma": "Gamma of one draw: Wide ResNet 28-2, 32×32×3, N = 100",
    "layers": "Gamma of one draw: models of one layer",
    "training": "Training: Wide ResNet 28-2, batches of 128",
    "training_step": "A regularized step: Wide ResNet 28-2, batches of 128",
    "sweep": "Sweeps",
    "ranking": "Ranking",
    "start": "Commands",
}


def write_document(path: Path = DOCS / "benchmarks.md", folder: Path = DOCS / "benchmarks") -> None:
    """Replace the generated part of a document; the newest machine comes first.

    Raises:
        ValueError: a file is no document of benchmarks.
    """
    documents = [(file, read(file)) for file in folder.glob("*.json")]
    documents.sort(key=lambda one: str(one[1]["machine"]["time"]), reverse=True)
    parts = [_section(file.relative_to(path.parent), document) for file, document in documents]
    text = filled(path.read_text(encoding="utf-8"), {"machines": "\n\n".join(parts)})
    path.write_text(text, encoding="utf-8")


def _section(file: Path, document: Mapping[str, Any]) -> str:
    """Return the section of a machine: what it is, a table of all rows, a table of the measures."""
    machine, suites = document["machine"], document["suites"]
    sets = [SETS[name] for name in machine["instruction_sets"] if name in SETS]
    versions = [f"{NAMES[name]} {version}" for name, version in machine["packages"].items() if name in NAMES]
    dates = sorted({str(one["time"])[:10] for one in suites.values()})
    lines = [
        f"## {machine['processor']}, {machine['cores']} cores, {', '.join(sets)}",
        "",
        f"{' to '.join(dict.fromkeys((dates[0], dates[-1])))}, Python {machine['python']}, {', '.join(versions)}; "
        f"[the numbers]({file.as_posix()}).",
        "",
        *HEAD,
    ]
    for name, title in TITLES.items():
        if name in suites:
            lines += [f"| **{title}** | | | | | |", *map(_line, rows_of(suites[name]["found"]))]
    if "measures" in suites:
        lines += ["", *_measures(suites["measures"]["found"])]
    return "\n".join(lines)


def _line(row: Row) -> str:
    """Return a row of the table."""
    ratio = f"{spread(row.ratios)} {row.meaning}" if row.against else ""
    target = row.limit().replace("missed", "**missed**")
    own = side(row.seconds, row.peak_bytes, row.processor_seconds)
    cells = (row.name, own, row.against, side(row.other_seconds, row.other_peak_bytes), ratio, target)
    return f"| {' | '.join(cell.strip() for cell in cells)} |"


def _measures(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines on the time of each measure."""
    count, (together, forecast) = len(found["measures"]), (found[key]["seconds"] for key in ("together", "estimate"))
    yield f"### Each measure: {found['model']}, {found['images']:,} images"
    yield ""
    yield (
        f"{count} measures take {together / 60:.1f} minutes, {together / forecast:.2f} times the forecast of "
        f"{forecast / 60:.1f}. What measures share is timed with the first that needs it."
    )
    yield ""
    yield table_of_measures(found)


def known_suites(path: Path, machine: Mapping[str, Any]) -> dict[str, Any]:
    """Return the suites of a file, none if it does not exist.

    Raises:
        ValueError: it is no document of benchmarks, or one of another machine or other versions.
    """
    if not path.exists():
        return {}
    document = read(path)
    for key in ("processor", "cores", "instruction_sets", "packages"):
        if (before := document.get("machine", {}).get(key)) != machine[key]:
            raise ValueError(f"{path} has another {key}: {before}")
    return dict(document["suites"])
