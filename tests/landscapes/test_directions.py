"""Random directions are normalised filter by filter; the Hessian's eigenvectors are those of the dense matrix."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import FLOAT32, ITERATED, ROUNDING

from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.directions import filter_axes, random_direction
from infomcr_cli.landscapes.directions_hessian import top_eigenvectors
from infomcr_cli.measures.loss_surface import LossSurface
from infomcr_cli.measures.stateless import trainable_weights
from tests.tolerances import AUTODIFF, CLOSED_FORM


def convolutional() -> keras.Model:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(3, 3),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(2, depth_multiplier=2),
            layers.Conv2DTranspose(5, 2),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )


def parts(model: keras.Model, seed: int = 0, index: int = 0) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return path, weights and direction of each trainable array."""
    variables = trainable_weights(model)
    weights = [np.asarray(v, np.float64) for v in variables]
    flat = random_direction(weights, filter_axes(model), seed=seed, index=index)
    pieces = np.split(flat, np.cumsum([w.size for w in weights])[:-1])
    return [(v.path, w, d.reshape(w.shape)) for v, w, d in zip(variables, weights, pieces, strict=True)]


def test_each_filter_of_a_direction_is_as_long_as_that_of_the_weights() -> None:
    found = {path: (w, d) for path, w, d in parts(convolutional())}
    kernels = {path: pair for path, pair in found.items() if path.endswith("kernel")}
    assert len(kernels) == 4
    for path, (w, d) in kernels.items():
        if "depthwise" in path:
            filters = [(w[:, :, i, m], d[:, :, i, m]) for i in range(w.shape[2]) for m in range(w.shape[3])]
        elif "transpose" in path:
            filters = [(w[:, :, o, :], d[:, :, o, :]) for o in range(w.shape[2])]
        else:
            filters = [(w[..., o], d[..., o]) for o in range(w.shape[-1])]
        for own, direction in filters:
            assert np.linalg.norm(direction) == pytest.approx(np.linalg.norm(own), rel=ITERATED), path


def test_biases_and_the_weights_of_batch_norm_are_not_varied() -> None:
    for path, _, direction in parts(convolutional()):
        if not path.endswith("kernel"):
            assert not direction.any(), path


def test_rows_of_an_embedding_and_heads_of_attention_are_filters() -> None:
    tokens = keras.Input((5,), dtype="int32")
    embedded = keras.layers.Embedding(7, 6)(tokens)
    attended = keras.layers.MultiHeadAttention(2, 3, name="attention")(embedded, embedded)
    model = keras.Model(tokens, keras.layers.Dense(3)(keras.layers.Flatten()(attended)))
    for path, w, d in parts(model):
        if "embeddings" in path:
            np.testing.assert_allclose(np.linalg.norm(d, axis=1), np.linalg.norm(w, axis=1), rtol=ITERATED)
        elif "query/kernel" in path:  # [features, heads, key]
            np.testing.assert_allclose(np.linalg.norm(d, axis=0), np.linalg.norm(w, axis=0), rtol=ITERATED)
        elif "attention_output/kernel" in path:  # [heads, key, features]
            np.testing.assert_allclose(np.linalg.norm(d, axis=(0, 1)), np.linalg.norm(w, axis=(0, 1)), rtol=ITERATED)
        elif "bias" in path:
            assert not d.any(), path


def test_networks_of_one_architecture_get_the_same_numbers_each_with_its_own_lengths() -> None:
    one, other = parts(convolutional()), parts(convolutional())
    for (path, w, d), (_, w2, d2) in zip(one, other, strict=True):
        if path.endswith("dense/kernel"):
            np.testing.assert_allclose(d / np.linalg.norm(w, axis=0), d2 / np.linalg.norm(w2, axis=0), rtol=CLOSED_FORM)


def test_the_second_direction_and_another_seed_differ_from_the_first() -> None:
    model = convolutional()
    first, second, seeded = (
        np.concatenate([d.ravel() for *_, d in parts(model, s, i)]) for s, i in ((0, 0), (0, 1), (1, 0))
    )
    for other in (second, seeded):
        assert abs(first @ other) < 0.3 * np.linalg.norm(first) * np.linalg.norm(other)


def tiny_surface() -> LossSurface:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(9, "tanh"), keras.layers.Dense(3)])
    rng = np.random.default_rng(0)
    return LossSurface(model, rng.normal(size=(20, 4)), rng.integers(0, 3, 20))


def dense_hessian(surface: LossSurface) -> np.ndarray:
    """Return the Hessian by TensorFlow's own second derivatives of a loss that is written out, [W, W]."""
    first, second = (tf.constant(x) for x in (surface.images, surface.labels))
    shapes = [v.shape for v in trainable_weights(surface.model)]
    sizes = [int(np.prod(s)) for s in shapes]

    def loss(w: tf.Tensor) -> tf.Tensor:
        a, b, c, d = (tf.reshape(p, s) for p, s in zip(tf.split(w, sizes), shapes, strict=True))
        logits = tf.tanh(first @ a + b) @ c + d
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(second, logits))

    w = tf.constant(surface.weights)
    with tf.GradientTape() as outer:
        outer.watch(w)
        with tf.GradientTape() as inner:
            inner.watch(w)
            value = loss(w)
        gradient = inner.gradient(value, w)
    return outer.jacobian(gradient, w).numpy()


@pytest.mark.usefixtures("double_precision")
def test_top_eigenvectors_are_those_of_the_dense_hessian() -> None:
    surface = tiny_surface()
    assert surface.size > 64  # by Lanczos
    found = top_eigenvectors(surface.hessian_product, surface.size, count=2, seed=0)
    values, vectors = np.linalg.eigh(dense_hessian(surface))
    np.testing.assert_allclose(found.values, values[::-1][:2], rtol=AUTODIFF)
    for i in range(2):
        assert abs(found.vectors[:, i] @ vectors[:, -1 - i]) == pytest.approx(1.0, abs=FLOAT32)
        assert found.vectors[np.abs(found.vectors[:, i]).argmax(), i] > 0
    assert (found.residuals < 1e-3 * found.values).all()


def test_few_weights_give_the_eigenvectors_of_all_columns() -> None:
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(5, 5))
    matrix += matrix.T
    found = top_eigenvectors(lambda v: matrix @ v, 5, count=2, seed=0)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(matrix)[::-1][:2], rtol=CLOSED_FORM)
    np.testing.assert_allclose(found.residuals, 0, atol=ROUNDING)


def test_a_hessian_of_zeros_has_no_directions() -> None:
    for size in (3, 100):
        with pytest.raises(InputError, match="eigenvectors"):
            top_eigenvectors(lambda v: 0 * v, size, count=1, seed=0)
