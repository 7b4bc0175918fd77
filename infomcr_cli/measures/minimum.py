"""A network at a minimum, with the passes that several measures need, each made once and only when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from infomcr_cli.measures.forward import trainable_weights
from infomcr_cli.measures.margins import tenth_percentile_margin
from infomcr_cli.measures.norms import log_frobenius_product, log_spectral_product
from infomcr_cli.measures.shared_result import shared_result
from infomcr_cli.measures.subject import Subject
from infomcr_cli.measures.surface import LossSurface
from infomcr_cli.models import named_weights


class Minimum:
    """What the measures that are not read off a Gram matrix are taken at.

    Args:
        subject:        network and settings.
        images, labels: the samples, standardised.
    """

    def __init__(self, subject: Subject, images: Any, labels: Any) -> None:
        self.model, self.config, self.seed = subject.model, subject.config, subject.seed
        self.train_loss, self._beginning = subject.train_loss, subject.beginning
        self.surface = LossSurface(subject.model, images, labels, batch_size=subject.config.batch_size)

    @shared_result
    def initial(self) -> Mapping[str, Any] | None:
        """Weights before training, by name; None where the run has none of its own."""
        return self._beginning()

    @property
    def trainable(self) -> dict[str, Any]:
        """Trainable weights by name."""
        wanted = {id(variable) for variable in trainable_weights(self.model)}
        return {name: np.asarray(v) for name, v in named_weights(self.model).items() if id(v) in wanted}

    @shared_result
    def margin(self) -> float:
        """10th percentile of the margins, in units of logits."""
        return tenth_percentile_margin(self.surface.clean_logits, self.surface.labels)

    @shared_result
    def log_frobenius(self) -> float:
        """Logarithm of the product of squared Frobenius norms."""
        return log_frobenius_product(self.model)

    @shared_result
    def log_spectral(self) -> float:
        """Logarithm of the product of squared spectral norms."""
        return log_spectral_product(self.model)
