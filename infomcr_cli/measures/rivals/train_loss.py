"""Cross-entropy on the training set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infomcr_cli.errors import InputError
from infomcr_cli.measures.rivals.shared import IMAGES, JIANG, Found, register_rival

if TYPE_CHECKING:
    from infomcr_cli.measures.minimum import Minimum


@register_rival(
    name="train_loss",
    formula="L(w) on the whole training set, without augmentation",
    source=JIANG,
    unit="nats",
    direction="lower",
    cost="none beside the scores of the evaluation",
    needs=(IMAGES,),
    suite="fast",
)
def train_loss(at: Minimum) -> Found:
    """Return the loss that the evaluation found.

    Raises: InputError: it was not given.
    """
    if at.train_loss is None:
        raise InputError("the training loss is taken by the evaluation of a run")
    return Found(at.train_loss)
