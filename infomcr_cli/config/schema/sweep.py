"""What carries out a sweep, and what a sweep is besides its runs; none of it makes a run's weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from infomcr_cli.config.byte_size import Size
from infomcr_cli.config.schema.fields import Count, CountOrZero, Positive, Record, Seed

Jobs = Annotated[int, Field(ge=1, le=100_000)]
Trials = Annotated[int, Field(ge=1, le=10_000)]
DeviceName = Annotated[int, Field(ge=0, le=1023)] | Annotated[str, Field(pattern=r"^[\w-]{1,100}$")]
Direction = Literal["minimize", "maximize"]


class _Engine(Record):
    """Bounds on one job that hold wherever it runs."""

    jobs: Jobs | Literal["auto"] = Field(description="jobs at once; auto: what cores, memory and GPUs allow")
    timeout: Positive | None = Field(description="seconds after which a job is stopped and failed; null: never")
    memory: Size | None = Field(description="what a job may hold, as 500MB or 2GiB; null: no limit")
    retries: CountOrZero = Field(description="how often a job whose process was lost is tried again")


class LocalEngineConfig(_Engine):
    """Processes on this machine."""

    name: Literal["local"]
    devices: tuple[DeviceName, ...] | Literal["auto"] = Field(
        default="auto", description="GPUs for the jobs, as CUDA_VISIBLE_DEVICES names them: [0,1]; auto: all"
    )
    jobs_per_device: Count | None = Field(
        default=None, description="jobs at once on a GPU; null: as many as device_memory allows, else one"
    )
    device_memory: Size | None = Field(
        default=None, description="memory of a GPU that a job needs, as 4GB; null: not said"
    )

    @field_validator("devices")
    @classmethod
    def _each_once(cls, devices: tuple[str | int, ...] | str) -> tuple[str | int, ...] | str:
        if not isinstance(devices, str) and len(set(map(str, devices))) < len(devices):
            raise ValueError(f"engine.devices must name each GPU once; got {list(devices)}")
        return devices


class RayEngineConfig(_Engine):
    """Tasks on a Ray cluster whose machines share the folder of runs."""

    name: Literal["ray"]
    address: str = Field(description="auto: the cluster that this machine belongs to; HOST:PORT; ray://HOST:PORT")
    cpus: Positive = Field(description="cores that a job takes")
    gpus: Annotated[float, Field(ge=0, le=64)] = Field(description="GPUs that a job takes")


EngineConfig = Annotated[LocalEngineConfig | RayEngineConfig, Field(discriminator="name")]


class SweepConfig(Record):
    """What a sweep does with its jobs."""

    name: Annotated[str, Field(pattern=r"^[\w.-]{1,100}$")] | None = Field(
        description="of its folder and its run in MLflow; null: made from its overrides"
    )
    exclude: tuple[str, ...] = Field(description='combinations to leave out, as ["reg=on data.batch_size=16,32"]')
    evaluate: bool = Field(description="measure each run once it is trained")
    compare: bool = Field(description="compare all runs at the end")
    search: Literal["optuna"] | None = Field(description="search the values and intervals; null: do every combination")
    trials: Trials = Field(description="how many settings a search tries, those that fail included")
    objective: Annotated[tuple[str, ...], Field(min_length=1, max_length=8)] = Field(
        description="scores and measures to search by, such as [validation_error,gamma]"
    )
    directions: tuple[Direction, ...] | None = Field(description="of each objective; null: as it is better")
    sampler: Literal["tpe", "random"] = Field(description="what proposes settings: Optuna's TPE, or chance")
    search_seed: Seed = Field(description="of the sampler")
    pruner: Literal["median"] | None = Field(
        description="end a run whose validation loss is above the median of the others at that epoch; null: end none"
    )
    pruner_warmup: Count = Field(description="epochs in which no run is ended so")
    allow_test: bool = Field(description="let objectives use the test set")
