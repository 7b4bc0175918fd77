"""Every architecture: published counts of weights, logits, gradients, norms, names, and a round trip of its weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import AUTODIFF, FLOAT32

from infomcr_cli.config.compose import compose_run
from infomcr_cli.errors import InputError
from infomcr_cli.measures import gram_matrix
from infomcr_cli.models import APPLICATIONS, ARCHITECTURES, build_model, named_weights
from infomcr_cli.models.names import assign_all

NARROW: dict[str, dict[str, Any]] = {
    "densenet": {"depth": 10, "growth_rate": 3},
    "mlp": {"depth": 2, "width": 9},
    "nin": {"depth": 2, "width": 1, "base_width": 6},
    "resnet": {"depth": 8, "width": 0.25},
    "vgg": {"depth": 11, "width": 1 / 16},
    "wrn": {"depth": 10, "width": 0.25},
}
DIGITS = (8, 8, 1)


def trainable_count(model: keras.Model) -> int:
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def narrow(kind: str, seed: int = 0, **style: Any) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return build_model(kind, input_shape=DIGITS, num_classes=5, **{**NARROW[kind], **style})


def digits(count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.standard_normal((count, *DIGITS)).astype(np.float32), rng.integers(0, 5, count).astype(np.int32)


def test_every_architecture_is_tested() -> None:
    assert {*NARROW, "builder"} == set(ARCHITECTURES)


@pytest.mark.parametrize(
    ("kind", "settings", "shape", "count"),
    [
        ("wrn", {"depth": 28, "width": 2}, (32, 32, 3), 1_467_610),  # the study
        ("wrn", {"depth": 28, "width": 10}, (32, 32, 3), 36.5e6),  # Zagoruyko & Komodakis, table 4
        ("wrn", {"depth": 16, "width": 8}, (32, 32, 3), 11.0e6),
        ("resnet", {"depth": 20}, (32, 32, 3), 0.27e6),  # He et al., table 6
        ("resnet", {"depth": 32}, (32, 32, 3), 0.46e6),
        ("resnet", {"depth": 56}, (32, 32, 3), 0.85e6),
        ("resnet", {"depth": 110}, (32, 32, 3), 1.73e6),
        ("densenet", {"depth": 100, "growth_rate": 12}, (32, 32, 3), 0.77e6),
        ("mlp", {"depth": 3, "width": 512}, (28, 28, 3), 1_735_178),  # Zhang et al., table 1
        ("mlp", {"depth": 1, "width": 512}, (28, 28, 3), 1_209_866),
    ],
)
def test_weight_counts_equal_published_counts(kind: str, settings: Any, shape: Any, count: int) -> None:
    model = build_model(kind, input_shape=shape, num_classes=10, **settings)
    assert model.output_shape == (None, 10)
    if isinstance(count, int):
        assert trainable_count(model) == count
    else:
        digits_given = 0.5 * 10 ** (4 if count < 10e6 else 5)  # as many as the papers print
        assert abs(trainable_count(model) - count) <= digits_given


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "settings", "count"),
    [
        ("ResNet50", {}, 25.6e6),
        ("vgg", {"depth": 16, "norm": "none", "head_units": (4096, 4096)}, 138e6),
        ("vgg", {"depth": 11, "norm": "none", "head_units": (4096, 4096)}, 133e6),
    ],
)
def test_weight_counts_equal_published_counts_on_imagenet(kind: str, settings: Any, count: int) -> None:
    model = build_model(kind, input_shape=(224, 224, 3), num_classes=1000, **settings)
    assert trainable_count(model) == pytest.approx(count, abs=0.5 * 10 ** (6 if count > 1e8 else 5))


def test_network_in_network_weight_count_equals_count_by_hand() -> None:
    blocks = (9 * 3 + 200 + 200) * 200 + (9 * 200 + 200 + 200) * 200
    model = build_model("nin", input_shape=(32, 32, 3), num_classes=10)
    assert trainable_count(model) == blocks + 6 * 2 * 200 + 200 * 10 + 2 * 10


@pytest.mark.parametrize("kind", NARROW)
def test_configuration_builds_its_architecture(kind: str) -> None:
    config = compose_run([f"model={kind}"])
    settings = config.model.model_dump(exclude={"name"})
    assert build_model(kind, input_shape=(32, 32, 3), num_classes=7, l2=1e-4, **settings).output_shape == (None, 7)


@pytest.mark.parametrize("norm", ["batch", "group", "layer", "none"])
@pytest.mark.parametrize("kind", NARROW)
def test_every_weight_has_a_gradient(kind: str, norm: str) -> None:
    """With every norm, on digits: finite logits, and no array of weights that the loss does not depend on."""
    model, (images, labels) = narrow(kind, norm=norm, activation="gelu"), digits()

    @tf.function
    def gradients() -> Any:
        with tf.GradientTape() as tape:
            logits = model(images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        return logits, tape.gradient(loss, [v.value for v in model.trainable_variables])

    logits, found = gradients()
    assert np.isfinite(logits).all()
    dead = [v.path for v, g in zip(model.trainable_variables, found, strict=True) if g is None or not np.any(g)]
    # A constant before a norm over all channels at once vanishes only in rounding, hence no bound from below but zero.
    assert not dead
    names = [type(layer).__name__ for layer in model.layers]
    assert ("BatchNormalization" in names) == (norm == "batch")
    assert ("GroupNormalization" in names) == (norm in ("group", "layer"))


@pytest.mark.parametrize("kind", NARROW)
def test_dropout_acts_only_in_training(kind: str) -> None:
    model, (images, _) = narrow(kind, norm="layer", dropout=0.5), digits()
    once, again = model(images, training=True), model(images, training=True)
    assert np.abs(np.asarray(once) - again).max() > 1e-3
    np.testing.assert_array_equal(model(images, training=False), model(images, training=False))


@pytest.mark.parametrize("kind", NARROW)
def test_named_weights_copy_a_network(kind: str) -> None:
    model, other, (images, _) = narrow(kind, seed=1), narrow(kind, seed=2), digits()
    carried = {name: np.array(variable) for name, variable in named_weights(model).items()}
    assert not np.allclose(model(images), other(images), atol=FLOAT32)
    assign_all(named_weights(other), carried)
    np.testing.assert_array_equal(model(images), other(images))


@pytest.mark.parametrize("kind", NARROW)
def test_gram_matrix_equals_that_of_per_sample_gradients(kind: str) -> None:
    """γ's Gram matrix against one float64 tape a sample."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        model = narrow(kind)
    finally:
        keras.config.set_dtype_policy(before)
    images, labels = digits(4)
    images = images.astype(np.float64)
    rows = []
    for image, label in zip(images, labels, strict=True):
        with tf.GradientTape() as tape:
            logits = model(image[None], training=False)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits([label], logits)
        gradient = tape.gradient(loss, [v.value for v in model.trainable_variables])
        rows.append(np.concatenate([np.ravel(g) for g in gradient]))
    naive = np.stack(rows) @ np.stack(rows).T
    gram = gram_matrix(model, images, labels)
    assert np.abs(gram - naive).max() < 1e-5 * np.abs(naive).max()


