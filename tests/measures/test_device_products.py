"""Per-sample gradients multiplied on the device, for which the processor stands in, against the same on the host."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import FLOAT32

from infomcr_cli.errors import InputError
from infomcr_cli.measures import GramEngine, log_volume
from infomcr_cli.measures.gram import device_rows, im2col
from infomcr_cli.measures.gram import engine as engine_module
from infomcr_cli.measures.gram.compiled import CompiledPasses
from infomcr_cli.measures.gram.device_products import DeviceProducts
from infomcr_cli.measures.gram.engine import products_for
from infomcr_cli.measures.gram.im2col import Window
from infomcr_cli.measures.gram.parts import Part
from infomcr_cli.measures.gram.products import WHOLE, Contribution, HostProducts, OuterProduct, Rows
from infomcr_cli.models import build_model, named_weights
from tests.measures.reference import jacobian, relative, shaken

L = keras.layers
IMAGE, COUNT, CLASSES = (7, 6, 4), 5, 3
SAME = 1e-10  # of the largest entry: float64 throughout, or the same rows in float32
GOLDEN = Path(__file__).parents[1] / "data" / "wrn_reference.npz"
CHILD = Path(__file__).with_name("two_devices_child.py")


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def both(blocks: list[list[Contribution]], kernel: Any, part: Part = WHOLE) -> tuple[Any, Any]:
    """The products of some blocks' contributions with each other and a kernel, on the host and on the device."""
    host, device = HostProducts(), DeviceProducts()
    wide = [[as_tensors(one) for one in block] for block in blocks]
    on_host = host.gram([host.compact(block, part) for block in blocks], kernel, part)
    on_device = device.gram([device.compact(block, part) for block in wide], tf.constant(kernel), part)
    return on_host, on_device


def as_tensors(one: Contribution) -> Contribution:
    if isinstance(one, Rows):
        return Rows(tf.constant(one.array), one.window)
    return OuterProduct(tf.constant(one.left), tf.constant(one.right), one.window)


def agree(pair: tuple[Any, Any], tolerance: float = SAME) -> None:
    for host, device in zip(*pair, strict=True):
        assert device.dtype == np.float64
        assert relative(device, host) < tolerance


