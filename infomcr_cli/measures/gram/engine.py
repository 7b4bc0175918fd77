"""Gram matrices of the per-sample gradients of a model, from one compiled function, within a memory budget."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Sequence
from numbers import Real
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.config.byte_size import bytes_of
from infomcr_cli.config.schema.measure import GammaConfig
from infomcr_cli.data.labels import class_indices
from infomcr_cli.errors import InputError
from infomcr_cli.measures.gram.compiled import CompiledPasses
from infomcr_cli.measures.gram.device_products import DeviceProducts
from infomcr_cli.measures.gram.parts import MemoryBudget
from infomcr_cli.measures.gram.passes import PassSetting
from infomcr_cli.measures.gram.products import HostProducts, Products, single_threaded_products
from infomcr_cli.measures.gram.record import GramRecord, gram_record, gram_sums
from infomcr_cli.measures.gram.several_devices import Samples, shared_among
from infomcr_cli.measures.samples import checked_samples, representatives
from infomcr_cli.measures.stateless import (
    BatchNormMode,
    complete,
    natural_precision,
    trainable_weights,
    without_tf32,
)

Where = Literal["auto", "host", "device"]
Signature = list[tuple[tuple[int, ...], str]]  # of each input, the shape of a sample and its type
SMALLEST_BUDGET = 1 << 24  # bytes, below which a device that is full is not tried again


class GramEngine:
    """Gram matrices of the per-sample gradients of one model; between draws its weights may change.

    Args:
        model:       any Keras model that maps a sample to logits; never touched.
        batch_norm:  `inference` (moving statistics) or `batch` (statistics of each chunk).
        logit_scale: s of normalised logits, or None for raw ones.
        chunk_size:  samples that share batch statistics in `batch` mode.
        memory:      bytes that the engine's arrays may take, a number or a text such as `2GB`.
        precision:   `float32` or `float64` for all arithmetic; None takes that of the model.
        audit:       compare the first samples with an ordinary backward pass; weights that differ take the Jacobian of
                     the whole model.
        compute:     where per-sample gradients are written out and multiplied: `host` (NumPy), `device` (TensorFlow,
                     where the network computes) or `auto`, which is the device unless that is a CPU.

    Example:
        engine = GramEngine(model, batch_norm="inference")
        record = engine(images, labels)
        record.gamma, record.rank, record.gradient_method
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        batch_norm: BatchNormMode = "inference",
        logit_scale: float | None = None,
        chunk_size: int = 10,
        memory: str | float = "2GB",
        precision: str | None = None,
        audit: bool = True,
        compute: Where = "auto",
    ) -> None:
        if not isinstance(model, keras.Model):
            raise InputError("the model must be a keras.Model", received=type(model).__name__)
        _check(batch_norm, logit_scale, chunk_size, precision, compute)
        self._setting = PassSetting(model, precision or natural_precision(model), batch_norm, logit_scale)
        self._chunk_size, self._memory, self._audit = chunk_size, MemoryBudget(bytes_of(memory)), audit
        self._compute, self._compiling = compute, threading.Lock()
        self._passes: CompiledPasses | None = None
        self._signature: Signature | None = None  # of the samples that the passes were compiled for

    def __call__(self, images: Any, labels: Any) -> GramRecord:
        """Measure one draw.

        Args:
            images: what the model takes, [N, ...].
            labels: true classes, [N].

        Raises:
            InputError: labels do not fit the images or the logits, or N is not a multiple of the chunk.
        """
        images, given = checked_samples(images, labels)
        chunk = self._chunk_size if self._setting.batch_norm == "batch" else None
        with single_threaded_products(), without_tf32():
            while True:
                budget = self._memory
                try:
                    with self._compiling:  # for the first draw, and for all devices
                        self._forget_other_samples(images)
                        labels = self._checked_labels(images, given, chunk)
                        if self._passes is None:
                            products = products_for(self._compute)
                            self._passes = CompiledPasses(
                                self._setting, images, labels, self._chunk_size, self._memory, products, self._audit
                            )
                        passes = self._passes
                    sums = gram_sums(passes, images, labels, self._memory)
                    break
                except tf.errors.ResourceExhaustedError:  # the device has less memory than the budget allows
                    if budget.total < SMALLEST_BUDGET:
                        raise
                with self._compiling:
                    if self._memory is budget:  # no other device was first; again, in smaller blocks
                        self._memory, self._passes = MemoryBudget(budget.total / 2), None
        return gram_record(sums, passes, representatives(images, labels, chunk))

    def over(self, draws: Iterable[Samples], devices: Sequence[str]) -> Generator[GramRecord, None, None]:
        """Measure as many draws at a time as there are devices.

        Args:
            draws:   images and labels of each; they are fetched one by one.
            devices: names of devices that share the draws, at least one.

        Yields:
            the record of each draw, in the order of the draws.
        """
        # Limits are set once: threads would undo each other's.
        with single_threaded_products(), without_tf32():
            yield from shared_among(devices, self, draws)

    def _forget_other_samples(self, images: Any) -> None:
        """Drop what was compiled for samples of another shape or type: they would be cast to those of the first."""
        signature = [(x.shape[1:], str(x.dtype)) for x in keras.tree.flatten(images)]
        if signature != self._signature:
            self._signature, self._passes = signature, None

    def _checked_labels(self, images: Any, given: Any, chunk: int | None) -> NDArray[np.int32]:
        classes = self._passes.num_classes if self._passes else complete(self._setting.model, images)
        labels = class_indices(given, classes=classes)
        if chunk and len(labels) % chunk:
            raise InputError(f"N must be a multiple of chunk_size={chunk} in batch mode", received=len(labels))
        return labels


