"""Ranking statistics: how well does a measure of a minimum order the generalization gap?

| symbol | meaning | shape |
| --- | --- | --- |
| n | number of minima that are ranked, replicates averaged first | |
| M | number of measures | |
| A | number of hyperparameter axes; a level is the index of an axis's value | |
| μ | values of a measure, NaN where missing | [n] |
| g | generalization gap | [n] |
| Δμ, Δg | differences between the two minima of a pair | [P] |
| P | number of pairs of minima | |
| E | number of environments: an axis with the two levels that a pair takes on it | |
| S | set of at most two axes that K conditions on | |
| τ, ρ | Kendall's τ-b and Spearman's ρ of μ with g | |
| ψ, Ψ | mean of τ over the groups of one axis, and the mean of ψ over the axes | |
| K | conditional mutual information of sign Δμ and sign Δg | |
| φ | influence of each minimum on a statistic | [n] |
| B | number of simulated differences between measures | |

`judge_minima` takes a `Minima` record and returns a `RankingResult`. Its statistics are of the raw μ with g: for a
measure of which lower is better a good value is near +1, for one of which higher is better near −1 (and a sign error
near 1). `oriented` values, which tables show, are positive if a measure ranks as its direction claims. Numbers that
agree to 12 significant digits are ties. Below 16 minima there are no intervals, no order and no significance.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from infomcr_cli.judging.judge import judge_minima as judge_minima
    from infomcr_cli.judging.minima import Minima as Minima
    from infomcr_cli.judging.result import MeasureResult as MeasureResult
    from infomcr_cli.judging.result import RankingResult as RankingResult

# NumPy and SciPy are imported on first use.
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "judge": ["judge_minima"],
        "minima": ["Minima"],
        "result": ["MeasureResult", "RankingResult"],
    },
)