@st.composite
def convolutions(draw: Any) -> tuple[Window, tuple[int, ...], tuple[int, ...]]:
    """A window, the shape of the images and that of the kernel, padded as TensorFlow does or not at all."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    size, strides, dilation, groups = draw(pair), draw(pair), draw(pair), draw(st.sampled_from([1, 2]))
    if max(strides) > 1:  # TensorFlow takes either
        dilation = (1, 1)
    image = draw(st.tuples(st.integers(7, 9), st.integers(7, 9)))
    span = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
    same = draw(st.booleans())
    out = [-(-n // s) if same else (n - r) // s + 1 for n, s, r in zip(image, strides, span, strict=True)]
    total = [max(0, (o - 1) * s + r - n) for o, s, r, n in zip(out, strides, span, image, strict=True)]
    before = (total[0] // 2, total[1] // 2) if same else (0, 0)
    channels, filters = 2 * groups, 3 * groups
    window = Window(size, strides, dilation, before, groups)
    return window, (*image, channels), (*out, filters)


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.sampled_from([None, (3, 11)]))
def test_gradients_of_any_convolution_are_those_of_the_host(geometry: Any, columns: Any) -> None:
    window, image, output = geometry
    part = Part(0, *columns) if columns else WHOLE
    generator = rng()
    blocks: list[list[Contribution]] = [
        [OuterProduct(generator.normal(size=(n, *image)), generator.normal(size=(n, *output)), window)] for n in (3, 2)
    ]
    agree(both(blocks, generator.normal(size=(*window.size, image[-1] // window.groups, output[-1])), part))


@pytest.mark.parametrize("steps", [1, 40])
def test_matrix_products_stay_factored_or_are_written_out_as_on_the_host(steps: int) -> None:
    generator = rng()

    def one() -> OuterProduct:
        return OuterProduct(generator.normal(size=(COUNT, steps, 30)), generator.normal(size=(COUNT, steps, 20)))

    product, kernel = one(), generator.normal(size=(30, 20))
    assert product.stays_factored == (steps == 1)
    agree(both([[product]], kernel))
    agree(both([[one(), one()], [one(), one()]], kernel))  # two calls of one layer, two blocks
    agree(both([[one()]], kernel, Part(0, 100, 350)))


def test_sum_of_calls_of_different_windows_is_in_the_order_of_the_kernel() -> None:
    generator = rng()
    calls: list[Contribution] = [
        OuterProduct(generator.normal(size=(COUNT, 6, 6, 2)), generator.normal(size=(COUNT, *out, 3)), window)
        for window, out in ((Window((2, 2)), (5, 5)), (Window((2, 2), strides=(2, 2)), (3, 3)))
    ]
    rows = Rows(generator.normal(size=(COUNT, 2, 2, 2, 3)))
    agree(both([[*calls, rows]], generator.normal(size=(2, 2, 2, 3))))


def test_same_rows_in_float32_give_the_same_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nearly parallel rows too, whose log-volume depends on digits that float32 does not have."""
    generator = rng()
    rows = generator.normal(size=(1, 5000)) + 1e-4 * generator.normal(size=(COUNT, 5000))
    monkeypatch.setattr("infomcr_cli.measures.gram.device_products.PANEL_BYTES", 8 * 6 * 700)  # eight panels
    pair = both([[Rows(rows.astype(np.float32))]], generator.normal(size=5000).astype(np.float32))
    agree(pair, 1e-13)
    assert log_volume(pair[1][0]) == pytest.approx(log_volume(pair[0][0]), rel=1e-8)


class Own(L.Layer):
    """A layer without a rule."""

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor


