"""An untrusted file: nothing in it is executed, nothing is read beside it, nothing is left behind."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import stat
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from archives import CONFIG, WEIGHTS, enlarging_file, layer, members, small_file, with_config, write
from cli import CommandLine

Attack = Callable[[Path, Path], object]
LIMIT = 20.0  # seconds; TensorFlow may have to be imported on a busy machine


class Bomb:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self._mark}",)


def with_layer(path: Path, kind: str, config: dict[str, Any], module: str = "keras.layers", **more: Any) -> Path:
    """Put a layer before the last one."""
    added = {
        "module": module,
        "class_name": kind,
        "config": {"name": "added", **config},
        "registered_name": None,
        **more,
    }
    return with_config(path, lambda whole: whole["config"]["layers"].insert(-1, added))


def with_h5(path: Path, change: Callable[[h5py.File], Any]) -> Path:
    contents = members(path)
    file = io.BytesIO(contents[WEIGHTS])
    with h5py.File(file, "r+") as opened:
        change(opened)
    return write(path, {**contents, WEIGHTS: file.getvalue()})


def replace_kernel(file: h5py.File, make: Callable[[h5py.Group], Any]) -> None:
    group = file["layers/dense/vars"]
    del group["0"]
    make(group)


def lambda_layer(path: Path, mark: Path) -> Path:
    """Keras's own Lambda, its Python code beside it as Keras writes it."""
    from keras.src.utils.python_utils import func_dump

    code = func_dump(eval(f"lambda x: (__import__('os').system('touch {mark}'), x)[1]"))  # noqa: S307
    function = {"class_name": "__lambda__", "config": {"value": code[0], "defaults": code[1], "closure": code[2]}}
    return with_layer(path, "Lambda", {"function": function})


def names_os_system(path: Path, mark: Path) -> Path:
    call = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    return with_config(path, lambda config: layer(config, "Dense")["config"].update(activation=call))


def linked_member(path: Path, mark: Path) -> Path:
    link = zipfile.ZipInfo("assets/link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return write(path, members(path), lambda archive: archive.writestr(link, "/etc/passwd"))


def bomb_member(path: Path, name: str) -> Path:
    contents = {key: content for key, content in members(path).items() if key != name}

    def add(archive: zipfile.ZipFile) -> None:
        with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
            file._zinfo.compress_type = zipfile.ZIP_DEFLATED  # type: ignore[attr-defined]
            file.write(b"")

    write(path, contents)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b"\0" * 2**26)
    return path


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def spread_mean(config: dict[str, Any]) -> None:
    """Ten thousand million numbers that are no weights."""
    shape = [None, 10**5, 10**5, 1]
    layer(config, "InputLayer")["config"]["batch_shape"] = shape
    spread = {"name": "spread", "axis": [1, 2, 3], "mean": 0.0, "variance": 1.0}
    added = {"module": "keras.layers", "class_name": "Normalization", "config": spread, "registered_name": None}
    config["config"]["layers"].insert(1, added)


def in_a_graph(config: dict[str, Any]) -> list[Any]:
    """Make a functional model of a Sequential one; return its layers."""
    layers: list[Any] = config["config"]["layers"]
    for one in layers:
        one.update(name=one["config"]["name"], inbound_nodes=[])
    config["class_name"], config["module"] = "Functional", "keras.src.models.functional"
    config["config"] |= {"input_layers": [layers[0]["name"], 0, 0], "output_layers": [layers[-1]["name"], 0, 0]}
    return layers


def tiled_constant() -> dict[str, Any]:
    one = {"class_name": "__tensor__", "config": {"value": [[1.0]], "dtype": "float32"}}
    return {
        "module": "keras.src.ops.numpy",
        "class_name": "Tile",
        "config": {"name": "tile", "repeats": [10**5, 10**5]},
        "registered_name": "Tile",
        "name": "tile",
        "inbound_nodes": [{"args": [one], "kwargs": {}}],
    }


