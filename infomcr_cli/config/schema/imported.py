"""The known settings of a run that was trained elsewhere, and stand-ins for the unknown ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from infomcr_cli.config.schema.fields import NOT_AN_AXIS, Record, not_hashed

MAX_SETTING_NAME, MAX_SETTING_TEXT = 100, 1000
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
SettingName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*$", max_length=MAX_SETTING_NAME)
]
Setting = bool | int | float | Annotated[str, StringConstraints(max_length=MAX_SETTING_TEXT)]

# The schema requires these groups. An imported run is not trained; what else reads them, as `path` does, gets values
# without an effect.
_STAND_INS: Mapping[str, Any] = {
    "augment": {"name": "none", "flip": False, "padding": 0, "cutout": 0, "mixup": 0.0},
    "optimizer": {"name": "sgd", "learning_rate": 1.0, "momentum": 0.0, "nesterov": False, "l2": 0.0},
    "schedule": {
        "name": "constant",
        "epochs": 1,
        "boundaries": [],
        "factor": 1.0,
        "phases": [0.0, 0.0],
        "warmup_epochs": 0.0,
        "stop_at_train_loss": None,
        "eval_every": 1,
        "checkpoint_every": 1,
        "keep_checkpoints": None,
    },
    "reg": {"name": "off"},
    "precision": "float32",
    "start": None,
}
_DATA_STAND_INS: Mapping[str, Any] = {"batch_size": 1, "validation_size": None}
UNKNOWN = frozenset(_STAND_INS)  # the groups and settings that an imported run does not record


class ImportedModelConfig(Record):
    """The network of a Keras file; its layers are in model.json in the run directory."""

    name: Literal["imported"]
    architecture: Sha256 = Field(description="SHA-256 of model.json", json_schema_extra=NOT_AN_AXIS)


class ImportedConfig(Record):
    """Origin of an imported run's weights, and the training settings given with --set."""

    file: str = not_hashed("name of the file that was imported", max_length=1000)
    weights: Sha256 = Field(description="SHA-256 of the weights by name", json_schema_extra=NOT_AN_AXIS)
    initial: Sha256 | None = not_hashed("SHA-256 of the weights before training; null: not known")
    settings: dict[SettingName, Setting] = Field(description="hyperparameters of the training, as given with --set")


def with_stand_ins(settings: Any) -> Any:
    """Return plain settings that the schema accepts: those of an imported run are completed, others are unchanged."""
    if not _is_imported(settings):
        return settings
    data = settings.get("data")
    return {**_STAND_INS, **settings, "data": {**_DATA_STAND_INS, **data} if isinstance(data, Mapping) else data}


def without_stand_ins(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known settings of an imported run; those of any other run, without the empty `imported`."""
    if not _is_imported(settings):
        return {key: value for key, value in settings.items() if key != "imported"}
    known = {key: value for key, value in settings.items() if key not in _STAND_INS}
    known["data"] = {key: value for key, value in settings["data"].items() if key not in _DATA_STAND_INS}
    known["choices"] = {group: choice for group, choice in settings["choices"].items() if group not in _STAND_INS}
    return known


def _is_imported(settings: Any) -> bool:
    return isinstance(settings, Mapping) and isinstance(settings.get("imported"), Mapping)
