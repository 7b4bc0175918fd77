"""Which operations normalise in the graph of a training step: TensorFlow's fused kernel, in each precision."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import pytest
import tensorflow as tf

from infomcr_cli.training import LocalMinimum, train_step
from infomcr_cli.training.regularizers.sam import SAM
from tests.training import reference as ref

FUSED = ("FusedBatchNormV3", "FusedBatchNormGradV3")
OF_MOMENTS = {"SquaredDifference", "Rsqrt", "RsqrtGrad"}  # of the norms that Keras itself computes


def nodes(step: Any, *arguments: Any) -> list[Any]:
    """Return the nodes of a function's graph and of all functions in it, bodies of loops among them."""
    graph = tf.function(step, autograph=False).get_concrete_function(*arguments).graph.as_graph_def()
    return [*graph.node, *(node for function in graph.library.function for node in function.node_def)]


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("regularizer", [None, LocalMinimum(4), LocalMinimum(4, share_pass=True), SAM(2)])
def test_fused_kernels_alone_normalise_in_a_step(regularizer: Any, policy: str) -> None:
    """The main pass is in the policy's type, all passes of a regularizer in float32."""
    model, optimizer = ref.network_in(policy), keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    images, labels = ref.single(ref.batch(16))
    found = nodes(
        lambda x, y: train_step(model, optimizer, x, y, regularizer=regularizer),
        tf.TensorSpec(images.shape),
        tf.TensorSpec(labels.shape, tf.int32),
    )
    norms = sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    by_type = {op: Counter(tf.as_dtype(n.attr["T"].type).name for n in found if n.op == op) for op in FUSED}
    main = policy.removeprefix("mixed_")
    takes_main_pass = regularizer is None or (isinstance(regularizer, LocalMinimum) and not regularizer.share_pass)
    for op, types in by_type.items():
        expected = {main} if takes_main_pass else set()
        assert set(types) == expected | ({"float32"} if regularizer else set()), op
        assert all(count % norms == 0 for count in types.values()), op
    assert not OF_MOMENTS & {node.op for node in found}
