"""The compiled passes of one model: a block pass for most weights, a whole-model Jacobian for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures.gram.accumulate import BlockResult
from infomcr_cli.measures.gram.audit import disagreeing
from infomcr_cli.measures.gram.block import BlockPass
from infomcr_cli.measures.gram.jacobian import JacobianPass, Setting, array_of, weight_values
from infomcr_cli.measures.gram.outer_product import Contribution, Rows
from infomcr_cli.measures.samples import blocks, even_block_size, taken
from infomcr_cli.measures.stateless import float_weights, trainable_weights

MODEL_CHUNK = 8  # samples of one vectorised Jacobian of the whole model, where samples are independent
LARGEST_BLOCK = 32  # more samples at a time do not fit into the processor's cache
AUDITED = 3  # samples


class CompiledPasses:
    """From a block of samples to the contributions of every weight, compiled for one size of block.

    Args:
        setting:        model (complete), precision, batch norm's mode, scale of the logits.
        images, labels: all samples of a draw; they give the shapes, and the first ones are audited.
        chunk_size:     samples that share batch statistics, in `batch` mode.
        memory:         bytes that a pass may take.
        audit:          whether to compare with an ordinary backward pass.
    """

    def __init__(
        self, setting: Setting, images: Any, labels: NDArray[np.int32], chunk_size: int, memory: float, audit: bool
    ) -> None:
        self.setting = setting
        self.weights = float_weights(setting.model)
        self.variables = trainable_weights(setting.model)
        if not self.variables:
            raise InputError("a measured model must have trainable weights", received=setting.model.name)
        self.gradient_methods = ["model"] * len(self.variables)
        self._block: BlockPass | None = None
        self.block_size = chunk_size
        if setting.batch_norm == "inference":
            self._compile_block(images, len(labels), memory)
            if audit:
                self._audit_block(images, labels)
        self._jacobian = self._compile_jacobian(images)
        if self._jacobian is not None:
            self._audit_jacobian(self._jacobian, images, labels)
        self.num_classes = (self._block or self._jacobian).num_classes  # type: ignore[union-attr]

    def values(self) -> list[tf.Tensor]:
        """Return the present values of all floating-point variables."""
        return weight_values(self.weights, self.setting.precision)

    def kernels(self, values: Sequence[tf.Tensor]) -> list[NDArray[Any]]:
        """Return the values of the trainable weights among those of all variables."""
        by_identity = {id(v): x for v, x in zip(self.weights, values, strict=True)}
        return [by_identity[id(v)].numpy() for v in self.variables]

    def __call__(self, values: Sequence[tf.Tensor], images: Any, labels: NDArray[np.int32]) -> BlockResult:
        """Return losses and contributions of a block of `block_size` samples.

        Raises:
            InputError: the logits are not finite.
        """
        found = self._block(values, images, labels) if self._block is not None else None
        if self._jacobian is not None:
            found = self._completed(found, values, images, labels)
        assert found is not None
        if not np.all(np.isfinite(found.losses)):
            raise InputError("the model's logits must be finite", received="losses that are NaN or infinite")
        return found

    def _compile_block(self, images: Any, count: int, memory: float) -> None:
        """Compile for the largest even block that fits; one that is alone may take all of the memory, else half."""
        size = even_block_size(count, LARGEST_BLOCK)
        block = self._block_of(images, count, size)
        allowed = memory if size >= count else memory / 2
        if block.sample_bytes * size > allowed:
            smaller = even_block_size(count, int(memory / 2 / block.sample_bytes))
            block = self._block_of(images, count, smaller) if smaller < size else block
        self._block, self.block_size = block, block.size
        self.gradient_methods = [a.gradient_method for a in block.assignments]

    def _block_of(self, images: Any, count: int, size: int) -> BlockPass:
        samples = taken(images, next(blocks(count, size))[0])
        return BlockPass(self.setting, self.weights, self.variables, samples)

    def _audit_block(self, images: Any, labels: NDArray[np.int32]) -> None:
        """Let the whole model serve the weights for which the block pass is wrong."""
        assert self._block is not None
        indices, keep = next(blocks(len(labels), self.block_size))
        result = self._block(self.values(), taken(images, indices), labels[indices])
        few = indices[: max(2, min(keep, AUDITED))]
        for i in self._disagreeing(taken(images, few), labels[few], result.first(len(few))):
            self.gradient_methods[i] = "model"

    def _audit_jacobian(self, jacobian: JacobianPass, images: Any, labels: NDArray[np.int32]) -> None:
        """Go sample by sample where the vectorised Jacobian fails or is wrong."""
        indices, _ = next(blocks(len(labels), jacobian.size))
        inputs, true = taken(images, indices), labels[indices]
        try:
            wrong = self._disagreeing(inputs, true, self._completed(None, self.values(), inputs, true))
        except tf.errors.OpError:
            wrong = {-1}
        if wrong and jacobian.is_vectorised:
            jacobian.compile_loop()

    def _disagreeing(self, images: Any, labels: NDArray[np.int32], result: BlockResult) -> set[int]:
        mapping = list(zip(self.weights, self.values(), strict=True))
        return disagreeing(self.setting, mapping, self.variables, images, labels, result)

    def _by_model(self) -> list[int]:
        return [i for i, served in enumerate(self.gradient_methods) if served == "model"]

    def _compile_jacobian(self, images: Any) -> JacobianPass | None:
        chosen = [self.variables[i] for i in self._by_model()]
        if not chosen:
            return None
        chunk = self.block_size if self.setting.batch_norm == "batch" else min(MODEL_CHUNK, self.block_size)
        count = len(keras.tree.flatten(images)[0])
        return JacobianPass(self.setting, self.weights, chosen, taken(images, np.arange(chunk) % count))

    def _completed(self, found: BlockResult | None, values: Any, images: Any, labels: Any) -> BlockResult:
        """Add the rows of the weights that the whole model serves, chunk by chunk."""
        assert self._jacobian is not None
        results = []
        for indices, keep in blocks(len(labels), self._jacobian.size):
            derivative, rows = self._jacobian(values, taken(images, indices), labels[indices])
            results.append([array_of(x)[:keep] for x in (derivative.loss, derivative.log_length, *rows)])
        losses, logs, *rows = (np.concatenate(x) if len(x) > 1 else x[0] for x in zip(*results, strict=True))
        contributions: list[list[Contribution]] = [[] for _ in self.variables] if found is None else found.contributions
        for i, of_one in zip(self._by_model(), rows, strict=True):
            contributions[i] = [Rows(of_one)]
        return BlockResult(losses, logs, contributions)
