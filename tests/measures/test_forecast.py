"""What each measure is said to cost against what it does: images that pass, counted where they pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from typing import Any

import keras
import numpy as np
import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import Dataset, Split
from infomcr_cli.measures.base import chosen_measures
from infomcr_cli.measures.context import MeasureContext
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.measures.gram.engine import GramEngine
from infomcr_cli.measures.loss_surface import LossSurface, SurfacePasses
from infomcr_cli.measures.work import GRADIENT, Speed, Work, forecast, timed_speed, work_in, work_of
from infomcr_cli.models import named_weights
from tests.measures.recorded import recorded_history

COUNT = 400
FACTOR = 1.5
SETTINGS = ("measure=all", f"measure.samples={COUNT}", f"measure.gamma.samples={COUNT}", "measure.gamma.draws=2")


def ten_classes() -> keras.Model:
    """Two convolutions, batch norm and a head, float32."""
    keras.utils.set_random_seed(3)
    image = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(6, 3, padding="same", use_bias=False)(image)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.ReLU()(keras.layers.Conv2D(8, 3, 2, padding="same")(x))
    return keras.Model(image, keras.layers.Dense(10)(keras.layers.Flatten()(x)))


def labelled_by_itself() -> tuple[Any, Dataset]:
    """A network that is right on most images, so that every measure has something to search for."""
    model = ten_classes()
    for variable in model.trainable_variables:
        variable.assign(2 * variable + 0.1)
    images = np.random.default_rng(0).standard_normal((COUNT, 6, 6, 2)).astype(np.float32)
    labels = np.argmax(model.predict(images, verbose=0), axis=1).astype(np.int32)
    labels[::20] = (labels[::20] + 1) % 10
    split = Split(images, labels)
    return model, Dataset("random", split, split, tuple("abcdefghij"), (0.0,), (1.0,), True, "random")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Images that pass from now on, by the names of `Work`."""
    passed: Counter[str] = Counter()

    def counting(owner: Any, method: str, kind: str, number: Any) -> None:
        before = getattr(owner, method)

        def after(self: Any, *args: Any, **kwargs: Any) -> Any:
            passed[kind] += number(self, *args, **kwargs)
            return before(self, *args, **kwargs)

        monkeypatch.setattr(owner, method, after)

    def of_parts(self: Any, indices: Any = None, *_: Any) -> int:
        return len(self.labels) if indices is None else len(indices)

    everything = lambda self, *_: len(self.labels)  # noqa: E731
    counting(LossSurface, "logits", "forward", lambda self, weights, indices=None: of_parts(self, indices))
    counting(LossSurface, "loss_and_gradient", "gradients", lambda self, w, indices=None: of_parts(self, indices))
    counting(LossSurface, "_hessian_product", "products", lambda self, vector, indices: len(indices))
    counting(LossSurface, "map_images", "forward", everything)
    counting(LossSurface, "map_samples", "inputs", everything)
    counting(LossSurface, "map_differentiated", "inputs", everything)
    counting(GramEngine, "__call__", "rows", lambda self, images, labels: len(labels))
    counting(SurfacePasses, "values", "vectors", lambda self, weights: 1)
    return passed


def test_each_measure_takes_the_passes_that_the_forecast_counts(counted: Counter[str], tmp_path: Any) -> None:
    model, dataset = labelled_by_itself()
    initial = {name: np.array(v) for name, v in named_weights(ten_classes()).items()}
    config = compose_run(SETTINGS).measure
    history = recorded_history(tmp_path / "run", initial)
    ctx = MeasureContext(model, dataset, config, 0, lambda: initial, 0.1, history)
    assert len(ctx.surface.clean_logits) == COUNT  # the common pass
    counted.clear()
    seen: set[Any] = set()
    for measure in chosen_measures("all"):
        said = sum((work_in(passes, config) for passes in measure.all_passes - seen), Work())
        seen |= measure.all_passes
        before = counted.copy()
        alone = replace(ctx, config=config.model_copy(update={"names": [measure.name]}))
        value = evaluate_measures(alone)[measure.name]
        did = Work(**{kind: float(counted[kind] - before[kind]) for kind in counted if kind != "vectors"})
        if "spectral" in measure.name or measure.family == "norm":  # their passes are of a convolution, not of images
            said = Work(inputs=said.inputs)
        ignored = 1.2 * COUNT  # passes that are not worth a forecast
        assert said.passes <= FACTOR * did.passes + ignored, (measure.name, value.extras, said, did)
        assert did.passes <= FACTOR * said.passes + ignored, (measure.name, value.extras, said, did)


def test_all_measures_together_take_the_passes_and_the_weights_that_the_forecast_counts(
    counted: Counter[str], tmp_path: Any
) -> None:
    model, dataset = labelled_by_itself()
    config = compose_run((*SETTINGS, "measure.names=[learning_coefficient,basin_volume,noise_scale,sharpness]")).measure
    measures = chosen_measures(config.names)
    evaluate_measures(MeasureContext(model, dataset, config))
    said = asdict(work_of(measures, config))
    for kind in ("forward", "gradients"):
        assert 1 / FACTOR < counted[kind] / said[kind] < FACTOR, kind
    assert 1 / 2.5 < counted["vectors"] / said["vectors"] < 2.5


def test_work_adds_up_and_its_time_follows_from_the_speed_of_the_network() -> None:
    work = Work(forward=10, gradients=2) + Work(gradients=1, vectors=5, functions=2)
    assert work == Work(forward=10, gradients=3, vectors=5, functions=2)
    assert work.passes == pytest.approx(10 + 3 * GRADIENT)
    assert Speed(forward=1.0, gradient=4.0, vector=0.1, compilation=3.0).seconds(work) == pytest.approx(28.5)


def test_a_number_of_passes_is_one_of_images_that_pass_forward() -> None:
    config = compose_run(["measure=fast"]).measure
    assert work_in(lambda config: 3 * config.samples, config) == Work(forward=3 * config.samples)


def test_forecast_is_that_of_the_work_at_the_speed_that_a_clock_says() -> None:
    model, dataset = labelled_by_itself()
    config = compose_run([*SETTINGS, "measure.names=[sharpness]"]).measure
    ctx = MeasureContext(model, dataset, config)
    ticks = iter(range(10_000))
    speed = timed_speed(ctx.surface, lambda: float(next(ticks)))  # each call takes one tick
    assert speed.vector == 1.0
    assert speed.forward == speed.gradient == 0.2 / 64
    measures = [one for one in chosen_measures() if one.name == "sharpness"]
    expected = speed.seconds(work_of(measures, config))
    assert forecast(measures, ctx, lambda: float(next(ticks))) == pytest.approx(expected)
