"""The schema of a run: one frozen record for each configuration group, with ranges and units.

The defaults are in `conf/`, not in the schema, so that each is written in one place. The exception is a setting that
was added later: a run that was recorded before must still be readable.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from infomcr_cli.config.schema.data import AnyDataConfig, AugmentConfig, Place
from infomcr_cli.config.schema.data import DataConfig as DataConfig
from infomcr_cli.config.schema.experiment_name import experiment_misfit
from infomcr_cli.config.schema.fields import (
    Count,
    Fraction,
    NonNegative,
    Positive,
    Record,
    Seed,
    hashed_unless_default,
    not_hashed,
)
from infomcr_cli.config.schema.imported import ImportedConfig
from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.config.schema.model import ModelConfig
from infomcr_cli.config.schema.optimizer import OptimizerConfig
from infomcr_cli.config.schema.regularizer import RegConfig
from infomcr_cli.config.schema.sweep import EngineConfig
from infomcr_cli.console.text import printable

Device = Literal["auto", "cpu", "gpu", "mirrored"]
Precision = Literal["float32", "float64", "mixed_bfloat16"]


class ScheduleConfig(Record):
    """Length of training, learning-rate schedule, and when to evaluate and save checkpoints."""

    name: Literal["piecewise", "cosine", "constant"]
    epochs: Count = Field(description="number of epochs")
    boundaries: tuple[Fraction, ...] = Field(description="where the learning rate falls, as fractions of all epochs")
    factor: Fraction = Field(description="factor for the learning rate at each boundary")
    phases: tuple[Fraction, Fraction] = Field(
        description="where the second and the third phase begin, as fractions of all epochs"
    )
    warmup_epochs: NonNegative = Field(description="epochs in which the learning rate rises linearly from 0")
    stop_at_train_loss: Positive | None = Field(
        description="stop when the clean training cross-entropy is at most this, nats; null: never"
    )
    patience: Count | None = hashed_unless_default(
        None, "stop after this many epochs without a lower validation loss; null: never"
    )
    # Composition turns it into epochs and warm-up, which are part of the identity; it has no effect of its own.
    match_compute: bool = not_hashed(
        "train for the number of epochs that costs as much as reg=on for schedule.epochs", default=False
    )
    eval_every: Count = not_hashed("evaluate on the test set every this many epochs")
    checkpoint_every: Count = not_hashed("write a checkpoint every this many epochs")
    keep_checkpoints: Annotated[int, Field(ge=2)] | None = not_hashed("number of newest checkpoints to keep; null: all")

    @field_validator("boundaries")
    @classmethod
    def _rising(cls, boundaries: tuple[float, ...]) -> tuple[float, ...]:
        if any(later <= earlier for earlier, later in pairwise(boundaries)):
            raise ValueError(f"schedule.boundaries must be increasing; got {list(boundaries)}")
        return boundaries

    @model_validator(mode="after")
    def _what_is_matched_goes_to_its_end(self) -> ScheduleConfig:
        for name in ("stop_at_train_loss", "patience"):
            value = getattr(self, name)
            if self.match_compute and value is not None:
                raise ValueError(
                    f"schedule.match_compute cannot be combined with early stopping; got schedule.{name}={value:g}. "
                    "Set match_compute to false, or the other setting to null."
                )
        return self


class TrackingConfig(Record):
    """How the run is recorded in MLflow."""

    name: Literal["mlflow", "off"]
    uri: str | None = Field(
        description="MLflow tracking URI; null: MLFLOW_TRACKING_URI, else mlflow/mlflow.db beside the runs"
    )
    experiment: str | None = Field(
        description="name of the MLflow experiment; null: MLFLOW_EXPERIMENT_NAME, else infomcr"
    )
    tensorboard: bool = not_hashed(
        "also write the metrics as TensorBoard event files to RUN/tensorboard", default=False
    )
    checkpoints: Literal["none", "best", "last", "all"] = not_hashed(
        "checkpoints whose weights are uploaded to MLflow, as Keras models that take unscaled inputs", default="none"
    )
    # Whether the user has named the URI is not a setting; see `allowed_builders`.
    _is_named: bool = PrivateAttr(default=False)

    @field_validator("experiment")
    @classmethod
    def _one_that_mlflow_takes(cls, name: str | None) -> str | None:
        misfit = None if name is None else experiment_misfit(name)
        if misfit:
            raise ValueError(f"tracking.experiment {misfit}; got {printable(str(name), 80)!r}")
        return name


def _nearest_divisor(number: int, wanted: int) -> int:
    """Return the divisor nearest to `wanted`, the larger of two; 1 if there is none within a few thousand."""
    tried = (candidate for far in range(4096) for candidate in (wanted + far, wanted - far))
    return next((one for one in tried if 1 <= one <= number and number % one == 0), 1)


class RunConfig(Record):
    """The resolved configuration of a run."""

    data: AnyDataConfig
    model: ModelConfig
    augment: AugmentConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    reg: RegConfig
    measure: MeasureConfig = not_hashed("what eval measures")
    tracking: TrackingConfig = not_hashed("where MLflow mirrors")
    engine: EngineConfig = not_hashed("what carries out a sweep")
    start: Place | None = Field(
        description="start from the weights of this run: RUN or RUN@CHECKPOINT; null: random weights"
    )
    seed: Seed = Field(description="seed for initial weights, order of batches, augmentation and dropout")
    precision: Precision = Field(description="number format of the training step")
    device: Device = not_hashed("device to compute on")
    deterministic: bool = not_hashed("bit-identical results on one machine, at some cost of speed")
    runs_dir: Annotated[str, Field(min_length=1)] = not_hashed("folder for run directories")
    choices: dict[str, str] = not_hashed("the name chosen from each group")
    imported: ImportedConfig | None = hashed_unless_default(
        None, "where the weights come from, for a run that was trained elsewhere"
    )

    @model_validator(mode="after")
    def _streamed_images_are_augmented_one_by_one(self) -> RunConfig:
        augment = self.augment
        if self.data.name == "imagenet" and (
            augment.name not in ("none", "standard") or augment.cutout or augment.mixup
        ):
            raise ValueError(
                "data=imagenet supports only augment=none and augment=standard, without cutout and mixup; "
                f"got augment.name={augment.name}, augment.cutout={augment.cutout}, augment.mixup={augment.mixup:g}."
            )
        return self

    @model_validator(mode="after")
    def _patience_has_a_validation_split(self) -> RunConfig:
        if self.schedule.patience is not None and self.data.validation_size is None:
            raise ValueError(
                f"schedule.patience needs a validation split; got schedule.patience={self.schedule.patience} with "
                "data.validation_size=null. Hold out some training images, such as data.validation_size=200: "
                "the test set is never used for early stopping."
            )
        return self

    @model_validator(mode="after")
    def _muon_computes_in_float32(self) -> RunConfig:
        if self.optimizer.name == "muon" and self.precision == "float64":
            raise ValueError(
                "optimizer=muon needs float32 weights, because Keras's Muon supports no others; got precision=float64. "
                "Use precision=float32 or mixed_bfloat16."
            )
        return self

    @model_validator(mode="after")
    def _sub_batches_divide_the_batch(self) -> RunConfig:
        parts = getattr(self.reg, "num_sub_batches", 1)
        if self.data.batch_size % parts:
            near = _nearest_divisor(self.data.batch_size, parts)
            raise ValueError(
                "reg.num_sub_batches must divide data.batch_size; "
                f"got num_sub_batches={parts}, batch_size={self.data.batch_size}. Try {near}."
            )
        return self
