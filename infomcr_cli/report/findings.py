"""What searches and audits found about the runs of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from infomcr_cli.report.audit import Audit, audits_of, fragility_of
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.gather import Gathered
from infomcr_cli.report.run_paths import chosen_by_test, search_of
from infomcr_cli.report.search import SearchReport


def with_findings(
    comparison: Comparison,
    gathered: Gathered,
    names: Sequence[str],
    *,
    audit: Audit | None = None,
    search: SearchReport | None = None,
) -> Comparison:
    """Return a comparison with what a search and audits of its runs found.

    Args:
        names:  by which the runs were named.
        audit:  of one of the runs; None: those of the runs that have one.
        search: what a search found that made the runs; None: read beside a sweep that is named.

    Raises:
        InputError: a file is not what this program writes.
    """
    audits = [audit] if audit else audits_of(gathered.runs)
    search = search or search_of(names)
    chosen = [] if search else chosen_by_test(names)
    tested = f"The test set was used to choose the settings of {', '.join(chosen)} (sweep.allow_test=true)."
    notes = (*(search.notes if search else [tested] if chosen else []), *comparison.notes)
    return replace(comparison, fragility=fragility_of(audits), search=search, notes=notes)
