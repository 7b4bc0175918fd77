"""Weight matching against all permutations of a small network, and on permuted copies of every catalogue network."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import keras
import numpy as np
import pytest
from tolerances import AUTODIFF, ROUNDING

from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.alignment import align, distance, permuted
from infomcr_cli.landscapes.alignment_channels import ChannelGroup, channel_groups
from infomcr_cli.models import build_model, named_weights
from infomcr_cli.models.names import assign_all

CATALOGUE: dict[str, dict[str, Any]] = {
    "mlp": {"depth": 2, "width": 9},
    "mlp group norm": {"depth": 2, "width": 32, "norm": "group"},
    "wrn": {"depth": 10, "width": 0.5},
    "wrn without norm": {"widths": (4, 8), "blocks_per_group": 2, "norm": "none"},
    "resnet": {"depth": 14, "width": 0.5},
    "vgg": {"depth": 11, "width": 0.125, "head_units": (12,)},
    "densenet": {"depth": 16, "growth_rate": 4},
    "nin": {"width": 1, "base_width": 6},
}


def network(case: str, shape: tuple[int, int, int] = (8, 8, 2)) -> Any:
    keras.utils.set_random_seed(1)
    model = build_model(case.split()[0], input_shape=shape, num_classes=3, **CATALOGUE[case])
    assign_all(named_weights(model), random_weights(model))
    return model


def random_weights(model: Any, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = {}
    for name, variable in named_weights(model).items():
        value = rng.normal(0, 1, variable.shape) * np.sqrt(1.5 / max(1, np.prod(variable.shape[:-1])))
        found[name] = (np.abs(value) + 0.5 if name.endswith(("variance", "gamma")) else value).astype(np.float32)
    return found


def shuffled(groups: list[ChannelGroup], seed: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.permutation(group.size) for group in groups]


def logits(model: Any, weights: dict[str, Any], images: np.ndarray) -> np.ndarray:
    assign_all(named_weights(model), weights)
    return np.asarray(model(images, training=False))


def trainable(model: Any) -> list[str]:
    ids = {id(v) for v in model.trainable_variables}
    return [name for name, v in named_weights(model).items() if id(v) in ids]


@pytest.mark.parametrize("case", CATALOGUE)
def test_permuted_channels_leave_the_function_of_catalogue_networks_as_it_is(case: str) -> None:
    model = network(case)
    groups, images = channel_groups(model), np.random.default_rng(0).normal(size=(5, 8, 8, 2)).astype(np.float32)
    weights = random_weights(model)
    moved = permuted(weights, groups, shuffled(groups))
    before, after = (logits(model, one, images) for one in (weights, moved))
    np.testing.assert_allclose(after, before, atol=1e-5 * np.abs(before).max())
    assert distance(weights, moved, trainable(model)) > 0.5 * np.sqrt(sum(np.sum(w**2) for w in weights.values())) / 3


@pytest.mark.parametrize("case", list(CATALOGUE))
def test_alignment_finds_a_permuted_copy_exactly(case: str) -> None:
    model = network(case)
    groups, weights = channel_groups(model), random_weights(model)
    moved = permuted(weights, groups, shuffled(groups))
    found = align(weights, moved, groups, trainable=trainable(model))
    assert found.before > 0
    assert found.after == 0
    aligned = found.permuted(moved)
    assert all(np.array_equal(aligned[name], weights[name]) for name in weights)


def test_every_hidden_channel_of_the_catalogue_is_in_a_group() -> None:
    """Residual streams share one permutation; a layer of a DenseNet has its own."""
    sizes = {case: sorted(group.size for group in channel_groups(network(case))) for case in CATALOGUE}
    assert sizes["mlp"] == [9, 9]
    assert sizes["mlp group norm"] == [8] * 8
    # stem and its shortcut's input; the stream and the inner layer of each stage
    assert sizes["wrn"] == [8, 8, 16, 16, 16, 32, 32]
    # stage 1 is in the middle of the padded channels of stage 2, those in the middle of stage 3
    assert sizes["resnet"] == [8, 8, 8, 8, 16, 16, 16, 32, 32]
    assert sizes["nin"] == [6] * 6
    assert len(sizes["densenet"]) == 1 + 3 * 4 + 2
    assert sizes["vgg"][:2] == [8, 12]


def test_weight_matching_of_one_hidden_layer_is_the_best_of_all_permutations() -> None:
    model = build_model("mlp", input_shape=(2, 2, 1), num_classes=3, depth=1, width=5)
    groups, names = channel_groups(model), trainable(model)
    first, second = random_weights(model, 1), random_weights(model, 2)
    all_of_them = (distance(first, permuted(second, groups, [np.array(p)]), names) for p in permutations(range(5)))
    assert align(first, second, groups, trainable=names).after == pytest.approx(min(all_of_them), rel=ROUNDING)


def test_no_single_layer_improves_a_weight_matching_of_two_hidden_layers() -> None:
    model = build_model("mlp", input_shape=(2, 2, 1), num_classes=3, depth=2, width=4)
    groups, names = channel_groups(model), trainable(model)
    first, second = random_weights(model, 1), random_weights(model, 2)
    found = align(first, second, groups, trainable=names)
    choices = [np.array(p) for p in permutations(range(4))]
    everything = [distance(first, permuted(second, groups, pair), names) for pair in product(choices, repeat=2)]
    one, other = found.permutations
    alone = [distance(first, permuted(second, groups, pair), names) for p in choices for pair in ((p, other), (one, p))]
    assert found.after == pytest.approx(min(alone), rel=ROUNDING)
    assert found.after < np.quantile(everything, 0.02)


def test_channels_of_frozen_layers_stay_where_they_are() -> None:
    model = build_model("mlp", input_shape=(2, 2, 1), num_classes=3, depth=2, width=4)
    groups = channel_groups(model)
    frozen = {place.weight for place in groups[0].places}
    names = [name for name in trainable(model) if name not in frozen]
    second = random_weights(model, 2)
    moved = permuted(second, groups[1:], [np.array([2, 0, 3, 1])])
    kept, other = align(moved, second, groups, trainable=names).permutations
    assert kept.tolist() == [0, 1, 2, 3]
    assert other.tolist() == [2, 0, 3, 1]


def graph_of(*layers: Any, shape: tuple[int, ...] = (6, 6, 4)) -> Any:
    inputs = keras.Input(shape)
    x = inputs
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (keras.layers.Conv2D(8, 3, groups=2, name="grouped"), "grouped convolution"),
        (keras.layers.DepthwiseConv2D(3, depth_multiplier=2, name="deep"), "depth_multiplier=2"),
        (keras.layers.Dense(4, activation="glu", name="gate"), "glu"),
        (keras.layers.Lambda(lambda x: x[..., ::-1], name="mirror"), "no rule"),
        (keras.layers.Dense(4, activation=lambda x: x[..., ::-1], name="own"), "activation"),
        (keras.layers.UnitNormalization(name="unit"), "no rule"),
    ],
)
def test_a_network_that_cannot_be_aligned_is_refused_by_the_layer_and_the_reason(layer: Any, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        channel_groups(graph_of(layer))
    assert layer.name in str(caught.value)
    assert "--align" in str(caught.value)


def test_separable_transposed_and_shared_layers_are_aligned() -> None:
    shared = keras.layers.Conv2D(4, 3, padding="same", name="shared")
    model = graph_of(
        keras.layers.Conv2D(4, 1, name="first"),
        keras.layers.PReLU(shared_axes=(1, 2)),
        shared,
        keras.layers.ReLU(6.0),
        shared,
        keras.layers.SeparableConv2D(5, 3, padding="same"),
        keras.layers.LayerNormalization(),
        keras.layers.DepthwiseConv2D(3),
        keras.layers.Conv2DTranspose(6, 2),
        keras.layers.Activation("softmax"),
        keras.layers.UpSampling2D(),
        keras.layers.Permute((2, 1, 3)),
    )
    groups, weights = channel_groups(model), random_weights(model)
    assert [group.size for group in groups] == [4, 5, 6]
    images = np.random.default_rng(0).normal(size=(3, 6, 6, 4)).astype(np.float32)
    before, after = (logits(model, one, images) for one in (weights, permuted(weights, groups, shuffled(groups))))
    np.testing.assert_allclose(after, before, atol=AUTODIFF)


def test_the_same_networks_and_seed_give_the_same_alignment() -> None:
    model = network("wrn")
    groups, names = channel_groups(model), trainable(model)
    first, second = random_weights(model, 1), random_weights(model, 2)
    one, other = (align(first, second, groups, trainable=names, seed=5) for _ in range(2))
    assert all(np.array_equal(p, q) for p, q in zip(one.permutations, other.permutations, strict=True))
    assert one.after < one.before
    assert one.moved > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("VGG16", "MobileNet", "MobileNetV2", "MobileNetV3Small", "EfficientNetV2B0", "ResNet50", "ResNet50V2"),
        *("DenseNet121", "ConvNeXtTiny", "Xception", "InceptionV3", "InceptionResNetV2", "NASNetMobile"),
    ],
)
def test_permuted_channels_leave_published_networks_as_they_are(name: str) -> None:
    size = 75 if name.startswith("Inception") or name == "Xception" else 32
    model = build_model(name, input_shape=(size, size, 3), num_classes=5)
    groups, weights = channel_groups(model), random_weights(model)
    images = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype(np.float32)
    before, after = (logits(model, one, images) for one in (weights, permuted(weights, groups, shuffled(groups))))
    np.testing.assert_allclose(after, before, atol=5e-5 * np.abs(before).max())
    assert {place.weight for group in groups for place in group.places} >= {
        name for name, array in weights.items() if array.ndim == 4 and array.size > 1000
    }
