"""Write networks to files atomically, with their metadata."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import keras

from infomcr_cli.exchange.formats import Format
from infomcr_cli.exchange.onnx_file import onnx_model

KEY = "infomcr"  # in metadata.json of a .keras file, and wherever else a format has room for notes
MAX_ATTRIBUTE = 60_000  # bytes that HDF5 has room for in an attribute
About = Mapping[str, Any]


def write(model: keras.Model, target: Path, wanted: Format, about: About) -> None:
    """Write a network; an existing `target` is replaced only when the new file is complete.

    Args:
        about: class names and where the network comes from; JSON-able.

    Raises:
        OSError: the place cannot be written to.
    """
    # In the folder of the target: a rename is atomic only within a file system.
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
        beside = Path(folder) / target.name
        _WRITERS[wanted](model, beside, about)
        if target.is_dir():  # os.replace cannot replace a folder that is not empty
            os.rename(target, Path(folder) / f"{target.name}.former")
        os.replace(beside, target)


def _keras(model: keras.Model, path: Path, about: About) -> None:
    """Write a .keras file, with our metadata in metadata.json, which Keras ignores on loading."""
    folder = path.parent / "plain"
    folder.mkdir()
    plain = folder / "network.keras"
    model.save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.infolist():
            if member.filename == "metadata.json":
                metadata = {**json.loads(source.read(member)), "class_names": about["class_names"], KEY: about}
                target.writestr(member.filename, json.dumps(metadata))
            else:
                # force_zip64: zipfile must know before it writes whether a member may exceed 2 GB.
                with source.open(member) as inner, target.open(member.filename, "w", force_zip64=True) as outer:
                    shutil.copyfileobj(inner, outer, 2**20)
    shutil.rmtree(folder)


def _weights(model: keras.Model, path: Path, about: About) -> None:
    import h5py

    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        text = json.dumps(about)
        file.attrs[KEY] = text if len(text) < MAX_ATTRIBUTE else json.dumps({**about, "class_names": None})


def _saved_model(model: keras.Model, path: Path, about: About) -> None:
    with redirect_stdout(StringIO()):  # Keras describes what it has written
        model.export(str(path), verbose=False)
    extra = path / "assets.extra"  # the folder that the SavedModel format leaves to its users
    extra.mkdir()
    (extra / "metadata.json").write_text(json.dumps({"class_names": about["class_names"], KEY: about}))


def _onnx(model: keras.Model, path: Path, about: About) -> None:
    import onnx

    written = onnx_model(model)
    onnx.helper.set_model_props(written, {"class_names": json.dumps(about["class_names"]), KEY: json.dumps(about)})
    onnx.save(written, str(path))


_WRITERS: Mapping[Format, Callable[[keras.Model, Path, About], None]] = {
    Format.KERAS: _keras,
    Format.WEIGHTS: _weights,
    Format.SAVED_MODEL: _saved_model,
    Format.ONNX: _onnx,
}
