"""The golden arrays of a tiny Wide ResNet: a part of them in the repository, the whole beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from infomcr_cli.models import build_model, named_weights

PART = Path(__file__).parents[1] / "data" / "wrn_training_reference.npz"
WHOLE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "wrn_reference.npz"


class Golden:
    """The arrays of one file, and the network they belong to."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            self.arrays = {name: file[name] for name in file.files}
        self.meta: dict[str, Any] = json.loads(str(self.arrays["meta_json"]))
        self.images, self.labels = self.arrays["images"], self.arrays["labels"]

    def named(self, key: str) -> dict[str, np.ndarray]:
        """Return the arrays KEY:PATH by path."""
        prefix = f"{key}:"
        return {name.removeprefix(prefix): a for name, a in self.arrays.items() if name.startswith(prefix)}

    def network(self) -> keras.Model:
        """Return the network at w0."""
        size = self.meta["image_size"]
        model = build_model(
            "wrn",
            input_shape=(size, size, 3),
            num_classes=10,
            widths=self.meta["widths"],
            blocks_per_group=self.meta["blocks_per_group"],
            l2=self.meta["l2"],
        )
        weights, start = named_weights(model), self.named("w0")
        assert weights.keys() == start.keys()
        for name, variable in weights.items():
            variable.assign(start[name])
        return model

    def optimizer(self) -> keras.Optimizer:
        """Return the optimizer of the three steps."""
        meta = self.meta
        return keras.optimizers.SGD(meta["lr"], momentum=meta["momentum"], nesterov=meta["nesterov"])


def relative_error(got: Any, expected: Any) -> float:
    """Return ‖got - expected‖ / ‖expected‖, Euclidean over all elements."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    return float(np.linalg.norm(got - expected) / max(np.linalg.norm(expected), 1e-30))
