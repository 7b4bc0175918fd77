"""The files that a comparison leaves: a CSV table, an HTML page, pictures."""

from __future__ import annotations

from pathlib import Path

from infomcr_cli.report.comparison import Comparison


def write_files(
    comparison: Comparison, *, csv: Path | None = None, html: Path | None = None, plots: Path | None = None
) -> list[Path]:
    """Write table, page and pictures where a path is given; return the paths.

    Raises:
        InputError: a file or directory cannot be written.
    """
    files: list[Path] = []
    if csv:
        from infomcr_cli.report.table_writer import write_table

        write_table(comparison, csv)
        files.append(csv)
    if plots or html:
        from infomcr_cli.report.plots.all import all_plots, save_plots

        pictures = all_plots(comparison)
        if plots:
            files += save_plots(pictures, plots)
        if html:
            from infomcr_cli.report.page import write_page

            write_page(comparison, pictures, html)
            files.append(html)
    return files
