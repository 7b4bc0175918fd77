"""`judge`: ranks measures by how well they order the generalization gap of the minima in a table."""

from __future__ import annotations

import json
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from infomcr_cli.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def judge(
    frame: pd.DataFrame,
    *,
    gap: str,
    axes: Sequence[str],
    measures: Sequence[str] | None = None,
    n_test: int | None = None,
) -> dict[str, Any]:
    """Rank the measures of a table by how well they order the gap; return the document of `infomcr judge` as a dict.

    Args:
        frame:    one row per run. Runs that differ only in a column `seed` are averaged, unless `seed` is an axis.
        gap:      column of the generalization gap, such as test error minus training error, 0..1.
        axes:     columns of the hyperparameters that were varied.
        measures: columns to rank; None: all numeric columns except scores, costs and indices.
        n_test:   size of the test set, for the weights of the sign error; None: the column `n_test`.

    Returns:
        {"n": minima, "measures": {NAME: {"kendall_tau": {"value", "low", "high"}, …}}, …}; a statistic that is not
        available is None.

    Raises:
        InputError: a column is missing, given twice or not numeric, or n_test is not a whole number of at least 1.

    Examples:
        >>> import pandas as pd
        >>> from infomcr_cli import judge
        >>> frame = pd.DataFrame({"lr": [1, 2, 3], "gap": [0.1, 0.2, 0.3], "gamma": [-9.0, -7.0, -4.0]})
        >>> document = judge(frame, gap="gap", axes=["lr"])
        >>> document["n"], document["measures"]["gamma"]["kendall_tau"]["value"]
        (3, 1.0)
    """
    from infomcr_cli.report.csv_reader import clean_name
    from infomcr_cli.report.judge_table import judge as judge_frame

    if not hasattr(frame, "columns") or not hasattr(frame, "iloc"):
        raise InputError("frame must be a pandas.DataFrame", received=type(frame).__name__)
    axes, measures = _names(axes), None if measures is None else _names(measures)
    if not axes:
        raise InputError("axes must name at least one column")
    if n_test is not None and (isinstance(n_test, bool) or not hasattr(n_test, "__index__")):
        raise InputError("n_test must be a whole number", received=n_test)
    gap, n_test = clean_name(str(gap)), None if n_test is None else operator.index(n_test)
    named = [gap, *axes, *(measures or ())]
    if twice := sorted({name for name in named if named.count(name) > 1}):
        raise InputError("gap, axes and measures must be different columns", received=", ".join(twice))
    cleaned = frame.set_axis([clean_name(str(name)) for name in frame.columns], axis=1)  # as from a CSV file
    ranking = judge_frame(cleaned, gap=gap, axes=axes, measures=measures, n_test=n_test)
    document: dict[str, Any] = json.loads(json.dumps(ranking.to_dict(), allow_nan=False))
    return document


def _names(names: Sequence[str]) -> list[str]:
    from infomcr_cli.report.csv_reader import clean_name

    return [clean_name(str(name)) for name in ([names] if isinstance(names, str) else names)]
