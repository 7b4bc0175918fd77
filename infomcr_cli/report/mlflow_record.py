"""The record of a comparison in MLflow: its numbers, table, page and pictures, with links to the runs."""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path

from infomcr_cli.console.redaction import redact
from infomcr_cli.errors import InputError
from infomcr_cli.judging.result import STATISTICS
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.files import write_files
from infomcr_cli.runs.io.safe_documents import dump_json

MIXED = ".mixed_conventions"
_log = logging.getLogger("infomcr.report")


def record(comparison: Comparison, tracking_uri: str | None = None) -> str | None:
    """Record a comparison in the store of its first run; return its MLflow run id, None where that run has no store.

    A store that cannot be reached, or a run that names none, is warned of: the comparison stands without it.
    """
    from infomcr_cli.tracking.client import log_comparison
    from infomcr_cli.tracking.known_stores import store_of_run

    try:
        store = store_of_run(comparison.judged[0].run, tracking_uri)
    except (InputError, OSError) as error:
        _log.warning("The comparison is not recorded in MLflow: %s", error)
        return None
    if store is None:
        return None
    runs = [entry.run for entry in comparison.judged]
    with tempfile.TemporaryDirectory() as folder:
        try:
            files = _artifacts(comparison, Path(folder))
            return log_comparison(store, f"comparison of {len(runs)} runs", runs, numbers(comparison), files)
        except Exception as error:  # whatever MLflow raises: the tables are there, only their mirror is not
            _log.warning("The comparison is not recorded in %s: %s", store.shown, redact(str(error))[:300])
            return None


def numbers(comparison: Comparison) -> dict[str, float]:
    """Return the headline statistic of every measure under names that MLflow accepts.

    One of several conventions has a name of its own, so that no chart lays it beside numbers of one convention.
    """
    found = {
        f"{_plain(one.name)}{MIXED if one.mixed else ''}/{statistic}": one.statistic(statistic)
        for one in comparison.verdict.measures
        for statistic in STATISTICS
    }
    return {name: value for name, value in found.items() if value is not None}


def _artifacts(comparison: Comparison, folder: Path) -> list[Path]:
    files = write_files(comparison, csv=folder / "table.csv", html=folder / "comparison.html", plots=folder)
    document = folder / "comparison.json"
    document.write_bytes(dump_json(comparison.to_dict()))
    return [*files, document]


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_. -]", "_", name)
