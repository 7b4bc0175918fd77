"""The NVIDIA GPUs of this machine, as the driver lists them; TensorFlow is not imported."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from infomcr_cli.config.byte_size import shown
from infomcr_cli.config.schema.sweep import LocalEngineConfig
from infomcr_cli.errors import InputError

MIB = 2**20
SECONDS = 20.0  # for nvidia-smi to answer


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Args:
        name:  as CUDA_VISIBLE_DEVICES takes it: its number, or its UUID.
        uuid:  empty: the driver does not say.
        free:  bytes of its memory; None: the driver does not say.
    """

    name: str
    uuid: str = ""
    free: int | None = None

    def is_called(self, name: str) -> bool:
        """Return whether a name denotes this GPU; as for CUDA, the beginning of a UUID is enough."""
        return name == self.name or (bool(self.uuid) and len(name) > 3 and self.uuid.startswith(name))


def visible_gpus() -> Sequence[str]:
    """Return the names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return [gpu.name for gpu in listed_gpus()]
    names = [name.strip() for name in given.split(",")]
    if "-1" in names:
        del names[names.index("-1") :]  # CUDA ignores -1 and all that follows it
    return [name for name in names if name]


def listed_gpus() -> list[Gpu]:
    """Return all GPUs that `nvidia-smi` lists; none if it is missing or does not answer."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [gpu for line in listed.splitlines() if (gpu := _read(line)) is not None]


def _read(line: str) -> Gpu | None:
    """Return the GPU of one line, such as `0, GPU-8a1b…, 24564`; None for other lines."""
    index, _, rest = (part.strip() for part in line.partition(","))
    uuid, _, memory = (part.strip() for part in rest.partition(","))
    if not index.isdecimal():
        return None
    return Gpu(index, uuid, int(memory) * MIB if memory.isdecimal() else None)


def places_on_gpus(engine: LocalEngineConfig) -> list[str]:
    """Return the GPU of each parallel job, in turns; empty if there is no GPU.

    Example: of two GPUs, each with room for two jobs, ["0", "1", "0", "1"].

    Raises:
        InputError: a GPU is not there, or has no room for a job.
    """
    names = [*map(str, engine.devices)] if engine.devices != "auto" else visible_gpus()
    needs_list = engine.devices != "auto" or (engine.device_memory is not None and engine.jobs_per_device is None)
    known = listed_gpus() if names and needs_list else []
    if engine.devices != "auto":
        _check_there(names, known)
    rooms = {name: _room(name, engine, known) for name in names}
    return [name for turn in range(max(rooms.values(), default=0)) for name in names if turn < rooms[name]]


def _check_there(names: Sequence[str], known: Sequence[Gpu]) -> None:
    """Raise InputError if a GPU is not visible to this process; without the driver, nothing is checked."""
    visible = visible_gpus()
    for name in names:
        is_listed = any(gpu.is_called(name) for gpu in known)
        if name not in visible and not (is_listed and "CUDA_VISIBLE_DEVICES" not in os.environ):
            raise InputError(
                "engine.devices must be GPUs of this machine",
                received=name,
                accepted=visible,
                advice=None if visible else "Neither CUDA_VISIBLE_DEVICES nor nvidia-smi lists any. Try device=cpu.",
            )


def _room(name: str, engine: LocalEngineConfig, known: Sequence[Gpu]) -> int:
    if engine.jobs_per_device is not None:
        return engine.jobs_per_device
    if engine.device_memory is None:
        return 1
    memory = next((gpu.free for gpu in known if gpu.is_called(name)), None)
    if memory is None:
        raise InputError(
            "engine.device_memory needs a GPU whose memory nvidia-smi reports",
            received=f"engine.device_memory={shown(engine.device_memory)}, GPU {name}",
            advice="Use engine.jobs_per_device=2 instead.",
        )
    if memory < engine.device_memory:
        raise InputError(
            "engine.device_memory must not exceed the free memory of a GPU",
            received=f"{shown(engine.device_memory)}, {memory / 1e9:.1f} GB on GPU {name}",
            advice="Choose other GPUs with engine.devices.",
        )
    return int(memory // engine.device_memory)
