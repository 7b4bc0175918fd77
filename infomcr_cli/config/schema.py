"""What a run is: one frozen record for each configuration group, with ranges and units.

The values stand in `conf/`; the schema holds none, so that each has one home. The exception is a setting that came
later: a run recorded before it must still be read.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from infomcr_cli.config.data_schema import AnyDataConfig, AugmentConfig
from infomcr_cli.config.data_schema import DataConfig as DataConfig
from infomcr_cli.config.engine_schema import EngineConfig
from infomcr_cli.config.fields import (
    BelowOne,
    Count,
    Fraction,
    NonNegative,
    Positive,
    Record,
    Seed,
    aside,
    later,
)
from infomcr_cli.config.imported_schema import ImportedConfig
from infomcr_cli.config.measure_schema import MeasureConfig
from infomcr_cli.config.model_schema import ModelConfig
from infomcr_cli.config.reg_schema import RegConfig

Device = Literal["auto", "cpu", "gpu", "mirrored"]
Precision = Literal["float32", "float64", "mixed_bfloat16"]


class OptimizerConfig(Record):
    """Stochastic gradient descent with weight decay as an L2 penalty."""

    name: Literal["sgd"]
    learning_rate: Positive
    momentum: BelowOne
    nesterov: bool
    l2: NonNegative = Field(description="coefficient of the sum of squared weights; the gradient is twice it")


class ScheduleConfig(Record):
    """How long to train, how the learning rate falls, and when to look and to save."""

    name: Literal["piecewise", "cosine", "constant"]
    epochs: Count
    boundaries: tuple[Fraction, ...] = Field(description="shares of the schedule at which the rate falls")
    factor: Fraction = Field(description="what the rate is multiplied by at each boundary")
    phases: tuple[Fraction, Fraction] = Field(description="shares of the schedule that part its three phases")
    warmup_epochs: NonNegative
    stop_at_train_loss: Positive | None = Field(description="stop at this clean training cross-entropy, nats")
    # Composition turns it into epochs and warm-up, which are part of the identity; by itself it shapes nothing.
    match_compute: bool = aside("as many epochs as cost what reg=on costs in the epochs given", default=False)
    eval_every: Count = aside("epochs between two evaluations on the test set")
    checkpoint_every: Count = aside("epochs between two checkpoints")
    keep_checkpoints: Annotated[int, Field(ge=2)] | None = aside("newest checkpoints that are kept; null: all")

    @field_validator("boundaries")
    @classmethod
    def _rising(cls, boundaries: tuple[float, ...]) -> tuple[float, ...]:
        if any(later <= earlier for earlier, later in pairwise(boundaries)):
            raise ValueError(f"schedule.boundaries must rise; got {list(boundaries)}")
        return boundaries

    @model_validator(mode="after")
    def _what_is_matched_goes_to_its_end(self) -> ScheduleConfig:
        if self.match_compute and self.stop_at_train_loss is not None:
            raise ValueError(
                "schedule.match_compute needs a schedule that goes to its end; got schedule.stop_at_train_loss="
                f"{self.stop_at_train_loss:g}. Set the one to false or the other to null."
            )
        return self


class TrackingConfig(Record):
    """Where MLflow mirrors the run."""

    name: Literal["mlflow", "off"]
    uri: str | None = Field(description="any MLflow tracking URI; null: mlflow/mlflow.db beside the runs")
    experiment: str


class RunConfig(Record):
    """One whole run, resolved."""

    data: AnyDataConfig
    model: ModelConfig
    augment: AugmentConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    reg: RegConfig
    measure: MeasureConfig = aside("what eval measures")
    tracking: TrackingConfig = aside("where MLflow mirrors")
    engine: EngineConfig = aside("what carries out a sweep")
    start: str | None = Field(description="a run whose weights this one starts from, as RUN or RUN@CHECKPOINT")
    seed: Seed
    precision: Precision
    device: Device = aside("where to compute")
    deterministic: bool = aside("the same bits on every run of one machine")
    runs_dir: Annotated[str, Field(min_length=1)] = aside("where run directories are made")
    choices: dict[str, str] = aside("the name chosen from each group")
    imported: ImportedConfig | None = later(None, "where the weights come from, for a run that was trained elsewhere")

    @model_validator(mode="after")
    def _sub_batches_divide_the_batch(self) -> RunConfig:
        parts = getattr(self.reg, "num_sub_batches", 1)
        if self.data.batch_size % parts:
            divisors = [d for d in range(1, self.data.batch_size + 1) if self.data.batch_size % d == 0]
            near = min(divisors, key=lambda d: (abs(d - parts), -d))
            raise ValueError(
                "reg.num_sub_batches must divide data.batch_size; "
                f"got num_sub_batches={parts}, batch_size={self.data.batch_size}. Try {near}."
            )
        return self