def products_for(compute: Where) -> Products:
    """Return what multiplies rows for a network that computes where an operation of TensorFlow is placed now."""
    on_host = compute == "host" or (compute == "auto" and "CPU" in tf.zeros([2]).device)
    return HostProducts() if on_host else DeviceProducts()


def gram_matrix(
    model: keras.Model,
    images: Any,
    labels: Any,
    *,
    batch_norm: BatchNormMode = "inference",
    logit_scale: float | None = None,
    chunk_size: int = 10,
) -> NDArray[np.float64]:
    """Return G = J Jᵀ, row i of J being the gradient of sample i's cross-entropy by all trainable weights.

    Args:
        model:       any Keras model that maps a sample to logits; it is left untouched.
        images:      what the model takes, [N, ...].
        labels:      true classes, [N].
        batch_norm:  `inference` (moving statistics) or `batch` (statistics of chunks of `chunk_size` samples).
        logit_scale: s; the loss is that of z / (‖z‖ s). The study uses 0.04.
        chunk_size:  consecutive samples that share batch statistics; N must be a multiple of it in `batch` mode.

    Returns:
        [N, N], float64.

    Raises:
        InputError: the model gives probabilities, or labels do not fit.
    """
    engine = GramEngine(model, batch_norm=batch_norm, logit_scale=logit_scale, chunk_size=chunk_size)
    return engine(images, labels).gram


_latest: dict[Any, GramEngine] = {}


def engine_for(model: keras.Model, settings: GammaConfig) -> GramEngine:
    """Return the engine of a model; the latest one is kept, since checkpoints of one run share it."""
    options: dict[str, Any] = {
        name: getattr(settings, name)
        for name in ("batch_norm", "logit_scale", "chunk_size", "memory", "precision", "compute")
    }
    trained = tuple(id(v) for v in trainable_weights(model))  # a script may freeze layers between two calls
    key = (id(model), trained, settings.draw_size, *options.values())
    if key not in _latest:
        _latest.clear()
        _latest[key] = GramEngine(model, **options)
    return _latest[key]


def plain_engine_for(model: keras.Model, settings: GammaConfig) -> GramEngine:
    """Return the engine of a model with raw logits and batch norm in inference mode, whatever the draws of gamma are.

    It is that of gamma by default, so that both share what is compiled.
    """
    return engine_for(model, settings.model_copy(update={"batch_norm": "inference", "logit_scale": None}))


def _check(batch_norm: str, logit_scale: float | None, chunk_size: int, precision: str | None, compute: str) -> None:
    if batch_norm not in ("inference", "batch"):
        raise InputError("batch_norm must be a known mode", received=batch_norm, accepted=["inference", "batch"])
    if logit_scale is not None and not (isinstance(logit_scale, Real) and logit_scale > 0):
        raise InputError("logit_scale must be positive, or None for raw logits", received=logit_scale)
    if chunk_size < 2 and batch_norm == "batch":
        raise InputError("chunk_size must be at least 2 in batch mode", received=chunk_size)
    if precision not in (None, "float32", "float64"):
        raise InputError("precision must be known", received=precision, accepted=["float32", "float64"])
    if compute not in ("auto", "host", "device"):
        raise InputError("compute must be known", received=compute, accepted=["auto", "host", "device"])
