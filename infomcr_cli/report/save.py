"""Save a comparison: a CSV table, an HTML page and plots, and its record in MLflow."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from infomcr_cli.console.redaction import redact
from infomcr_cli.errors import InputError
from infomcr_cli.judging.result import STATISTICS, SYMBOLS, MeasureResult
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.tables import mark_mixed
from infomcr_cli.runs.io.safe_documents import dump_json
from infomcr_cli.tracking.known_stores import store_of_run
from infomcr_cli.tracking.process import MlflowProcess
from infomcr_cli.tracking.store import Store

if TYPE_CHECKING:
    from infomcr_cli.report.plots.style import Plot

NOTED = 50  # measures in the note of a comparison
MIXED = ".mixed_conventions"
_METRICS = dict(zip(STATISTICS, ("tau", "rho", "psi", "information", "sign_error"), strict=True))
_log = logging.getLogger("infomcr.report")


def save(
    comparison: Comparison,
    *,
    csv: Path | None = None,
    html: Path | None = None,
    plots: Path | None = None,
    tracking: bool = False,
    tracking_uri: str | None = None,
    mlflow_parent: str | None = None,
    mlflow: MlflowProcess | None = None,
    two_processes: bool = False,
) -> Comparison:
    """Write the files for which a path is given, record the comparison in MLflow; return it with where they are.

    Args:
        plots:        a directory.
        tracking:     record the comparison in the store of its first run.
        tracking_uri: another store to record it in.
        mlflow_parent: uid of the sweep whose runs are compared; None: there is none.
        mlflow:       records the comparison; None: this process does.
        two_processes: let a forked process draw half of the plots.

    Raises:
        InputError: a file or directory cannot be written.
    """
    store = None
    if tracking and comparison.included:
        try:
            store = store_of_run(comparison.included[0].directory, tracking_uri)
        except (InputError, OSError) as error:
            _log.warning("Could not record the comparison in MLflow: %s", error)
    drawn: Sequence[Plot] = ()
    if html or plots or store:
        from infomcr_cli.report.plots.all import all_plots

        # The page and MLflow show SVG.
        drawn = all_plots(comparison, png=plots is not None, two_processes=two_processes)
    files = _write_files(comparison, drawn, csv, html, plots)
    comparison = replace(comparison, files=tuple(str(path) for path in files))
    if store is None:
        return comparison
    run_id = _record(comparison, drawn, store, mlflow_parent, mlflow or MlflowProcess())
    return replace(comparison, mlflow_run_id=run_id)


def tracked_metrics(comparison: Comparison) -> dict[str, float]:
    """Return the statistics of every measure as comparison/STATISTIC/MEASURE, which MLflow groups in its charts.

    Correlations are oriented: positive if a measure ranks as its direction claims.

    A measure of several conventions has a different name, so that no chart shows it beside numbers of one convention.
    """
    found: dict[str, float | None] = {}
    for one in comparison.ranking.measures:
        measure = re.sub(r"[^A-Za-z0-9_. -]", "_", one.name) + (MIXED if one.mixed else "")
        found |= {f"comparison/{name}/{measure}": _shown(one, statistic) for statistic, name in _METRICS.items()}
    return {name: value for name, value in found.items() if value is not None}


def comparison_note(comparison: Comparison) -> str:
    """Return the result of a comparison in Markdown, as MLflow shows it beside the record.

    Statistics are oriented, as in tables. The measures are in the order of the ranking: best first from 16 minima.
    """
    ranking = comparison.ranking
    lines = [f"{len(comparison.included)} runs, ranked against the gap `{comparison.gap}`. See comparison.html.", ""]
    lines += [
        f"| measure | {' | '.join(SYMBOLS[name] for name in STATISTICS)} |",
        "| --- " * (len(STATISTICS) + 1) + "|",
    ]
    for one in ranking.measures[:NOTED]:
        numbers = (_shown(one, name) for name in STATISTICS)
        cells = [mark_mixed(one.name, one.mixed), *("–" if n is None else f"{n:.3f}" for n in numbers)]
        lines.append(f"| {' | '.join(cells)} |")
    if comparison.conflicts:
        lines += ["", "*: values of different conventions, ranked together."]
    return "\n".join(lines)


def _shown(one: MeasureResult, statistic: str) -> float | None:
    return one.oriented_sign_error.mean if statistic == "sign_error" else one.oriented(statistic)


def _write_files(
    comparison: Comparison,
    drawn: Sequence[Plot],
    csv: Path | None,
    html: Path | None,
    plots: Path | None,
    *,
    is_moved: bool = False,
) -> list[Path]:
    files: list[Path] = []
    if csv:
        from infomcr_cli.report.csv_writer import write_table

        write_table(comparison, csv)
        files.append(csv)
    if plots:
        from infomcr_cli.report.plots.all import save_plots

        files += save_plots(drawn, plots)
    if html:
        from infomcr_cli.report.page import write_page

        write_page(comparison, drawn, html, is_moved=is_moved)
        files.append(html)
    return files


def _record(
    comparison: Comparison, drawn: Sequence[Plot], store: Store, parent: str | None, mlflow: MlflowProcess
) -> str | None:
    """Record a comparison in MLflow and return its run id; warn and return None if that fails."""
    runs = [run.directory for run in comparison.included]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            outputs = (folder / "table.csv", folder / "comparison.html", folder)
            files = _write_files(comparison, drawn, *outputs, is_moved=True)
            (folder / "comparison.json").write_bytes(dump_json(comparison.to_dict()))
            files.append(folder / "comparison.json")
            name, metrics = f"comparison of {len(runs)} runs", tracked_metrics(comparison)
            note = comparison_note(comparison)
            return mlflow.log_comparison(store, name, runs, metrics, files, parent=parent, note=note)
        except Exception as error:  # MLflow raises whatever its store raises; the comparison itself is complete
            _log.warning("Could not record the comparison in %s: %s", store.shown, redact(str(error))[:300])
            return None
