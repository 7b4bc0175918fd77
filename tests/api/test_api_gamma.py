"""`gamma` and `GammaCallback`: one truth with `gram_matrix` and `eval`, and nothing in training changes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import ITERATED

from infomcr_cli import Gamma, GammaCallback, LocalMinimum, RegularizedModel, gamma, gram_matrix, log_volume
from infomcr_cli.errors import InputError

L = keras.layers


def network(**options: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((5, 5, 1))
    x = L.BatchNormalization()(L.Conv2D(3, 3, activation="relu")(image))
    return keras.Model(image, L.Dense(3, **options)(L.Dropout(0.3)(L.Flatten()(x))))


def data(count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.standard_normal((count, 5, 5, 1)).astype(np.float32), rng.integers(0, 3, count)


@pytest.mark.parametrize("options", [{}, {"batch_norm": "batch", "chunk_size": 5}, {"logit_scale": 0.04}], ids=str)
def test_each_draw_is_the_log_volume_of_its_gram_matrix(options: dict[str, Any]) -> None:
    model, (x, y) = network(), data()
    found = gamma(model, x, y, draws=3, draw_size=10, **options)
    parts = [slice(start, start + 10) for start in (0, 10, 20)]
    expected = [log_volume(gram_matrix(model, x[part], y[part], **options)) for part in parts]
    np.testing.assert_allclose(found.draws, expected, rtol=ITERATED)
    assert found.value == pytest.approx(np.mean(expected))
    assert found.std_error == pytest.approx(np.std(expected, ddof=1) / np.sqrt(3))
    assert found.rank == (10, 10, 10)
    assert repr(found).startswith("Gamma(")
    assert repr(found).endswith(" nats, 3 draws of 10)")


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (-378.123, 8.234, "-378.1 ± 8.2 nats"),
        (-378.123, 82.3, "-378 ± 82 nats"),
        (1.23456, 0.01234, "1.235 ± 0.012 nats"),
        (1.23456, None, "1.23456 nats"),
        (None, None, "not available"),
    ],
)
def test_repr_shows_the_digits_that_the_error_allows(value: Any, error: Any, shown: str) -> None:
    assert repr(Gamma(value, error, (value,), (2,), 2)).startswith(f"Gamma({shown}, 1 draws of 2")


def test_fewer_samples_give_fewer_draws() -> None:
    x, y = data(35)
    assert len(gamma(network(), x, y, draws=10, draw_size=10).draws) == 3
    one = gamma(network(), x, y, draw_size=35)
    assert (len(one.draws), one.std_error, one.interval) == (1, None, None)


def test_a_singular_draw_is_marked_and_not_averaged() -> None:
    x, y = data(30)
    x[1], y[1] = x[0], y[0]
    found = gamma(network(), x, y, draw_size=10)
    assert found.draws[0] is None
    assert found.rank == (9, 10, 10)
    assert found.deficient == 1
    assert found.value == pytest.approx(np.mean(found.draws[1:]))  # type: ignore[arg-type]
    assert "1 of them singular" in repr(found)
    none = gamma(network(), np.repeat(x[:1], 10, 0), np.repeat(y[:1], 10), draw_size=5)
    assert (none.value, none.std_error, none.draws) == (None, None, (None, None))
    assert "not available" in repr(none)


def test_a_network_may_change_between_two_calls() -> None:
    """Its weights, and which of them are trained: what was compiled is used again only where it fits."""
    model, (x, y) = network(), data()
    before = gamma(model, x, y, draws=2, draw_size=10)
    model.set_weights([w * 1.1 for w in model.get_weights()])
    assert gamma(model, x, y, draws=2, draw_size=10).value != before.value
    model.layers[1].trainable = False
    frozen = gamma(model, x, y, draws=2, draw_size=10)
    part = slice(0, 10)
    assert frozen.draws[0] == pytest.approx(log_volume(gram_matrix(model, x[part], y[part])))


def test_tensors_and_named_inputs_are_taken() -> None:
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((4,), name="b")}
    model = keras.Model(inputs, L.Dense(3)(L.Concatenate()(list(inputs.values()))))
    rng = np.random.default_rng(0)
    x, y = {"a": rng.standard_normal((20, 3)), "b": rng.standard_normal((20, 4))}, rng.integers(0, 3, 20)
    found = gamma(model, x, y, draw_size=10)
    tensors = {name: tf.constant(array) for name, array in x.items()}
    assert gamma(model, tensors, tf.constant(y)[:, None], draw_size=10) == found
    joined = keras.Sequential([keras.Input((7,)), L.Dense(3)])
    joined.set_weights(model.get_weights())
    expected = gamma(joined, np.concatenate([x["a"], x["b"]], 1), y, draw_size=10)
    assert found.value == pytest.approx(expected.value)


def test_lists_of_numbers_are_arrays() -> None:
    x, y = data(20)
    assert gamma(network(), x.tolist(), y.tolist(), draw_size=10) == gamma(network(), x, y, draw_size=10)


def test_the_network_inside_a_regularized_model_is_measured() -> None:
    model, (x, y) = network(), data()
    assert gamma(RegularizedModel(model, LocalMinimum()), x, y, draw_size=10) == gamma(model, x, y, draw_size=10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"draw_size": 65}, "draw_size must not exceed the number of samples; got 'draw_size=65, 64 samples'"),
        ({"draw_size": 1}, "draw_size must be at least 2; got 1"),
        ({"draws": 0}, "draws must be at least 1; got 0"),
        ({"draws": 2.5}, "draws must be a whole number; got 2.5"),
        ({"batch_norm": "none"}, "batch_norm must be a known mode"),
        ({"batch_norm": "batch", "draw_size": 15}, "chunk_size must divide draw_size"),
        ({"logit_scale": -1}, "logit_scale must be positive"),
        ({"logit_scale": "0.04"}, "logit_scale must be positive"),
        ({"images": list(data()[0])}, r"np\.stack\(images\)"),
        ({"labels": np.eye(3)[data()[1]]}, "labels must be whole numbers"),
        ({"labels": data()[1] + 1}, r"labels must be 0\.\.2"),
        ({"labels": data()[1][:5]}, "images and labels must have the same length"),
        ({"model": "net"}, r"the model must be a keras\.Model"),
        ({"model": keras.Model}, r"the model must be a keras\.Model of Keras 3; got 'the class Model'"),
        ({"images": "x"}, "must contain arrays; got"),
        ({"images": None}, "must contain arrays; got"),
        ({"images": tf.data.Dataset.range(3)}, r"must contain arrays, not a tf\.data\.Dataset"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_measured_is_refused(change: dict[str, Any], message: str) -> None:
    x, y = data()
    given = {"model": network(), "images": x, "labels": y, "draw_size": 10, **change}
    with pytest.raises(InputError, match=message):
        gamma(given.pop("model"), given.pop("images"), given.pop("labels"), **given)


def test_gamma_of_a_network_for_a_fixed_number_of_samples_is_that_of_the_free_network() -> None:
    found = []
    for image in (keras.Input(batch_shape=(8, 5, 5, 1)), keras.Input((5, 5, 1))):
        keras.utils.set_random_seed(3)
        found.append(gamma(keras.Model(image, L.Dense(3)(L.Flatten()(image))), *data(), draw_size=10))
    assert found[0] == found[1]


def test_probabilities_are_refused() -> None:
    with pytest.raises(InputError, match="logits, not probabilities"):
        gamma(network(activation="softmax"), *data(), draw_size=10)


def fit(*callbacks: Any, epochs: int = 4, regularizer: Any = None) -> tuple[keras.Model, dict[str, list[float]]]:
    model, (x, y) = network(), data()
    fitted = RegularizedModel(model, regularizer) if regularizer else model
    fitted.compile(
        keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    history = fitted.fit(x, y, batch_size=16, epochs=epochs, verbose=0, callbacks=list(callbacks)).history
    return model, history


def test_callback_logs_gamma_and_changes_nothing() -> None:
    """Neither a weight, nor what dropout and shuffling draw."""
    callback = GammaCallback(every=2, data=data(), draws=3, draw_size=10)
    model, history = fit(callback)
    plain, expected = fit()
    for one, other in zip(model.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=other.path)
    found = gamma(model, *data(), draws=3, draw_size=10)
    assert history["gamma"][1] == pytest.approx(found.value)
    assert history["gamma_std_error"][1] == pytest.approx(found.std_error)
    assert sorted(callback.history) == [2, 4]
    assert {name: values for name, values in history.items() if "gamma" not in name} == expected


class Counted(keras.layers.Dense):
    """Counts how often its Python code runs: when a function is traced, and in eager calls."""

    calls = 0

    def call(self, x: Any) -> Any:
        Counted.calls += 1
        return super().call(x)


def test_callback_compiles_once() -> None:
    counts: list[int] = []
    count = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: counts.append(Counted.calls))
    model, (x, y) = keras.Sequential([keras.Input((5, 5, 1)), L.Flatten(), Counted(3)]), data()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(x, y, epochs=4, verbose=0, callbacks=[GammaCallback(1, data(), draw_size=10), count]).history
    assert len(set(history["gamma"])) == 4
    assert len(set(counts)) == 1


def test_callback_measures_the_network_of_a_regularized_model_and_later_callbacks_see_it() -> None:
    seen: list[set[str]] = []
    later = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(set(logs)))
    _, history = fit(GammaCallback(1, data(), draw_size=10), later, epochs=1, regularizer=LocalMinimum(4))
    assert {"gamma", "gamma_std_error", "penalty"} <= history.keys()
    assert {"gamma", "gamma_std_error"} <= seen[0]


def test_callback_warns_of_singular_draws() -> None:
    x, y = data()
    x[1], y[1] = x[0], y[0]
    with pytest.warns(UserWarning, match="1 of them singular"):
        fit(GammaCallback(1, (x, y), draw_size=10), epochs=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": None}, "data must be a pair of arrays"),
        ({"data": data(8), "draw_size": 10}, "draw_size must not exceed"),
        ({"data": data(), "every": 0}, "every must be at least 1"),
    ],
    ids=str,
)
def test_callback_refuses_before_training(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GammaCallback(**options)


def test_callback_refuses_data_that_does_not_fit_the_network_before_the_first_epoch() -> None:
    begun: list[int] = []
    count = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: begun.append(epoch))
    x, y = data()
    with pytest.raises(InputError, match="labels of data"):
        fit(GammaCallback(4, (x, y + 1), draw_size=10), count)
    assert not begun
