"""A measure that fails does not end the others, and its error is logged."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import Dataset, Split
from infomcr_cli.engine.up_to_date import is_measured
from infomcr_cli.errors import InputError
from infomcr_cli.measures import base as registry
from infomcr_cli.measures.base import check_measures, chosen_measures
from infomcr_cli.measures.context import MeasureContext
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.measures.gram import engine as gram_engine
from infomcr_cli.runs import RunDirectory, new_status
from infomcr_cli.runs.measures_file import Evaluation, record_evaluation

NAMES = ("gamma", "fisher_trace", "margin", "parameter_count", "frobenius_product", "spectral_product", "sharpness")
L = keras.layers


def settings(*names: str) -> Any:
    chosen = ",".join(names or NAMES)
    gamma = ("measure.gamma.samples=40", "measure.gamma.draw_size=10", "measure.gamma.draws=2")
    return compose_run([f"measure.names=[{chosen}]", "measure.samples=40", *gamma]).measure


def random_images(count: int = 40) -> Dataset:
    rng = np.random.default_rng(0)
    split = Split(rng.uniform(0, 255, (count, 4, 4, 1)).astype(np.float32), rng.integers(0, 3, count).astype(np.int32))
    return Dataset("random", split, split, ("a", "b", "c"), (127.5,), (74.0,), True, "random")


def network(*layers: Any) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4, 4, 1)), *layers, L.Flatten(), L.Dense(3)])


def failing(monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> None:
    """Let one measure fail as if there were a fault in it."""

    def compute(of: Any) -> Any:
        raise error

    chosen_measures()
    monkeypatch.setitem(registry._MEASURES, name, replace(registry._MEASURES[name], compute=compute))


ERRORS = {
    "ValueError: operands could not be broadcast": ValueError("operands could not\n be  broadcast"),
    "RuntimeError: no": RuntimeError("no"),
    "MemoryError": MemoryError(),
    "ZeroDivisionError: division by zero": ZeroDivisionError("division by zero"),
    "LinAlgError: SVD did not converge": np.linalg.LinAlgError("SVD did not converge"),
    "ResourceExhaustedError: OOM when allocating": tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"),
    "AttributeError: 'NoneType' object has no attribute 'x'": AttributeError("'NoneType' object has no attribute 'x'"),
}


@pytest.mark.parametrize("reason", ERRORS)
def test_failed_measure_gives_its_reason_and_the_others_are_computed(reason, monkeypatch, caplog):
    failing(monkeypatch, "margin", ERRORS[reason])
    with caplog.at_level(logging.WARNING):
        values = evaluate_measures(MeasureContext(network(), random_images(), settings("margin", "parameter_count")))
    found = values["margin"].to_dict()
    assert (found["value"], found["reason"], found["error"]) == (None, reason, type(ERRORS[reason]).__name__)
    assert found["unit"] == "logits"
    assert found["convention"] == {"batch_norm": "inference", "samples": 40}
    assert values["parameter_count"].value == 51
    (line,) = [record.getMessage() for record in caplog.records if record.name == "infomcr.measures"]
    assert reason in line
    assert "test_unavailable.py" in line


def test_input_error_is_a_reason_and_not_logged_as_a_failure(monkeypatch, caplog):
    failing(monkeypatch, "margin", InputError("the margin needs another network", received="this"))
    with caplog.at_level(logging.WARNING):
        values = evaluate_measures(MeasureContext(network(), random_images(), settings("margin", "parameter_count")))
    assert values["margin"].extras["reason"] == "the margin needs another network; got 'this'."
    assert "error" not in values["margin"].extras
    assert not caplog.records


def test_failed_draws_are_tried_and_logged_once_for_all_gram_measures(monkeypatch, caplog):
    tried = []

    def engine(*of: Any) -> Any:
        tried.append(of)
        raise MemoryError

    monkeypatch.setattr(gram_engine, "engine_for", engine)
    with caplog.at_level(logging.WARNING):
        values = evaluate_measures(MeasureContext(network(), random_images(), settings()))
    assert len(tried) == 1
    assert len(caplog.records) == 1
    for name in ("gamma", "fisher_trace"):
        assert (values[name].value, values[name].extras["reason"]) == (None, "MemoryError")
        assert values[name].extras["convention"]["draws"] == 2
    assert values["margin"].value is not None


def test_nan_weights_leave_measures_that_need_no_forward_pass():
    model = network()
    model.layers[-1].bias.assign([np.nan, 0.0, 0.0])
    values = evaluate_measures(MeasureContext(model, random_images(), settings()))
    assert values["gamma"].value is values["margin"].value is None
    assert "finite" in values["gamma"].extras["reason"]
    assert values["parameter_count"].value == 51
    assert values["frobenius_product"].value is not None


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_batch_norm_over_any_axis_is_measured(axis):
    values = evaluate_measures(
        MeasureContext(network(L.Conv2D(2, 1), L.BatchNormalization(axis=axis)), random_images(), settings())
    )
    assert {name for name, value in values.items() if value.value is None} == set()


def test_keyboard_interrupt_ends_the_evaluation(monkeypatch):
    failing(monkeypatch, "margin", KeyboardInterrupt())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        evaluate_measures(MeasureContext(network(), random_images(), settings()))


def test_settings_that_do_not_fit_the_data_are_refused_before_measuring():
    with pytest.raises(InputError, match="draw_size"):
        check_measures(settings(), len(random_images(9).train))


def test_sweep_measures_again_after_an_error_but_not_after_an_input_error(monkeypatch, tmp_path):
    config = settings("margin", "parameter_count")

    def recorded(name: str, values: Any) -> RunDirectory:
        run = RunDirectory.create(tmp_path / name, config=b"{}\n", overrides=[], status=new_status("a" * 64))
        documents = {measure: value.to_dict() for measure, value in values.items()}
        record_evaluation(run, "last", Evaluation.model_validate({"step": 8, "n_train": 40, "measures": documents}))
        return run

    assert is_measured(recorded("a", evaluate_measures(MeasureContext(network(), random_images(), config))), 8, config)
    failing(monkeypatch, "margin", MemoryError())
    assert not is_measured(
        recorded("b", evaluate_measures(MeasureContext(network(), random_images(), config))), 8, config
    )
    failing(monkeypatch, "margin", InputError("not for this network"))
    assert is_measured(recorded("c", evaluate_measures(MeasureContext(network(), random_images(), config))), 8, config)


def test_interval_of_an_estimate_contains_its_value():
    estimated = ("gamma", "sharpness", "adaptive_sharpness", "hessian_trace", "noise_scale")
    config = settings(*estimated).model_copy(deep=True)
    config = config.model_copy(update={"sharpness": config.sharpness.model_copy(update={"sub_batch": 10})})
    values = evaluate_measures(MeasureContext(network(), random_images(), config))
    for name in estimated:
        found = values[name].to_dict()
        if found["std_error"] is None:
            assert name == "noise_scale"  # an untrained network may have no accuracy to lose
            continue
        low, high = found["interval"]
        assert low <= found["value"] <= high
        assert high - low >= 2 * 1.96 * found["std_error"]
