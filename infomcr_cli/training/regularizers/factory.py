"""Make the regularizer that a configuration describes."""

from __future__ import annotations

from infomcr_cli.config.devices import divided
from infomcr_cli.config.schema.regularizer import (
    FisherTraceConfig,
    GradientNormConfig,
    LocalMinimumConfig,
    NoRegularizer,
    RegConfig,
    SamConfig,
)
from infomcr_cli.training.regularizers.base import Regularizer
from infomcr_cli.training.regularizers.fisher_trace import FisherTrace
from infomcr_cli.training.regularizers.gradient_norm import GradientNorm
from infomcr_cli.training.regularizers.local_minimum import LocalMinimum
from infomcr_cli.training.regularizers.sam import SAM


def make_regularizer(config: RegConfig, *, replicas: int = 1, batch_size: int | None = None) -> Regularizer | None:
    """Return the regularizer of a configuration, None for plain SGD.

    Args:
        replicas:   how many devices divide the sub-batches among them.
        batch_size: B, for the advice of the error.

    Raises:
        InputError: the devices cannot share the sub-batches equally.
    """
    if isinstance(config, NoRegularizer):
        return None
    parts = divided("reg.num_sub_batches", config.num_sub_batches, replicas, batch_size)
    match config:
        case LocalMinimumConfig():
            return LocalMinimum(parts, config.alpha, config.beta, config.share_pass)
        case SamConfig():
            return SAM(parts, config.rho)
        case GradientNormConfig():
            return GradientNorm(parts, config.radius, config.alpha)
        case FisherTraceConfig():
            return FisherTrace(parts, config.beta, config.share_pass)
