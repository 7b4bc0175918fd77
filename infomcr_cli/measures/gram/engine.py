"""The engine of gamma: Gram matrices of draw after draw from one compiled function, within a memory budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.byte_size import bytes_of
from infomcr_cli.config.schema.measure import GammaConfig
from infomcr_cli.data.labels import class_indices
from infomcr_cli.errors import InputError
from infomcr_cli.measures import gamma as spectrum
from infomcr_cli.measures.gram import layer_rules as _closed_forms  # noqa: F401 -- fills the registry of rules
from infomcr_cli.measures.gram.accumulate import BlockResult, GramSums, gram_sums, one_thread_a_product, parts_within
from infomcr_cli.measures.gram.compiled import CompiledPasses
from infomcr_cli.measures.gram.jacobian import Setting
from infomcr_cli.measures.gram.record import GramRecord, layer_group
from infomcr_cli.measures.samples import blocks, checked_samples, representatives, taken
from infomcr_cli.measures.stateless import BatchNormMode, complete, natural_precision


class GramEngine:
    """Gram matrices of the per-sample gradients of one model, as often as wanted; weights may change in between.

    Args:
        model:       any Keras model that maps a sample to logits; never touched.
        batch_norm:  `inference` (moving statistics) or `batch` (statistics of each chunk).
        logit_scale: s of normalised logits, or None for raw ones.
        chunk_size:  samples that share batch statistics in `batch` mode.
        memory:      bytes that the engine's arrays may take, a number or a text such as `2GB`.
        precision:   `float32` or `float64` for all arithmetic; None takes that of the model.
        audit:       compare the first samples with an ordinary backward pass; the whole model serves what differs.

    Example:
        engine = GramEngine(model, batch_norm="inference")
        record = engine(images, labels)
        record.log_volume(), record.rank, record.gradient_method
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
    ) -> None:
        _check(batch_norm, logit_scale, chunk_size, precision)
        self._setting = Setting(model, precision or natural_precision(model), batch_norm, logit_scale)
        self._chunk_size, self._memory, self._audit = chunk_size, bytes_of(memory), audit
        self._passes: CompiledPasses | None = None

    def __call__(self, images: Any, labels: Any) -> GramRecord:
        """Measure one draw.

        Args:
            images: what the model takes, [N, ...].
            labels: true classes, [N].

        Raises:
            InputError: labels do not fit the images or the logits, or N is no multiple of the chunk.
        """
        images, given = checked_samples(images, labels)
        classes = self._passes.num_classes if self._passes else complete(self._setting.model, images)
        labels = class_indices(given, classes=classes)
        chunk = self._chunk_size if self._setting.batch_norm == "batch" else None
        if chunk and len(labels) % chunk:
            raise InputError(f"N must be a multiple of chunk_size={chunk} in batch mode", received=len(labels))
        with one_thread_a_product():
            if self._passes is None:
                self._passes = CompiledPasses(
                    self._setting, images, labels, self._chunk_size, self._memory, self._audit
                )
            return self._record(self._sums(self._passes, images, labels), representatives(images, labels, chunk))

    def _sums(self, passes: CompiledPasses, images: Any, labels: NDArray[np.int32]) -> GramSums:
        values = passes.values()
        kernels = passes.kernels(values)
        alone = len(labels) <= passes.block_size
        row_bytes = len(labels) * np.dtype(self._setting.precision).itemsize
        groups = parts_within([k.size for k in kernels], row_bytes, np.inf if alone else self._memory / 2)

        def all_blocks() -> Iterator[BlockResult]:
            for indices, keep in blocks(len(labels), passes.block_size):
                result = passes(values, taken(images, indices), labels[indices])
                yield result.first(keep) if keep < passes.block_size else result

        names = [group_name(v) for v in passes.variables]
        return gram_sums(all_blocks, groups, kernels, names, alone=alone)

    def _record(self, sums: GramSums, same: NDArray[np.int64]) -> GramRecord:
        assert self._passes is not None
        logs, pairs, counts = sums.log_derivatives[same], np.ix_(same, same), self._weights_by_group()
        groups = {name: layer_group(h[pairs], logs, counts[name]) for name, h in sums.by_group.items()}
        unit, lengths = spectrum.unit_diagonal(np.sum(list(sums.by_group.values()), axis=0)[pairs])
        with np.errstate(under="ignore"):
            products = np.exp(logs) * sums.products[same]
        served = {v.path: s for v, s in zip(self._passes.variables, self._passes.gradient_methods, strict=True)}
        return GramRecord(unit, lengths + logs, sums.losses[same], products, groups, served)

    def _weights_by_group(self) -> dict[str, int]:
        assert self._passes is not None
        counts: dict[str, int] = {}
        for variable in self._passes.variables:
            counts[group_name(variable)] = counts.get(group_name(variable), 0) + int(np.prod(variable.shape))
        return counts


_latest: dict[Any, GramEngine] = {}


def engine_for(model: keras.Model, settings: GammaConfig) -> GramEngine:
    """Return the engine of a model; the latest one is kept, since checkpoints of one run share it."""
    options: dict[str, Any] = {
        name: getattr(settings, name) for name in ("batch_norm", "logit_scale", "chunk_size", "memory", "precision")
    }
    key = (id(model), settings.draw_size, *options.values())
    if key not in _latest:
        _latest.clear()
        _latest[key] = GramEngine(model, **options)
    return _latest[key]


def group_name(variable: keras.Variable) -> str:
    """Return the layer group of a weight: its layer's name up to the first dot, or the outermost layer's name."""
    parts = variable.path.split("/")
    return parts[-2].split(".")[0] if len(parts) > 1 and "." in parts[-2] else parts[0].split(".")[0]


def _check(batch_norm: str, logit_scale: float | None, chunk_size: int, precision: str | None) -> None:
    if batch_norm not in ("inference", "batch"):
        raise InputError("batch_norm must be a known mode", received=batch_norm, accepted=["inference", "batch"])
    if logit_scale is not None and not logit_scale > 0:
        raise InputError("logit_scale must be positive, or None for raw logits", received=logit_scale)
    if chunk_size < 2 and batch_norm == "batch":
        raise InputError("chunk_size must be at least 2 in batch mode", received=chunk_size)
    if precision not in (None, "float32", "float64"):
        raise InputError("precision must be known", received=precision, accepted=["float32", "float64"])
