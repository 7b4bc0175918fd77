"""Whether a run's own network may be built, which runs code: a value that travels with the settings of the run.

The user gives it by naming the function, on the command line or in a configuration of their own. A run directory may
come from anyone, so that what it names is not trusted until the user names it again.
"""

from __future__ import annotations

from typing import Any

from infomcr_cli.config.overrides import spelled
from infomcr_cli.config.schema.model import BuilderConfig
from infomcr_cli.config.schema.run import RunConfig


def trusted(config: RunConfig) -> RunConfig:
    """Return a run whose function, where it has one, the user has named."""
    if not isinstance(config.model, BuilderConfig):
        return config
    model = config.model.model_copy()
    model._is_trusted = True
    return config.model_copy(update={"model": model})


def is_trusted(config: RunConfig) -> bool:
    """Return whether the user has named the function of a run's own network."""
    return isinstance(config.model, BuilderConfig) and config.model._is_trusted


def named_again(settings: Any) -> list[str]:
    """Return the overrides without which a later command on a recorded run would build no network of the user's own.

    Args:
        settings: what config.yaml holds.
    """
    model = settings.get("model") if isinstance(settings, dict) else None
    builder = model.get("builder") if isinstance(model, dict) else None
    return [spelled("model.builder", builder)] if isinstance(builder, str) else []
