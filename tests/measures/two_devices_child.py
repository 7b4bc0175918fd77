"""Measure draws on one logical device and on two in this process, and print what was found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from cli import infomcr

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from infomcr_cli.errors import InputError  # noqa: E402
from infomcr_cli.measures import GramEngine  # noqa: E402
from infomcr_cli.measures.gram.compiled import CompiledPasses  # noqa: E402

L = keras.layers
DRAWS, COUNT, IMAGE = 5, 8, (6, 6, 3)
rng = np.random.default_rng(0)
images, labels = rng.standard_normal((DRAWS, COUNT, *IMAGE)).astype(np.float32), rng.integers(0, 3, (DRAWS, COUNT))
model = keras.Sequential([L.Input(IMAGE), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU(), L.Flatten(), L.Dense(3)])
PLACES = [device.name for device in tf.config.list_logical_devices("CPU")]
seen: set[str] = set()
pass_of = CompiledPasses.__call__


def noted(self: CompiledPasses, values: Any, *samples: Any) -> Any:
    """Note the device of the weights and of what the pass gives."""
    found = pass_of(self, values, *samples)
    tensors = [values[0], *(part.array for of_one in found.contributions for part in of_one if hasattr(part, "array"))]
    seen.update(tf.DeviceSpec.from_string(x.device).to_string()[-5:] for x in tensors if tf.is_tensor(x))
    return found


CompiledPasses.__call__ = noted  # type: ignore[method-assign]


def over(engine: GramEngine, places: list[str], bad: int | None = None) -> Iterator[str]:
    """Yield all bytes of each draw's matrix; the images of one draw may be infinite."""
    draws = ((np.full_like(x, np.inf) if i == bad else x, y) for i, (x, y) in enumerate(zip(images, labels)))  # noqa: B905
    for record in engine.over(draws, places) if places else (engine(*draw) for draw in draws):
        yield record.gram.tobytes().hex()


found: dict[str, Any] = {}
for where in ("host", "device"):
    for mode in ("inference", "batch"):
        engines = [GramEngine(model, compute=where, batch_norm=mode, chunk_size=4) for _ in range(2)]  # type: ignore[arg-type]
        one = list(over(engines[0], []))
        seen.clear()
        two = list(over(engines[1], PLACES))
        found[f"{where} {mode}"] = {"one": one, "two": two, "devices": sorted(seen)}

before: list[str] = []
try:
    before.extend(over(GramEngine(model, compute="device"), PLACES, bad=1))
except InputError as error:
    found |= {"error": str(error), "before the error": before}

RUN = ["data.train_size=256", "model=mlp", "model.depth=1", "model.width=8", "schedule.epochs=1", "tracking=off"]
DRAW = ["measure.names=[gamma]", "measure.gamma.draws=12", "measure.gamma.draw_size=20", "measure.gamma.samples=240"]
ON_DEVICE = "measure.gamma.compute=device"


def command(*arguments: str) -> Any:
    answer = infomcr([*arguments, "--json"], Path.cwd())
    assert answer.code == 0, answer.text
    return json.loads(answer.out)


command("train", "data=digits", *RUN, "--run-dir", "run")
for name, settings in {
    "eval one": ["device=cpu"],
    "eval device": ["device=cpu", ON_DEVICE],
    "eval two": ["device=mirrored", ON_DEVICE],
    "eval two, stopped": ["device=mirrored", ON_DEVICE, "measure.gamma.target_se=1e9"],
}.items():
    found[name] = command("eval", "run", *DRAW, *settings)["runs"][0]["measures"]["gamma"]
print(json.dumps(found))
