"""Load the weights of a network from a weights file: Keras's .weights.h5, or safetensors."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.h5_weights import check_h5
from infomcr_cli.models.names import assign_all, named_weights
from infomcr_cli.runs.checkpoint import MAX_CHECKPOINT
from infomcr_cli.runs.io.safe_files import read_file
from infomcr_cli.runs.io.tensors import Array, decode_plain_arrays

if TYPE_CHECKING:
    import keras

H5, SAFETENSORS = ".weights.h5", ".safetensors"
_OURS = "weights:"  # before the names in a checkpoint of infomcr, whose optimizer is no weight


def check_weights_file(path: Path) -> None:
    """Raise InputError if a weights file is invalid for any network."""
    if path.name.endswith(H5):
        check_h5(path, printable(path.name))
    else:
        _safetensors(path)


def load_weights_file(model: keras.Model, path: Path) -> None:
    """Load a weights file into a network; every weight must be in the file.

    Raises:
        InputError: the file is damaged, or of another network.
    """
    if path.name.endswith(H5):
        _load_h5(model, path)
        return
    variables, arrays = named_weights(model), _safetensors(path)
    if arrays.keys() != variables.keys():  # Keras's own paths, where unnamed layers are numbered through a process
        by_path = {variable.path: name for name, variable in variables.items()}
        arrays = {by_path.get(name, name): array for name, array in arrays.items()}
    assign_all(variables, arrays)


def weights_by_name(model: keras.Model) -> dict[str, Array]:
    """Return the weights and moving statistics of a network as arrays."""
    return {name: np.asarray(variable) for name, variable in named_weights(model).items()}


def digest_of(weights: Mapping[str, Any]) -> str:
    """Return the SHA-256 of weights: of their names, shapes, types and values."""
    digest = hashlib.sha256()
    for name, array in sorted(weights.items()):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _load_h5(model: keras.Model, path: Path) -> None:
    from infomcr_cli.exchange.keras_file import load_h5

    with tempfile.TemporaryDirectory(prefix="infomcr-") as folder:
        copied = Path(folder) / "model.weights.h5"
        shutil.copyfile(path, copied)  # what is checked is what is read
        check_h5(copied, printable(path.name))
        load_h5(model, copied, printable(path.name))


def _safetensors(path: Path) -> dict[str, Array]:
    what = printable(path.name)
    try:
        # Resolved: `read_file` refuses links, but the user may name one.
        content = read_file(path.resolve().parent, path.resolve().name, MAX_CHECKPOINT)
    except OSError as error:
        raise InputError(f"{what} must be a file that can be read", received=str(path), advice=f"{error}.") from None
    arrays = decode_plain_arrays(content, what)
    ours = {name.removeprefix(_OURS): array for name, array in arrays.items() if name.startswith(_OURS)}
    return ours or arrays
