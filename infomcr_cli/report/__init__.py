"""What a comparison shows: runs are gathered, compared, and shown as tables, a page, plots and a CSV file.

gather → evaluated_run → axes → conventions → comparison → tables → terminal, page, csv_writer, plots. A table that was
made elsewhere takes the way csv_reader → columns → table_minima → judge_table.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from infomcr_cli.report.judge_table import judge as judge

# SciPy is imported on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"judge_table": ["judge"]})
