"""Gamma, the log-volume of the per-sample gradients."""

from __future__ import annotations

from infomcr_cli.measures.from_gram.shared import SETTINGS, over_draws
from infomcr_cli.measures.registry import GRAM, MeasureValue, register_measure
from infomcr_cli.measures.subject import Subject


@register_measure(
    name="gamma",
    formula="½ ln det G, mean over draws",
    source="Jia & Su, ICML 2020, arXiv:1911.08192",
    unit="nats",
    direction="lower",
    cost="one forward and one backward pass a draw, and as much again for the Gram matrix",
    needs=(GRAM,),
    settings=(*SETTINGS, "gamma.memory", "gamma.target_se"),
    suite="fast",
)
def gamma(subject: Subject) -> MeasureValue:
    """Return gamma with each draw, its rank, the mean spectrum of G/N, and the split by layer group.

    A deficient draw stands as None in `draws`, is counted in `deficient`, and is not averaged.
    """
    result = subject.gram_draws
    served = list(result.served_by.values())
    return over_draws(
        subject,
        "gamma",
        "nats",
        "lower",
        rank=[draw.rank for draw in result.draws],
        deficient=result.over_draws("gamma").deficient,
        spectrum=result.mean_spectrum().tolist(),
        groups=result.by_group(),
        served_by={kind: served.count(kind) for kind in ("rule", "layer", "model")},
    )