@pytest.mark.parametrize("kind", sorted({*NARROW} - {"wrn"}))
def test_l2_penalises_kernels_only(kind: str) -> None:
    model = narrow(kind, norm="batch", l2=0.01)
    kernels = [np.sum(np.square(v)) for v in model.trainable_variables if v.path.endswith("kernel")]
    assert float(sum(model.losses)) == pytest.approx(0.01 * sum(kernels), rel=AUTODIFF)
    assert narrow(kind, l2=0.0).losses == []


def test_l2_of_the_wide_resnet_follows_the_study() -> None:
    model = narrow("wrn", l2=0.01)
    penalised = {name for name, v in named_weights(model).items() if v.regularizer is not None}
    inside = {n for n in named_weights(model) if "/block1/conv" in n or n.endswith(("/gamma", "/beta"))}
    assert penalised == inside


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=wrn", "model.depth=30"], "6n+4, at least 10; got 30. Try 28."),
        (["model=resnet", "model.depth=1"], "6n+2, at least 8; got 1. Try 8."),
        (["model=densenet", "model.depth=101"], "6n+4, at least 10; got 101. Try 100."),
        (["model=vgg", "model.depth=12"], "model.depth"),
        (["model=mlp", "model.norm=bach"], "batch"),
        (["model=mlp", "model.dropout=1"], "model.dropout"),
        (["model=application", "model.name=ResNet51"], "ResNet50"),
    ],
)
def test_settings_out_of_range_are_refused(overrides: Any, message: str) -> None:
    with pytest.raises(InputError) as refused:
        compose_run(overrides)
    assert message in str(refused.value)


def test_unknown_architecture_is_refused() -> None:
    with pytest.raises(InputError, match="Did you mean 'wrn'"):
        build_model("wnr", input_shape=DIGITS, num_classes=5)


def test_applications_refuse_images_that_are_too_small() -> None:
    with pytest.raises(InputError, match=r"32x32.*model\.upsample"):
        build_model("MobileNetV2", input_shape=DIGITS, num_classes=5)
    model = build_model("MobileNetV2", input_shape=DIGITS, num_classes=5, upsample=4, l2=1e-4)
    again = build_model("MobileNetV2", input_shape=DIGITS, num_classes=5, upsample=4)
    assert model(digits(2)[0]).shape == (2, 5)
    assert list(named_weights(model)) == list(named_weights(again))
    assert len(model.losses) == sum(v.path.endswith("kernel") for v in model.trainable_variables)


def test_every_application_exists_in_keras() -> None:
    assert all(callable(getattr(keras.applications, name)) for name in APPLICATIONS)
