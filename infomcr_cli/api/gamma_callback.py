"""`GammaCallback`: adds gamma to the metrics of `fit`."""

from __future__ import annotations

import warnings
from typing import Any

import keras

from infomcr_cli.api.arguments import network_of, samples_of, whole_number
from infomcr_cli.api.gamma import Gamma, check_chunk, checked_draws, over_draws
from infomcr_cli.data.labels import class_indices
from infomcr_cli.measures.gram.engine import GramEngine
from infomcr_cli.measures.stateless import BatchNormMode, complete


class GammaCallback(keras.callbacks.Callback):
    """Compute gamma every few epochs of `fit`, and add it to the epoch's logs.

    Adds `gamma` and `gamma_std_error`, in nats, to the logs of the measured epochs, before `History` and the progress
    bar read them. List callbacks that read logs, such as `TensorBoard`, after this one. The network and its training
    are not changed. Only the first measurement compiles.

    Args:
        every:       epochs between two measurements; the first is at the end of epoch `every`.
        data:        (x, y), samples scaled as for `fit`, and their classes [n].
        draws:       T, at most this many draws; see `gamma`.
        draw_size:   N, samples in a draw.
        batch_norm:  `inference` or `batch`.
        logit_scale: s of normalised logits, or None.
        chunk_size:  samples that share batch statistics in `batch` mode.
        name:        name of the value in the logs.

    Attributes:
        history: the `Gamma` of each measured epoch, by epoch number from 1.

    Raises:
        InputError: the data is not a pair of arrays, or has fewer samples than one draw.

    Examples:
        >>> import keras, numpy as np
        >>> from infomcr_cli import GammaCallback
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.standard_normal((40, 8)), rng.integers(0, 3, 40)
        >>> model = keras.Sequential([keras.Input([8]), keras.layers.Dense(3)])
        >>> model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        >>> callback = GammaCallback(every=2, data=(x, y), draws=4, draw_size=10)
        >>> history = model.fit(x, y, epochs=4, verbose=0, callbacks=[callback]).history
        >>> len(history["gamma"]), sorted(callback.history)
        (2, [2, 4])
    """

    def __init__(
        self,
        every: int = 5,
        data: Any = None,
        *,
        draws: int = 10,
        draw_size: int = 100,
        batch_norm: BatchNormMode = "inference",
        logit_scale: float | None = None,
        chunk_size: int = 10,
        name: str = "gamma",
    ) -> None:
        super().__init__()
        self.every, self.name = whole_number("every", every, least=1), name
        self.history: dict[int, Gamma] = {}
        self._images, self._labels = samples_of("data", data)
        self._draws = checked_draws(self._labels, draws=draws, draw_size=draw_size)
        check_chunk(batch_norm, draw_size, chunk_size)
        self._options: dict[str, Any] = {
            "batch_norm": batch_norm,
            "logit_scale": logit_scale,
            "chunk_size": chunk_size,
        }
        self._engine: GramEngine | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Create the engine for the trained network.

        Raises:
            InputError: the data is not what the network takes, as far as that is known before it is built.
        """
        network = network_of(self.model)
        if network.built:  # now, and not after `every` epochs
            class_indices(self._labels, "labels of data", classes=complete(network, self._images))
        self._engine = GramEngine(network, **self._options)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Measure gamma if it is due."""
        if (epoch + 1) % self.every or self._engine is None:
            return
        found = over_draws(self._engine, self._images, self._labels, self._draws)
        self.history[epoch + 1] = found
        if found.deficient:
            warnings.warn(f"epoch {epoch + 1}: {found!r}; singular draws are not averaged", stacklevel=2)
        values = {self.name: found.value, f"{self.name}_std_error": found.std_error}
        if logs is not None:
            logs.update({name: value for name, value in values.items() if value is not None})