def damaged_compression(path: Path, mark: Path) -> None:
    contents = members(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
        begins = archive.getinfo(CONFIG).header_offset + 30 + len(CONFIG)
    damaged = bytearray(path.read_bytes())
    damaged[begins + 40 : begins + 60] = b"\xff" * 20
    path.write_bytes(damaged)


OS_CLASS = {"module": "os", "class_name": "system", "config": {"command": "touch"}, "registered_name": None}
ATTACKS: dict[str, Attack] = {
    "lambda": lambda_layer,
    "os.system as an activation": names_os_system,
    "os.system as a layer": lambda path, mark: with_layer(path, "system", {"command": f"touch {mark}"}, "os"),
    "os.system as the model": lambda path, mark: with_config(path, lambda config: OS_CLASS),
    "subprocess as an initializer": lambda path, mark: with_config(
        path, lambda config: layer(config, "Dense")["config"].update(kernel_initializer={**OS_CLASS, "module": "posix"})
    ),
    "a Keras function that downloads": lambda path, mark: with_layer(
        path, "get_file", {"fname": "x", "origin": f"file://{mark}"}, "keras.utils"
    ),
    "a Keras function as an activation": lambda path, mark: with_config(
        path,
        lambda config: layer(config, "Dense")["config"].update(
            activation={
                "module": "keras.saving",
                "class_name": "function",
                "config": "load_model",
                "registered_name": None,
            }
        ),
    ),
    "an unknown registered name": lambda path, mark: with_layer(
        path, "Strange", {}, None, registered_name="unknown>Strange"
    ),
    "a registered name on a Keras layer": lambda path, mark: with_config(
        path, lambda config: layer(config, "Dense").update(registered_name="unknown>Dense")
    ),
    "a module that Keras lacks": lambda path, mark: with_layer(path, "Dense", {"units": 3}, "keras.layers.evil"),
    "a module that begins like Keras": lambda path, mark: with_layer(path, "Dense", {"units": 3}, "keras_evil.layers"),
    "a SavedModel layer": lambda path, mark: with_layer(path, "TFSMLayer", {"filepath": str(mark.parent)}),
    "a Torch module": lambda path, mark: with_layer(
        path, "TorchModuleWrapper", {"module": base64.b64encode(pickle.dumps(Bomb(mark))).decode()}
    ),
    "a vocabulary in another file": lambda path, mark: with_layer(path, "StringLookup", {"vocabulary": "/etc/passwd"}),
    "a layer of the legacy format": lambda path, mark: with_config(
        path, lambda config: layer(config, "Dense").update(module=None)
    ),
    "an array of objects": lambda path, mark: with_config(
        path,
        lambda config: layer(config, "Dense")["config"].update(
            bias_initializer={"class_name": "__numpy__", "config": {"value": [1], "dtype": "S999999999"}}
        ),
    ),
    "a type specification": lambda path, mark: with_config(
        path, lambda config: config["config"].update(spec={"class_name": "__typespec__", "config": [], "module": "os"})
    ),
    "a thousand times nested": lambda path, mark: with_config(
        path, lambda config: config["config"].update(deep=nested(900))
    ),
    "ten million million weights": lambda path, mark: with_config(
        path, lambda config: layer(config, "Dense")["config"].update(units=10**13)
    ),
    "features beyond any memory": lambda path, mark: with_config(
        enlarging_file(path), lambda config: layer(config, "UpSampling2D")["config"].update(size=[10**5, 10**5])
    ),
    "a mean that is spread over all features": lambda path, mark: with_config(path, spread_mean),
    "an operation on constants alone": lambda path, mark: with_config(
        enlarging_file(path), lambda config: in_a_graph(config).insert(1, tiled_constant())
    ),
    "weights of a quantized layer": lambda path, mark: with_config(
        path, lambda config: layer(config, "Dense")["config"].update(dtype="int8_from_float32")
    ),
    "an input of texts": lambda path, mark: with_config(
        path, lambda config: layer(config, "InputLayer")["config"].update(dtype="string")
    ),
    "a damaged compression": damaged_compression,
    "a name that leads out": lambda path, mark: write(path, {**members(path), "../../canary": b"x"}),
    "a name from the root": lambda path, mark: write(path, {**members(path), "/tmp/canary": b"x"}),
    "a name with backslashes": lambda path, mark: write(path, {**members(path), "..\\canary": b"x"}),
    "a link in the archive": linked_member,
    "a file that stands there twice": lambda path, mark: write(
        path, members(path), lambda archive: archive.writestr(CONFIG, b"{}")
    ),
    "a bomb of a description": lambda path, mark: bomb_member(path, CONFIG),
    "a bomb of weights": lambda path, mark: bomb_member(path, WEIGHTS),
    "no weights": lambda path, mark: write(path, {CONFIG: members(path)[CONFIG]}),
    "no description": lambda path, mark: write(path, {WEIGHTS: members(path)[WEIGHTS]}),
    "a description that is no JSON": lambda path, mark: write(path, {**members(path), CONFIG: b"__import__('os')"}),
    "a description of NaN": lambda path, mark: write(path, {**members(path), CONFIG: b'{"class_name": NaN}'}),
    "a pickle": lambda path, mark: path.write_bytes(pickle.dumps(Bomb(mark))),
    "an empty file": lambda path, mark: path.write_bytes(b""),
    "half a file": lambda path, mark: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "weights that are a pickle": lambda path, mark: write(path, {**members(path), WEIGHTS: pickle.dumps(Bomb(mark))}),
    "weights in another file": lambda path, mark: with_h5(
        path, lambda file: replace_kernel(file, lambda group: group.update({"0": h5py.ExternalLink("/tmp/x.h5", "/x")}))
    ),
    "weights behind a soft link": lambda path, mark: with_h5(
        path,
        lambda file: replace_kernel(file, lambda group: group.update({"0": h5py.SoftLink("/layers/dense/vars/1")})),
    ),
    "weights stored outside": lambda path, mark: with_h5(
        path,
        lambda file: replace_kernel(
            file, lambda group: group.create_dataset("0", (64, 10), "f4", external=[("/etc/passwd", 0, 2560)])
        ),
    ),
    "weights mapped from a file": lambda path, mark: with_h5(path, lambda file: replace_kernel(file, virtual)),
    "a shape of which nothing is stored": lambda path, mark: with_h5(
        path,
        lambda file: replace_kernel(
            file,
            lambda group: group.create_dataset("0", (2**20, 2**20), "f4", chunks=(2**10, 2**10), compression="gzip"),
        ),
    ),
    "a group inside itself": lambda path, mark: with_h5(
        path, lambda file: file["layers"].__setitem__("loop", file["layers"])
    ),
    "weights of objects": lambda path, mark: with_h5(
        path,
        lambda file: replace_kernel(
            file, lambda group: group.create_dataset("0", data=["x"] * 3, dtype=h5py.special_dtype(vlen=str))
        ),
    ),
    "weights of another shape": lambda path, mark: with_h5(
        path, lambda file: replace_kernel(file, lambda group: group.create_dataset("0", data=np.ones((64, 11), "f4")))
    ),
    "weights that are missing": lambda path, mark: with_h5(path, lambda file: file.__delitem__("layers/dense/vars/1")),
}


def virtual(group: h5py.Group) -> None:
    layout = h5py.VirtualLayout((64, 10), "f4")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (64, 10))
    group.create_virtual_dataset("0", layout)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_file_executes_nothing_and_exits_2(command_line: CommandLine, tmp_path: Path, name: str) -> None:
    path, mark = small_file(tmp_path / "evil.keras"), tmp_path / "mark"
    ATTACKS[name](path, mark)
    began = time.monotonic()
    answer = command_line("import", "evil.keras", "tracking=off", "data.train_size=64", "data.test_size=64")
    assert answer.code == 2, answer.err
    assert time.monotonic() - began < LIMIT
    assert "Traceback" not in answer.err
    assert len(answer.err) < 1500
    assert answer.err.isprintable() or "\n" in answer.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.keras"]
    assert not Path("/tmp/canary").exists()