class Loose(keras.Model):
    """A weight outside of any layer, which takes the Jacobian of the whole model."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.kernel = L.Dense(6, "tanh"), self.add_weight(shape=(6, CLASSES), name="kernel")

    def call(self, inputs: Any) -> Any:
        return tf.matmul(self.hidden(inputs), self.kernel)


def every_rule() -> keras.Model:
    image = keras.Input(IMAGE)
    x = L.Conv2D(4, 3, padding="same", activation="relu")(image)
    x = L.BatchNormalization()(L.DepthwiseConv2D(2)(x))
    x = L.Conv2D(6, 3, strides=2, groups=2)(L.LayerNormalization()(x))
    x = L.Conv2DTranspose(3, 2)(Own()(x))
    shared = L.Dense(3, "tanh")  # over positions, called twice
    return keras.Model(image, L.Dense(CLASSES)(L.Flatten()(shared(shared(x)))))


def tokens() -> keras.Model:
    token = keras.Input((6,), dtype="int32")
    x = L.Embedding(9, 4)(token)
    x = x + L.MultiHeadAttention(2, 3)(x, x)
    return keras.Model(token, L.Dense(CLASSES)(L.LayerNormalization()(x)[:, 0]))


def plain() -> keras.Model:
    hidden = [L.Conv2D(5, 3, padding="same"), L.BatchNormalization(), L.ReLU(), L.Flatten()]
    return keras.Sequential([keras.Input(IMAGE), *hidden, L.Dense(CLASSES)])


MODELS: dict[str, tuple[Callable[[], keras.Model], Any]] = {
    "every rule": (every_rule, rng().normal(size=(COUNT, *IMAGE))),
    "tokens": (tokens, rng().integers(0, 9, (COUNT, 6))),
    "weights of the model itself": (Loose, rng().normal(size=(COUNT, 5))),
}


def records(model: keras.Model, images: Any, **options: Any) -> list[Any]:
    labels = rng().integers(0, CLASSES, len(images)).astype(np.int32)
    return [GramEngine(model, compute=where, **options)(images, labels) for where in ("host", "device")]  # type: ignore[arg-type]


def same(host: Any, device: Any, tolerance: float = SAME) -> None:
    assert device.gradient_method == host.gradient_method
    for name in ("gram", "unit_gram", "log_lengths", "losses", "products"):
        assert relative(getattr(device, name), getattr(host, name)) < tolerance, name
    assert device.gamma == pytest.approx(host.gamma, abs=1e-8)
    for name, group in host.groups.items():
        assert device.groups[name].trace == pytest.approx(group.trace, rel=SAME)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("name", MODELS)
def test_a_draw_on_the_device_is_that_on_the_host_in_float64(name: str) -> None:
    build, images = MODELS[name]
    model = build()
    model(images)
    same(*records(shaken(model), images))


@pytest.mark.usefixtures("double_precision")
def test_a_draw_of_chunks_with_batch_statistics_is_that_of_the_host() -> None:
    images = rng().normal(size=(6, *IMAGE))
    same(*records(shaken(plain()), images, batch_norm="batch", chunk_size=3))


def test_network_trained_in_mixed_precision_is_measured_on_the_device() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = shaken(plain())
    finally:
        keras.config.set_dtype_policy(before)
    images = rng().normal(size=(COUNT, *IMAGE)).astype(np.float32)
    same(*records(model, images, precision="float64"))
    host, device = records(model, images)
    assert relative(device.gram, host.gram) < FLOAT32 / 10


@pytest.mark.usefixtures("double_precision")
def test_a_small_budget_changes_no_number_on_the_device() -> None:
    images = rng().normal(size=(24, *IMAGE))
    labels = rng().integers(0, CLASSES, 24)
    model = shaken(plain())
    tight = GramEngine(model, compute="device", memory="200kB")
    whole, blocks = GramEngine(model, compute="device")(images, labels), tight(images, labels)
    assert tight._passes is not None
    assert tight._passes.block_size < 24
    same(whole, blocks)
    j = jacobian(model, images, labels)
    assert relative(blocks.gram, j @ j.T) < SAME


@pytest.mark.usefixtures("double_precision")
def test_a_device_that_is_full_gets_smaller_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = rng().normal(size=(24, *IMAGE)), rng().integers(0, CLASSES, 24)
    model = shaken(plain())
    whole = GramEngine(model, compute="device")
    truth = whole(images, labels)
    assert whole._passes is not None
    monkeypatch.setattr(engine_module, "SMALLEST_BUDGET", 1)
    pass_of = CompiledPasses.__call__

    def full(self: CompiledPasses, values: Any, images: Any, labels: Any) -> Any:
        if len(labels) > 12:
            raise tf.errors.ResourceExhaustedError(None, None, "out of memory")
        return pass_of(self, values, images, labels)

    monkeypatch.setattr(CompiledPasses, "__call__", full)
    found = GramEngine(model, compute="device", memory="4MB", audit=False)
    same(truth, found(images, labels))
    assert found._passes is not None
    assert found._passes.block_size <= 12
    monkeypatch.setattr(engine_module, "SMALLEST_BUDGET", 1e9)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        GramEngine(model, compute="device", memory="4MB", audit=False)(images, labels)


@pytest.mark.parametrize(
    ("mode", "logits", "scale"), [("inference", "normalized", 0.04), ("inference", "raw", None), ("batch", "raw", None)]
)
def test_golden_arrays_hold_on_the_device(mode: Any, logits: str, scale: float | None) -> None:
    golden = np.load(GOLDEN, allow_pickle=False)
    shape = {"input_shape": (16, 16, 3), "num_classes": 10}
    model = build_model("wrn", **shape, widths=(8, 16, 32), blocks_per_group=1, l2=5e-4)
    for name, variable in named_weights(model).items():
        variable.assign(golden[f"w0:{name}"])
    engine = GramEngine(model, compute="device", batch_norm=mode, logit_scale=scale, chunk_size=8)
    first, again = (engine(golden["images"], golden["labels"]) for _ in range(2))
    assert relative(first.gram, golden[f"gram_{mode}_{logits}"]) < 1e-5
    assert first.gamma == pytest.approx(float(golden[f"gamma_{mode}_{logits}"]), rel=FLOAT32)
    np.testing.assert_array_equal(first.gram, again.gram)


def test_where_to_multiply_is_chosen_by_the_device_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(products_for("auto"), HostProducts)
    assert isinstance(products_for("device"), DeviceProducts)

    class OnCard:
        device = "/job:localhost/replica:0/task:0/device:GPU:0"

    with monkeypatch.context() as patch:
        patch.setattr(tf, "zeros", lambda shape: OnCard())
        assert isinstance(products_for("auto"), DeviceProducts)
        assert isinstance(products_for("host"), HostProducts)
    with pytest.raises(InputError, match="compute must be known"):
        GramEngine(plain(), compute="gpu")  # type: ignore[arg-type]


def test_float32_is_multiplied_in_full_while_a_draw_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU TensorFlow's default keeps ten bits of it."""
    is_short = tf.config.experimental.tensor_float_32_execution_enabled
    seen = []
    pass_of = CompiledPasses.__call__
    monkeypatch.setattr(CompiledPasses, "__call__", lambda *a: seen.append(is_short()) or pass_of(*a))
    before = is_short()
    try:
        tf.config.experimental.enable_tensor_float_32_execution(True)
        records(shaken(plain()), rng().normal(size=(COUNT, *IMAGE)).astype(np.float32))
        assert seen
        assert not any(seen)
        assert is_short()
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process with two logical devices prints: TensorFlow counts its devices once."""
    done = subprocess.run(
        [sys.executable, str(CHILD)],
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("two"),
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("where", ["host", "device"])
@pytest.mark.parametrize("mode", ["inference", "batch"])
def test_draws_shared_by_two_devices_have_the_same_bits_in_the_same_order(
    two_devices: dict[str, Any], where: str, mode: str
) -> None:
    found = two_devices[f"{where} {mode}"]
    assert found["one"] == found["two"]
    assert len(set(found["one"])) == 5
    assert found["devices"] == ["CPU:0", "CPU:1"]


def test_a_failing_draw_ends_the_shared_draws_with_its_error(two_devices: dict[str, Any]) -> None:
    assert "must be finite" in two_devices["error"]
    assert two_devices["before the error"] == two_devices["device inference"]["one"][:1]


def test_eval_shares_draws_among_devices_and_stops_at_the_same_draw(two_devices: dict[str, Any]) -> None:
    one, two, stopped = (two_devices[name] for name in ("eval one", "eval two", "eval two, stopped"))
    assert one["value"] == pytest.approx(two["value"], rel=1e-6)  # on the host and on the device, in float32
    assert two["draws"] == two_devices["eval device"]["draws"]
    assert len(two["draws"]) == 12
    assert stopped["draws"] == two["draws"][: len(stopped["draws"])]
    assert 10 <= len(stopped["draws"]) < 12


@pytest.mark.parametrize(
    ("image", "window", "dilation"),
    [((1, 1), 5, 1), ((2, 2), 7, 1), ((8, 8), 3, 12), ((3, 3), 3, 4)],
)
def test_a_window_may_reach_beyond_the_whole_image(image: tuple[int, int], window: int, dilation: int) -> None:
    reach = dilation * (window - 1) // 2
    geometry = Window((window, window), dilation=(dilation, dilation), before=(reach, reach))
    images = rng().normal(size=(2, *image, 3))
    cotangent = rng().normal(size=(2, *image, 4))
    on_host = im2col.convolution_rows(images, cotangent, geometry)
    on_device = device_rows.convolution_rows(tf.constant(images), tf.constant(cotangent), geometry)
    np.testing.assert_allclose(on_device, on_host, atol=1e-12)
