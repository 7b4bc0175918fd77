"""The two compiled passes over samples that give each weight's part in each gradient.

`BlockPass` is one forward and one backward pass over a block of independent samples. Its backward pass goes to the
outputs of the recorded calls only, not to the weights: per-sample weight gradients follow from each call's input and
cotangent, by rule or by the layer's own Jacobian.

`JacobianPass` is a vectorised Jacobian: exact for any model, at a backward pass a sample. It is needed for batch norm
on a chunk's own statistics, with which each loss depends on the whole chunk, and for the weights for which there is
neither a rule nor the Jacobian of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from infomcr_cli.measures.cross_entropy import LossDerivative, loss_derivative
from infomcr_cli.measures.gram.conv_gradient import kernel_gradients_as_products
from infomcr_cli.measures.gram.layer_jacobian import layer_gradients
from infomcr_cli.measures.gram.layer_rules import LayerCall, own_trainable, rule_of
from infomcr_cli.measures.gram.norm_gradient import norm_gradients_in_closed_form
from infomcr_cli.measures.gram.parts import MemoryBudget
from infomcr_cli.measures.gram.products import Contribution, OuterProduct, Products, Rows
from infomcr_cli.measures.gram.record import BlockResult
from infomcr_cli.measures.gram.trace import GradientPlan, LayerTracer, TracedCall, plan_gradient
from infomcr_cli.measures.loops import without_loop_warnings
from infomcr_cli.measures.samples import blocks, even_block_size, take
from infomcr_cli.measures.stateless import BatchNormMode, in_precision, measurement_scope, number_of_classes
from infomcr_cli.models.logits import check_operation

# Share of all tensors of a pass that are alive at one time: set so that Wide ResNet 28-2 is one block of 100 in 2 GB.
ALIVE = 0.45
Gradient: TypeAlias = "tf.Tensor | OuterProduct"


class PassSetting(NamedTuple):
    """What a pass over samples depends on besides the weights and the samples."""

    model: keras.Model
    precision: str
    batch_norm: BatchNormMode
    logit_scale: float | None


class BlockPass:
    """A compiled function from a block of samples to the contributions of all weights that have a rule or a layer.

    It is compiled for the largest even block that fits into memory; all blocks have that size.

    Args:
        setting:   model, precision, scale of the logits; batch norm's mode must be `inference`.
        weights:   all floating-point variables, whose values are passed to each call.
        variables: the ones to differentiate by.
        images:    all samples of a draw; the first block of them gives the shapes.
        memory:    what the pass may take.
        products:  where contributions are held.
    """

    def __init__(
        self,
        setting: PassSetting,
        weights: Sequence[keras.Variable],
        variables: Sequence[keras.Variable],
        images: Any,
        memory: MemoryBudget,
        products: Products,
    ) -> None:
        self._held = products.held
        self.plans: list[GradientPlan] = []
        self._setting, self._weights, self._variables = setting, list(weights), list(variables)
        self.num_classes = 0
        self._shapes: list[list[OuterProduct | None]] = []
        count = leading_size(images)
        self.size = whole = even_block_size(count, count)
        # All samples in one block first; if they need too much memory, once more with the block that fits.
        while True:
            indices, _ = next(blocks(count, self.size))
            signature = chunk_signature(self._weights, setting.precision, take(images, indices))
            self._function = tf.function(self._trace, autograph=False).get_concrete_function(*signature)
            tensors = [t for op in self._function.graph.get_operations() for t in op.outputs if t.dtype.is_floating]
            needed = ALIVE * float(sum(t.dtype.size * (t.shape.num_elements() or 0) for t in tensors))
            if self.size < whole or needed <= memory.for_pass(single_block=True):
                return
            fitting = int(memory.for_pass(single_block=False) / (needed / self.size))
            self.size = even_block_size(count, fitting)
            if self.size >= whole:  # no smaller one is possible
                return

    def __call__(self, values: Sequence[tf.Tensor], images: Any, labels: NDArray[np.int32]) -> BlockResult:
        """Return the losses and, for each variable, the contributions of its calls.

        A weight that needs the Jacobian of the whole model has none.
        """
        derivative, tensors = self._function(list(values), images, labels)
        arrays = map(self._held, tensors)  # in the order in which `_trace` lists them

        def contribution(shape: OuterProduct | None) -> Contribution:
            return Rows(next(arrays)) if shape is None else OuterProduct(next(arrays), next(arrays), shape.window)

        contributions = [[contribution(shape) for shape in shapes] for shapes in self._shapes]
        return BlockResult(derivative.loss.numpy(), derivative.log_length.numpy(), contributions)

    def _trace(self, values: list[tf.Tensor], images: Any, labels: tf.Tensor) -> tuple[LossDerivative, list[tf.Tensor]]:
        """Return the loss derivative and the tensors of all contributions, in one list."""
        tracer = LayerTracer(tf.compat.v1.get_default_graph())
        setting, mapping = self._setting, list(zip(self._weights, values, strict=True))
        by_identity = {id(v): t for v, t in mapping}
        wanted = [by_identity[id(v)] for v in self._variables]
        with (
            measurement_scope(setting.model, mapping, setting.precision, "inference"),
            tracer.watching(setting.model),
        ):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(wanted)
                logits = setting.model(in_precision(images, setting.precision), training=False)  # [n, C]
                derivative = derivative_at(logits, labels, setting.logit_scale)
                self.num_classes = logits.shape[1]
            self.plans = [plan_gradient(tracer, v, t, self.size) for v, t in zip(self._variables, wanted, strict=True)]
            with tracer.paused():
                cotangents = _cotangents(self.plans, tape, logits, derivative.direction)
                parts = _gradients(tracer, self.plans, by_identity, cotangents)
        self._shapes = [[p if isinstance(p, OuterProduct) else None for p in of_one] for of_one in parts]
        flat = [p for of_one in parts for p in of_one]
        tensors = [t for p in flat for t in ((p.left, p.right) if isinstance(p, OuterProduct) else (p,))]
        return derivative, tensors


def _cotangents(
    plans: Sequence[GradientPlan], tape: tf.GradientTape, logits: tf.Tensor, direction: tf.Tensor
) -> dict[int, tf.Tensor]:
    """Return the derivative along the unit `direction` [n, C] by each output that a plan needs, by its identity."""
    outputs = [call.rule_output() for plan in plans for call in plan.by_rule]
    outputs += [y for plan in plans for call in plan.by_layer for y in call.output_tensors()]
    sources = {id(y): y for y in outputs}  # each once
    found = tape.gradient(
        logits, list(sources.values()), tf.cast(direction, logits.dtype), unconnected_gradients="zero"
    )
    return dict(zip(sources, found, strict=True))


def _gradients(
    tracer: LayerTracer,
    plans: Sequence[GradientPlan],
    values: dict[int, tf.Tensor],
    cotangents: dict[int, tf.Tensor],
) -> list[list[Gradient]]:
    """Return for each plan the per-sample gradients of its weight, one for each call, [n, *weight.shape]."""
    found: dict[tuple[TracedCall, int], Gradient] = {}
    # Dictionaries for sets: each call once, in the order of the plans.
    for call in {call: None for plan in plans for call in plan.by_rule}:
        rule, variables = rule_of(call.layer), own_trainable(call.layer)
        assert rule is not None
        cotangent = cotangents[id(call.rule_output())]
        # A norm that casts for itself may be given another type than it computes in.
        inputs = tf.cast(call.input_tensors()[0], cotangent.dtype)
        gradients = rule(LayerCall(call.layer, inputs, cotangent, variables, values))
        found |= {(call, id(v)): g for v, g in zip(variables, gradients, strict=True)}
    for call in {call: None for plan in plans for call in plan.by_layer}:
        variables = tuple(plan.variable for plan in plans if call in plan.by_layer)
        outputs, weights = [cotangents[id(y)] for y in call.output_tensors()], [values[id(v)] for v in variables]
        rows = layer_gradients(call, outputs, weights, tracer.operation_types(call))
        found |= {(call, id(v)): g for v, g in zip(variables, rows, strict=True)}
    return [[found[call, id(plan.variable)] for call in (*plan.by_rule, *plan.by_layer)] for plan in plans]


class JacobianPass:
    """A compiled function from one chunk of samples to rows of J for some variables.

    Rows are those of the unit derivative at the logits: J_i = exp(log_length_i) · row_i.

    Args:
        setting:   model, precision, batch norm's mode, scale of the logits.
        weights:   all floating-point variables, whose values are passed to each call.
        variables: the ones to differentiate by.
        chunk:     a chunk of samples that gives the shapes; all later chunks have the same.
    """

    def __init__(
        self, setting: PassSetting, weights: Sequence[keras.Variable], variables: Sequence[keras.Variable], chunk: Any
    ) -> None:
        self.variables = list(variables)
        self._setting = setting
        self._weights = list(weights)
        positions = {id(v): i for i, v in enumerate(self._weights)}
        self._wanted = [positions[id(v)] for v in variables]
        self.size = leading_size(chunk)
        self.num_classes = 0
        self.is_vectorised = True
        self._signature = chunk_signature(self._weights, setting.precision, chunk)
        try:
            self._function = self._compile()
        except (ValueError, TypeError, NotImplementedError):
            self.compile_loop()

    def __call__(
        self, values: Sequence[tf.Tensor], images: Any, labels: NDArray[np.int32]
    ) -> tuple[LossDerivative, list[tf.Tensor]]:
        """Return the losses and, for each variable, rows of shape [n, *variable.shape]."""
        return self._function(list(values), images, labels)

    def compile_loop(self) -> None:
        """Take sample by sample from now on: TensorFlow vectorises an operation wrongly or not at all."""
        self.is_vectorised = False
        self._function = self._compile()

    def _compile(self) -> Any:
        return tf.function(self._rows, autograph=False).get_concrete_function(*self._signature)

    @contextmanager
    def _quick_gradients(self) -> Iterator[None]:
        """Use gradients inside the block that take less time for many cotangents, if they are taken at once."""
        with ExitStack() as stack:
            if self.is_vectorised:
                stack.enter_context(kernel_gradients_as_products(self._setting.model))
                if self._setting.batch_norm == "batch":
                    stack.enter_context(norm_gradients_in_closed_form(self._setting.model))
            yield

    def _rows(self, values: list[tf.Tensor], images: Any, labels: tf.Tensor) -> tuple[LossDerivative, list[tf.Tensor]]:
        wanted = [values[i] for i in self._wanted]
        setting, mapping = self._setting, list(zip(self._weights, values, strict=True))
        with (
            measurement_scope(setting.model, mapping, setting.precision, setting.batch_norm),
            self._quick_gradients(),
            without_loop_warnings(),
        ):
            with tf.GradientTape(watch_accessed_variables=False, persistent=not self.is_vectorised) as tape:
                tape.watch(wanted)
                logits = setting.model(in_precision(images, setting.precision), training=False)  # [n, C]
                derivative = derivative_at(logits, labels, setting.logit_scale)
                self.num_classes = logits.shape[1]
                # Along the unit direction at the logits, so that no row underflows: [n].
                targets = tf.reduce_sum(tf.cast(derivative.direction, logits.dtype) * logits, axis=1)
            rows = tape.jacobian(
                targets, wanted, unconnected_gradients="zero", experimental_use_pfor=self.is_vectorised
            )
        return derivative, rows


def derivative_at(logits: tf.Tensor, labels: tf.Tensor, logit_scale: float | None) -> LossDerivative:
    """Return the loss at a model's logits [n, C] with its derivative, which is a constant to any tape.

    Raises:
        InputError: the model's output is not one vector of two or more logits a sample, or it is probabilities.
    """
    number_of_classes(logits)
    if tf.is_symbolic_tensor(logits):
        check_operation(logits)
    return LossDerivative(*(tf.stop_gradient(part) for part in loss_derivative(logits, labels, logit_scale)))


def chunk_signature(
    weights: Sequence[keras.Variable], precision: str, chunk: Any
) -> tuple[list[tf.TensorSpec], Any, tf.TensorSpec]:
    """Return the tensor specifications of (weights, images, labels) for chunks like this one."""
    specs = [tf.TensorSpec(v.shape, precision) for v in weights]
    images = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, tf.as_dtype(x.dtype)), chunk)
    return specs, images, tf.TensorSpec([leading_size(chunk)], tf.int32)


def leading_size(samples: Any) -> int:
    """Return the number of samples in an array or a structure of arrays."""
    return int(tf.nest.flatten(samples)[0].shape[0])
