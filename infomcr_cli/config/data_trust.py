"""Whether the user has named the function that gives the data: a run directory's own word does not count."""

from __future__ import annotations

from collections.abc import Collection

from infomcr_cli.config.data_schema import BuilderDataConfig
from infomcr_cli.config.schema import RunConfig


def with_trusted_data(config: RunConfig, named: Collection[str] | None = None) -> RunConfig:
    """Return a run whose data function may be called, if the user has named it.

    Args: named: the settings that were given on the command line; None: the whole configuration is the user's own.
    """
    if isinstance(config.data, BuilderDataConfig) and (named is None or {"data", "data.builder"} & set(named)):
        config.data._is_trusted = True
    return config
