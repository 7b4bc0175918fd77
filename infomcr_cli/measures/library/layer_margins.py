"""Margins at the input and at hidden layers, relative to the total variation, of original and of mixed samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import IMAGES, register_measure
from infomcr_cli.measures.families import EVERY_CHANGE
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.measures.work import Work

if TYPE_CHECKING:
    from infomcr_cli.measures.context import MeasureContext
    from infomcr_cli.measures.layer_margins import PlaceMargins


QUARTILES = (25, 50, 75)


def mixed_in_classes(images: Any, labels: NDArray[np.int32], seed: int) -> Any:
    """Return each sample averaged with another one of its class, drawn as a permutation; the labels stay.

    Args:
        images: an array [N, ...], or a structure of arrays; what is not floating-point cannot be mixed.

    Raises:
        InputError: inputs are integers.

    Source: Natekar & Sharma, 2020, arXiv:2012.02775 (label-wise mixup).

    Examples:
        >>> mixed_in_classes(np.array([[0.0], [2.0], [5.0]]), np.array([0, 0, 1]), seed=1).ravel()
        array([1., 1., 5.])
    """
    import keras

    kinds = {str(x.dtype) for x in keras.tree.flatten(images) if not np.issubdtype(x.dtype, np.floating)}
    if kinds:
        raise InputError("mixed samples need floating-point inputs", received=", ".join(sorted(kinds)))
    rng, partner = np.random.default_rng(seed), np.arange(len(labels))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        partner[members] = np.roll(members, 1)  # never itself, if there is another one
    return keras.tree.map_structure(lambda x: (x + x[partner]) / 2, images)


def _summary(places: list[PlaceMargins]) -> MeasureValue:
    """Return the mean over places of the mean of the quartiles, with the quartiles of each place."""
    if not places:
        return MeasureValue(
            None, extras={"reason": "no layer gives values that vary over the samples and that a margin depends on"}
        )
    quartiles = [np.percentile(place.normalised, QUARTILES) for place in places]
    shown = [
        {"place": one.place, "quartiles": found.tolist(), "total_variation": one.variation, "left_out": one.flat}
        for one, found in zip(places, quartiles, strict=True)
    ]
    return MeasureValue(float(np.mean(quartiles)), extras={"layers": shown})


@register_measure(
    name="margin_distribution",
    formula="mean over input and 3 hidden layers x, and quartiles, of (z_y − z_k) / (‖∇_x (z_y − z_k)‖ √Σ_j Var x_j)",
    source="Jiang et al., ICLR 2019, arXiv:1810.00113",
    family="margin",
    invariance=EVERY_CHANGE,
    unit="√(total variation)",
    direction="higher",
    cost="one forward and one backward pass over the samples",
    passes=lambda config: Work(inputs=config.samples, functions=0.75),
    needs=(IMAGES,),
    settings=("samples",),
)
def margin_distribution(ctx: MeasureContext) -> MeasureValue:
    """Return the mean of the three quartiles over the places; `extras` hold each."""
    from infomcr_cli.measures.layer_margins import place_margins

    return _summary(place_margins(ctx.surface))


@register_measure(
    name="mixup_margin",
    formula="margin_distribution at the first hidden layer x only, of images averaged in pairs of one class",
    source="Natekar & Sharma, PGDL at NeurIPS 2020, arXiv:2012.02775; Jiang et al., ICLR 2019, arXiv:1810.00113",
    family="margin",
    invariance=EVERY_CHANGE,
    unit="√(total variation)",
    direction="higher",
    cost="that of margin_distribution, on averaged images",
    passes=lambda config: Work(inputs=config.samples, functions=0.75),
    needs=(IMAGES, "floating-point inputs"),
    settings=("samples",),
)
def mixup_margin(ctx: MeasureContext) -> MeasureValue:
    """Return the mean of the three quartiles at the first hidden layer, at the input if there is none."""
    from infomcr_cli.measures.layer_margins import INPUT, place_margins
    from infomcr_cli.measures.loss_surface import LossSurface

    plain, size = ctx.surface, ctx.config.batch_size
    mixed = mixed_in_classes(plain.images, plain.labels, ctx.seed)
    places = place_margins(LossSurface(ctx.model, mixed, plain.labels, batch_size=size))
    hidden = [one for one in places if one.place != INPUT]
    return _summary((hidden or places)[:1])
