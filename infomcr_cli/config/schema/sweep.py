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
_TIME = r"^(\d+-\d{1,2}(:\d{2}){0,2}|\d+(:\d{2}){0,2})$"
_Name = Annotated[str, Field(pattern=r"^[\w.,@+-]{1,200}$")]
_Value = Annotated[str, Field(pattern=r"^[ -~]{1,1000}$")]  # a line of its own would be a command of the script


class _Engine(Record):
    """Bounds on one job that hold wherever it runs."""

    timeout: Positive | None = Field(description="seconds after which a job is stopped and failed; null: never")
    memory: Size | None = Field(description="what a job may hold, as 500MB or 2GiB; null: no limit")
    retries: CountOrZero = Field(description="how often a job whose process was lost is tried again")


class _Parallel(_Engine):
    jobs: Jobs | Literal["auto"] = Field(description="jobs at once; auto: what cores, memory and GPUs allow")


class LocalEngineConfig(_Parallel):
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


class RayEngineConfig(_Parallel):
    """Tasks on a Ray cluster whose machines share the folder of runs."""

    name: Literal["ray"]
    address: str = Field(description="auto: the cluster that this machine belongs to; HOST:PORT; ray://HOST:PORT")
    cpus: Positive = Field(description="cores that a job takes")
    gpus: Annotated[float, Field(ge=0, le=64)] = Field(description="GPUs that a job takes")


class SlurmEngineConfig(_Engine):
    """Tasks of a Slurm job array whose nodes share the folder of runs."""

    name: Literal["slurm"]
    array_parallelism: Jobs = Field(description="jobs at once: the limit of the array, as in --array=0-99%8")
    cpus: Annotated[int, Field(ge=1, le=4096)] = Field(description="cores that a job takes")
    gpus: Annotated[int, Field(ge=0, le=64)] | Annotated[str, Field(pattern=r"^[\w.-]+(:\d+)?$")] = Field(
        description="GPUs that a job takes: a number, or kind and number as a100:1"
    )
    time: Annotated[int, Field(ge=1, le=10**7)] | Annotated[str, Field(pattern=_TIME)] | None = Field(
        description="limit of a job: minutes, or as Slurm writes it: 12:00:00, 2-12; null: the partition's"
    )
    partition: _Name | None = Field(description="where the jobs wait; null: Slurm's default")
    account: _Name | None = Field(description="that is charged; null: Slurm's default")
    qos: _Name | None = Field(description="quality of service; null: Slurm's default")
    checkpoint_before: Annotated[int, Field(ge=10, le=65535)] = Field(
        description="seconds before the limit of time at which a job writes a checkpoint and is put back into the queue"
    )
    extra: dict[Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,40}$")], int | float | bool | _Value] = Field(
        description="further options of sbatch by their long names: +engine.extra.constraint=a100"
    )


EngineConfig = Annotated[LocalEngineConfig | RayEngineConfig | SlurmEngineConfig, Field(discriminator="name")]


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
