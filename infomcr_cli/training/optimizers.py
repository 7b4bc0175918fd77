"""Make the Keras optimizer that a configuration describes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, TypeAlias

import keras

from infomcr_cli.config.schema.optimizer import MuonConfig, OptimizerConfig
from infomcr_cli.errors import InputError

Rate: TypeAlias = keras.optimizers.schedules.LearningRateSchedule | float
CLASSES = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "lion": "Lion", "muon": "Muon"}
# Parts of the objective, the name, and what `average.WeightAverage` does in place of Keras.
_NOT_KERAS = {"name", "learning_rate", "l2", "label_smoothing", "ema_overwrite_frequency"}


def make_optimizer(config: OptimizerConfig, rate: Rate, weights: Sequence[Any]) -> keras.Optimizer:
    """Return the optimizer of a configuration, not yet built.

    Decoupled weight decay is for kernels: weights of fewer than two dimensions (biases, scale and shift of norms) are
    excluded from it.

    Args:
        rate:    the learning rate over steps.
        weights: the trainable variables of the network.

    Raises:
        InputError: the installed Keras has no such optimizer, or not with these settings.
    """
    kind = getattr(keras.optimizers, CLASSES[config.name], None)
    settings = _settings(config)
    missing = set(settings) - set(inspect.signature(kind).parameters) if kind else {config.name}
    if kind is None or missing:
        raise InputError(
            f"optimizer={config.name} needs a Keras version that supports {', '.join(sorted(missing))}",
            received=f"Keras {keras.__version__}",
            advice="Install a newer Keras.",
        )
    optimizer: keras.Optimizer = kind(rate, **settings)
    optimizer.exclude_from_weight_decay(var_list=[weight for weight in weights if _is_offset_or_scale(weight)])
    return optimizer


def _is_offset_or_scale(weight: keras.Variable) -> bool:
    """Whether a weight is no kernel; the biases of attention and of a GRU have two axes."""
    return len(weight.shape) < 2 or weight.path.rpartition("/")[2] in ("bias", "beta", "gamma")


def _settings(config: OptimizerConfig) -> dict[str, Any]:
    """Return the keywords of the Keras class."""
    settings = config.model_dump(exclude=_NOT_KERAS)
    if isinstance(config, MuonConfig):
        # Keras searches for regular expressions. A weight has one decay, whichever step it takes.
        settings["exclude_layers"] = [*(re.escape(part) for part in config.exclude_layers), r"(^|/)bias$"]
        settings["adam_weight_decay"] = config.weight_decay
    return settings
