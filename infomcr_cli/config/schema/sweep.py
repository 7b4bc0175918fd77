"""The engine that carries out a sweep, and the settings of the sweep; none of them changes the weights of a run."""

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
_Value = Annotated[str, Field(pattern=r"^[ -~]{1,1000}$")]  # no line break: a new line would be a command of the script


class _Engine(Record):
    """Limits of a job that every engine enforces."""

    timeout: Positive | None = Field(description="seconds after which a job is stopped and marked FAILED; null: never")
    memory: Size | None = Field(description="memory limit per job, such as 500MB or 2GiB; null: no limit")
    retries: CountOrZero = Field(description="how often a lost job is retried")


class _Parallel(_Engine):
    jobs: Jobs | Literal["auto"] = Field(
        description="number of parallel jobs; auto: as many as cores, memory and GPUs allow"
    )


class LocalEngineConfig(_Parallel):
    """Processes on this machine."""

    name: Literal["local"]
    devices: tuple[DeviceName, ...] | Literal["auto"] = Field(
        default="auto", description="GPUs to use, named as in CUDA_VISIBLE_DEVICES, such as [0,1]; auto: all"
    )
    jobs_per_device: Count | None = Field(
        default=None, description="parallel jobs per GPU; null: as many as device_memory allows, else one"
    )
    device_memory: Size | None = Field(
        default=None, description="GPU memory that a job needs, such as 4GB; null: unknown"
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
    cpus: Positive = Field(description="cores per job")
    gpus: Annotated[float, Field(ge=0, le=64)] = Field(description="GPUs per job")


class SlurmEngineConfig(_Engine):
    """Tasks of a Slurm job array whose nodes share the folder of runs."""

    name: Literal["slurm"]
    array_parallelism: Jobs = Field(description="maximum number of parallel jobs of the array, as in --array=0-99%8")
    cpus: Annotated[int, Field(ge=1, le=4096)] = Field(description="cores per job")
    gpus: Annotated[int, Field(ge=0, le=64)] | Annotated[str, Field(pattern=r"^[\w.-]+(:\d+)?$")] = Field(
        description="GPUs per job: a number, or type and number such as a100:1"
    )
    time: Annotated[int, Field(ge=1, le=10**7)] | Annotated[str, Field(pattern=_TIME)] | None = Field(
        description="time limit per job: minutes, or Slurm's 12:00:00 or 2-12; null: the partition's limit"
    )
    partition: _Name | None = Field(description="Slurm partition; null: Slurm's default")
    account: _Name | None = Field(description="Slurm account; null: Slurm's default")
    qos: _Name | None = Field(description="quality of service; null: Slurm's default")
    checkpoint_before: Annotated[int, Field(ge=10, le=65535)] = Field(
        description="seconds before the time limit at which a job writes a checkpoint and requeues itself"
    )
    extra: dict[Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,40}$")], int | float | bool | _Value] = Field(
        description="other sbatch options by their long names, such as +engine.extra.constraint=a100"
    )


EngineConfig = Annotated[LocalEngineConfig | RayEngineConfig | SlurmEngineConfig, Field(discriminator="name")]


class SweepConfig(Record):
    """Settings of a sweep or search."""

    name: Annotated[str, Field(pattern=r"^[\w.-]{1,100}$")] | None = Field(
        description="name of the sweep's folder and MLflow run; null: derived from the overrides"
    )
    exclude: tuple[str, ...] = Field(description='combinations to skip, such as ["reg=on data.batch_size=16,32"]')
    evaluate: bool = Field(description="measure each run after training")
    compare: bool = Field(description="compare all runs at the end")
    search: Literal["optuna"] | None = Field(
        description="search the values and intervals of the overrides; null: train every combination"
    )
    trials: Trials = Field(description="number of trials, including failed ones")
    objective: Annotated[tuple[str, ...], Field(min_length=1, max_length=8)] = Field(
        description="one or more scores and measures to optimize, such as [validation_error,gamma]"
    )
    directions: tuple[Direction, ...] | None = Field(
        description="minimize or maximize, for each objective; null: the better direction of each"
    )
    sampler: Literal["tpe", "random"] = Field(description="Optuna's TPE sampler, or random sampling")
    search_seed: Seed = Field(description="seed of the sampler")
    pruner: Literal["median"] | None = Field(
        description="stop a run whose validation loss exceeds the median of the others at that epoch; null: no pruning"
    )
    pruner_warmup: Count = Field(description="epochs before pruning starts")
    allow_test: bool = Field(description="allow test scores as objectives")

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str | None) -> str | None:
        if name in (".", ".."):
            raise ValueError(f"sweep.name must be the name of a folder of its own; got {name}")
        return name
