"""The export formats, recognized by file name; TensorFlow is not imported."""

from __future__ import annotations

import importlib.util
import os
from enum import StrEnum
from pathlib import Path

from infomcr_cli.errors import InputError


class Format(StrEnum):
    """How a network is written."""

    KERAS = ".keras"
    WEIGHTS = ".weights.h5"
    ONNX = ".onnx"
    SAVED_MODEL = "SavedModel"


ACCEPTED = ("NAME.keras", "NAME.weights.h5", "NAME.onnx", "NAME (a SavedModel folder)")


def format_of(target: Path) -> Format:
    """Return the format for a file name; a name without a suffix is a SavedModel folder.

    Raises:
        InputError: the suffix is of none of them.
    """
    for one in (Format.KERAS, Format.WEIGHTS, Format.ONNX):
        if target.name.endswith(one.value):
            return one
    if target.suffix or not target.name:
        raise InputError("export must have a supported file type", received=str(target), accepted=ACCEPTED)
    return Format.SAVED_MODEL


def check_target(target: Path, *, force: bool) -> None:
    """Raise InputError if a network cannot be written to that path, or not in that format.

    Args:
        force: what stands there may be replaced: a file by a file, a SavedModel by a SavedModel.
    """
    wanted = format_of(target)
    if wanted is Format.ONNX:
        missing = [name for name in ("onnx", "tf2onnx") if importlib.util.find_spec(name) is None]
        if missing:
            advice = "Install the extra: pip install 'infomcr[onnx]'."
            raise InputError("export to ONNX needs onnx and tf2onnx", received=f"no {missing[0]}", advice=advice)
    if not target.parent.is_dir():
        raise InputError("the folder of the exported file must exist", received=str(target.parent))
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InputError("the folder of the exported file must be writable", received=str(target.parent))
    if not target.exists() and not target.is_symlink():
        return
    if not force:
        advice = "Give another name, or --force to replace it."
        raise InputError("export does not overwrite a file without --force", received=f"{target} exists", advice=advice)
    is_ours = (target / "saved_model.pb").is_file() if wanted is Format.SAVED_MODEL else target.is_file()
    if target.is_symlink() or not is_ours:
        raise InputError(
            "--force overwrites only a file of the same kind", received=str(target), advice="Give another name."
        )
