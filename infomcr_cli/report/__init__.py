"""The court: ranking statistics of measures, their tables, pictures and the HTML page.

| symbol | meaning | shape |
| --- | --- | --- |
| n | minima that are judged, replicates averaged first | |
| μ | a measure's value at each minimum; NaN where it is missing | [n] |
| g | generalization gap of each minimum | [n] |
| A | hyperparameter axes; a level is the index of an axis's value | |
| S | a set of at most two axes that K conditions on | |
| B | bootstrap resamples | |

Every statistic is of the *raw* μ with g: a measure of which lower is better should stand near +1, one of which higher
is better near −1 (and its sign error near 1). Only the order of the measures takes the direction into account. Numbers
that agree to 12 significant digits are ties.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from infomcr_cli.report.table import judge as judge

# SciPy is imported on first use only.
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"table": ["judge"]})