@pytest.mark.parametrize("name", ["lambda", "os.system as an activation", "an unknown registered name"])
def test_what_is_refused_is_named_with_the_way_out(command_line: CommandLine, tmp_path: Path, name: str) -> None:
    path = small_file(tmp_path / "evil.keras")
    ATTACKS[name](path, tmp_path / "mark")
    said = command_line("import", "evil.keras", "tracking=off").err
    named = {"lambda": "keras.layers.Lambda", "os.system as an activation": "os.system"}.get(name, "Strange")
    assert named in said
    assert "model=builder model.builder=package.module:function" in said


def test_an_honest_file_of_the_same_kind_is_taken(command_line: CommandLine, tmp_path: Path) -> None:
    small_file(tmp_path / "good.keras")
    answer = command_line("import", "good.keras", "tracking=off", "data.train_size=64", "data.test_size=64")
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("kind", ["truncated", "pickle", "of another network", "a shape of nothing"])
def test_untrusted_weights_are_checked_like_checkpoints(command_line: CommandLine, tmp_path: Path, kind: str) -> None:
    from safetensors.numpy import save

    good = save({"dense/kernel": np.ones((64, 10), np.float32), "dense/bias": np.ones(10, np.float32)})
    header = json.dumps({"x": {"dtype": "F32", "shape": [2**39], "data_offsets": [0, 2**41]}}).encode()
    contents = {
        "truncated": good[:-7],
        "pickle": pickle.dumps(Bomb(tmp_path / "mark")),
        "of another network": good,
        "a shape of nothing": len(header).to_bytes(8, "little") + header,
    }
    (tmp_path / "evil.safetensors").write_bytes(contents[kind])
    answer = command_line("import", "evil.safetensors", "model=mlp", "model.depth=1", "model.width=4", "tracking=off")
    assert answer.code == 2, answer.err
    assert "Traceback" not in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["evil.safetensors"]


@pytest.mark.parametrize("change", ["a lambda", "another layer", "gone"])
def test_an_untrusted_imported_run_is_checked_as_its_file_was(
    command_line: CommandLine, tmp_path: Path, change: str
) -> None:
    small_file(tmp_path / "good.keras")
    sizes = ("tracking=off", "data.train_size=64", "data.test_size=64", "runs_dir=runs")
    assert command_line("import", "good.keras", *sizes).code == 0
    model = tmp_path / "runs" / "good" / "model.json"
    config = tmp_path / "runs" / "good" / "config.yaml"
    text = model.read_text()
    if change == "gone":
        model.unlink()
    elif change == "another layer":
        model.write_text(text.replace('"units": 10', '"units": 11'))
    else:
        import hashlib

        evil = text.replace('"class_name": "Flatten"', '"class_name": "Lambda"').encode()
        before = hashlib.sha256(text.encode()).hexdigest()
        assert before in config.read_text()
        model.write_bytes(evil)
        config.write_text(config.read_text().replace(before, hashlib.sha256(evil).hexdigest()))
    answer = command_line("eval", "runs/good", "measure.names=[margin]")
    assert answer.code == 2, answer.err
    assert "model.json of good" in answer.err
