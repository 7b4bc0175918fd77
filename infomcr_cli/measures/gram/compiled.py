"""The compiled passes of one model: a block pass for most weights, a whole-model Jacobian for the rest.

The first samples are audited with one ordinary backward pass: for random c the squared length of Σ c_i ∂ℓ_i/∂w is
cᵀGc. A layer that mixes samples, acts by more than its output, or breaks a rule's assumption fails this check, weight
by weight, at the cost of one pass over three samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.errors import InputError
from infomcr_cli.measures.gram.parts import MemoryBudget
from infomcr_cli.measures.gram.passes import BlockPass, JacobianPass, PassSetting, derivative_at
from infomcr_cli.measures.gram.products import Contribution, Products, Rows
from infomcr_cli.measures.gram.record import BlockResult
from infomcr_cli.measures.samples import blocks, take
from infomcr_cli.measures.stateless import float_weights, in_precision, measurement_scope, trainable_weights

MODEL_CHUNK = 8  # samples of one vectorised Jacobian of the whole model, if samples are independent
AUDITED = 3  # samples
TOLERANCE = 1e-3  # of Σ c_i²‖g_i‖²; a broken assumption is wrong by about 1
NOISE = 1e-11  # of the sum over all weights: a gradient that is zero but for rounding


class CompiledPasses:
    """From a block of samples to the contributions of every weight, compiled for one size of block.

    Args:
        setting:        model (complete), precision, batch norm's mode, scale of the logits.
        images, labels: all samples of a draw; they give the shapes, and the first ones are audited.
        chunk_size:     samples that share batch statistics, in `batch` mode.
        memory:         what a pass may take.
        products:       where rows are held and multiplied.
        audit:          whether to compare with an ordinary backward pass.

    Raises:
        InputError: the model has no trainable weights.
    """

    def __init__(
        self,
        setting: PassSetting,
        images: Any,
        labels: NDArray[np.int32],
        chunk_size: int,
        memory: MemoryBudget,
        products: Products,
        audit: bool,
    ) -> None:
        self.setting, self.products = setting, products
        self.weights = float_weights(setting.model)
        self.variables = trainable_weights(setting.model)
        if not self.variables:
            raise InputError("a measured model must have trainable weights", received=setting.model.name)
        self.gradient_methods = ["model"] * len(self.variables)
        self._block: BlockPass | None = None
        self.block_size = chunk_size
        if setting.batch_norm == "inference":
            self._block = BlockPass(setting, self.weights, self.variables, images, memory, products)
            self.block_size = self._block.size
            self.gradient_methods = [plan.gradient_method for plan in self._block.plans]
        if self._block and audit:  # weights for which the block pass is wrong take the Jacobian of the whole model
            indices, keep = next(blocks(len(labels), self.block_size))
            result = self._block(self.values(), take(images, indices), labels[indices])
            few = indices[: max(2, min(keep, AUDITED))]
            for i in self._disagreeing(take(images, few), labels[few], result.first(len(few))):
                self.gradient_methods[i] = "model"
        self._by_model = [i for i, method in enumerate(self.gradient_methods) if method == "model"]
        self._jacobian = self._compile_jacobian(images, labels) if self._by_model else None
        self.num_classes = (self._block or self._jacobian).num_classes  # type: ignore[union-attr]

    def values(self) -> list[tf.Tensor]:
        """Return the present values of all floating-point variables, in the precision of the measurement."""
        # `identity` brings them to the device that computes here.
        return [tf.identity(tf.cast(tf.convert_to_tensor(v.value), self.setting.precision)) for v in self.weights]

    def kernels(self, values: Sequence[tf.Tensor]) -> list[Any]:
        """Return the values of the trainable weights among `values`, as they are held."""
        by_identity = {id(v): x for v, x in zip(self.weights, values, strict=True)}
        return [self.products.held(by_identity[id(v)]) for v in self.variables]

    def __call__(self, values: Sequence[tf.Tensor], images: Any, labels: NDArray[np.int32]) -> BlockResult:
        """Return losses and contributions of a block of `block_size` samples.

        Args:
            values: of all floating-point variables, see `values`.
            images: [n, ...].
            labels: true classes, [n].

        Raises:
            InputError: the logits are not finite.
        """
        found = self._block(values, images, labels) if self._block is not None else None
        if self._jacobian is not None:
            found = self._with_model_rows(self._jacobian, found, values, images, labels)
        assert found is not None
        if not np.all(np.isfinite(found.losses)):
            raise InputError("the model's logits must be finite", received="losses that are NaN or infinite")
        return found

    def over_blocks(self, values: Sequence[tf.Tensor], images: Any, labels: NDArray[np.int32]) -> Iterator[BlockResult]:
        """Yield losses and contributions block by block; a short last block counts for its own samples only."""
        for indices, keep in blocks(len(labels), self.block_size):
            result = self(values, take(images, indices), labels[indices])
            yield result.first(keep) if keep < self.block_size else result

    def _compile_jacobian(self, images: Any, labels: NDArray[np.int32]) -> JacobianPass:
        """Compile, and take sample by sample if the vectorised Jacobian fails or is wrong."""
        chunk = self.block_size if self.setting.batch_norm == "batch" else min(MODEL_CHUNK, self.block_size)
        chosen = [self.variables[i] for i in self._by_model]
        # A whole chunk gives the shapes: if there are fewer samples, they repeat.
        inputs = take(images, np.arange(chunk) % len(keras.tree.flatten(images)[0]))
        jacobian = JacobianPass(self.setting, self.weights, chosen, inputs)
        indices, _ = next(blocks(len(labels), jacobian.size))
        inputs, true = take(images, indices), labels[indices]
        try:
            found = self._with_model_rows(jacobian, None, self.values(), inputs, true)
            is_right = not self._disagreeing(inputs, true, found)
        except tf.errors.OpError:
            is_right = False
        if not is_right and jacobian.is_vectorised:
            jacobian.compile_loop()
        return jacobian

    def _disagreeing(self, images: Any, labels: NDArray[np.int32], result: BlockResult) -> set[int]:
        """Return the positions of the variables whose contributions in `result` are not their gradients."""
        coefficients = np.random.default_rng(0).uniform(0.5, 1.5, len(labels)) * np.resize([1.0, -1.0], len(labels))
        gradients = self._combined_gradient(images, labels, coefficients)
        truth = np.array([float(tf.reduce_sum(tf.square(g))) for g in gradients])  # ‖Σ c_i g_i‖² of each variable
        multiply = self.products
        kernels = self.kernels(self.values())
        grams = [
            multiply.gram([multiply.compact(p)], kernel)[0] if p else None
            for p, kernel in zip(result.contributions, kernels, strict=True)
        ]
        # cᵀGc and Σ c_i²‖g_i‖² of each variable.
        found = np.array([0.0 if g is None else coefficients @ g @ coefficients for g in grams])
        sizes = np.array([0.0 if g is None else np.square(coefficients) @ np.diag(g) for g in grams])
        allowed = np.maximum(TOLERANCE * np.maximum(sizes, truth), NOISE * (sizes.sum() + truth.sum()))
        return {i for i, parts in enumerate(result.contributions) if parts and abs(found[i] - truth[i]) > allowed[i]}

    def _combined_gradient(
        self, images: Any, labels: NDArray[np.int32], coefficients: NDArray[np.float64]
    ) -> list[tf.Tensor]:
        """Return Σ_i c_i times the derivative of sample i along its unit direction at the logits, for each variable."""
        setting, mapping = self.setting, list(zip(self.weights, self.values(), strict=True))
        by_identity = {id(v): value for v, value in mapping}
        wanted = [by_identity[id(v)] for v in self.variables]
        with measurement_scope(setting.model, mapping, setting.precision, setting.batch_norm):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(wanted)
                inputs = keras.tree.map_structure(tf.constant, images)
                logits = setting.model(in_precision(inputs, setting.precision), training=False)  # [n, C]
                derivative = derivative_at(logits, tf.constant(labels), setting.logit_scale)
            seed = tf.cast(derivative.direction * coefficients[:, None], logits.dtype)  # [n, C]
            gradients = tape.gradient(logits, wanted, seed, unconnected_gradients="zero")
        return [tf.cast(tf.convert_to_tensor(g), tf.float64) for g in gradients]

    def _with_model_rows(
        self,
        jacobian: JacobianPass,
        found: BlockResult | None,
        values: Sequence[tf.Tensor],
        images: Any,
        labels: NDArray[np.int32],
    ) -> BlockResult:
        """Add the rows of the weights that need the Jacobian of the whole model, chunk by chunk."""
        results = []
        for indices, keep in blocks(len(labels), jacobian.size):
            derivative, rows = jacobian(values, take(images, indices), labels[indices])
            held = (self.products.held(x) for x in rows)
            results.append([x[:keep] for x in (derivative.loss.numpy(), derivative.log_length.numpy(), *held)])
        # From chunks of [n, ...] to the block's [N, ...].
        losses, logs, *chunks = zip(*results, strict=True)
        rows = [self.products.joined(x) for x in chunks]
        contributions: list[list[Contribution]] = [[] for _ in self.variables] if found is None else found.contributions
        for i, of_one in zip(self._by_model, rows, strict=True):
            contributions[i] = [Rows(of_one)]
        return BlockResult(np.concatenate(losses), np.concatenate(logs), contributions)
