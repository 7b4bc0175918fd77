"""What a number depends on besides network and data; it is recorded beside it, and unlike ones are never ranked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from infomcr_cli.config.schema.measure import GammaConfig, MeasureConfig

Document = dict[str, Any]


@dataclass(frozen=True)
class GramConvention:
    """What gamma and all measures of the Gram matrix depend on.

    Args:
        samples:     training images that draws come from.
        draws:       T, as far as the images reach; the most where `target_se` may stop earlier.
        draw_size:   N.
        batch_norm:  `inference` or `batch`.
        chunk_size:  images that share statistics; None in inference mode, where it changes nothing.
        logit_scale: s of normalised logits; None for raw ones.
        order:       `stored` or `stratified`: how the images are ordered.
        precision:   of the arithmetic.
        target_se:   standard error at which drawing stops, nats; None: all draws are taken.
    """

    samples: int
    draws: int
    draw_size: int
    batch_norm: str
    chunk_size: int | None
    logit_scale: float | None
    order: str | None
    precision: str
    target_se: float | None = None


def of_gram(gamma: GammaConfig, images: int, order: str | None) -> Document:
    """Return the convention of the measures of the Gram matrix, for JSON.

    Args:
        images: of the training set; no more than there are can be taken.
        order:  `stored` or `stratified`; None: not known, and left out.
    """
    samples = min(gamma.samples, images)
    found = asdict(
        GramConvention(
            samples=samples,
            draws=min(gamma.draws, samples // gamma.draw_size),
            draw_size=gamma.draw_size,
            batch_norm=gamma.batch_norm,
            chunk_size=gamma.chunk_size if gamma.batch_norm == "batch" else None,
            logit_scale=gamma.logit_scale,
            order=order,
            precision=gamma.precision,
            target_se=gamma.target_se,
        )
    )
    return found if order is not None else {name: value for name, value in found.items() if name != "order"}


def of_settings(config: MeasureConfig, names: Iterable[str], images: int) -> Document:
    """Return the convention of a measure that depends on the settings of these names, for JSON."""
    settings = {name: _setting(config, name) for name in names}
    if "samples" in settings:  # as many as there are
        settings["samples"] = min(settings["samples"], images)
    return {"batch_norm": "inference", **settings}


def _setting(config: MeasureConfig, name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value
