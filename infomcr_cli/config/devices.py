"""Share a batch among several devices."""

from __future__ import annotations

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.errors import InputError

PARTS_OF_A_CPU = 2  # logical devices that device=mirrored makes of the CPU if there is no GPU


def divided(name: str, number: int, replicas: int, whole: int | None = None) -> int:
    """Return the share of each replica of `number`.

    Args:
        whole: a number that `number` must divide as well, for the advice.

    Raises:
        InputError: the replicas cannot share it equally.
    """
    if number % replicas:
        shared = [n for n in range(replicas, max(number, replicas) + 1, replicas) if whole is None or whole % n == 0]
        near = max(shared, default=replicas)
        received = f"{name}={number}, {replicas} devices"
        raise InputError(
            f"device=mirrored needs {name} to be a multiple of the number of devices",
            received=received,
            advice=f"Try {name}={near}.",
        )
    return number // replicas


def check_shares(config: RunConfig, replicas: int) -> None:
    """Raise InputError if this number of devices cannot share the batch, or its sub-batches, equally."""
    divided("data.batch_size", config.data.batch_size, replicas)
    parts = getattr(config.reg, "num_sub_batches", None)
    if parts is not None:
        divided("reg.num_sub_batches", parts, replicas, config.data.batch_size)
