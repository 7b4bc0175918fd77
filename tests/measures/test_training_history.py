"""Measures of the training: read from metrics and checkpoints, or not at all, with the reason."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tolerances import SINGLE

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import Dataset, Split
from infomcr_cli.measures.context import MeasureContext
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.models import named_weights
from infomcr_cli.runs import Checkpoint, RunDirectory, list_checkpoints, save_checkpoint, step_name
from tests.measures.recorded import LOSSES, recorded_history
from tests.measures.reference import jacobian, perceptron, samples

NAMES = ("steps_to_target", "sum_of_train_losses", "early_fisher_trace", "final_gradient_norm")
SETTINGS = ("measure.samples=20", "measure.gamma.draw_size=10", "measure.gamma.precision=float64")


def few_images() -> Dataset:
    images, labels = samples((4,), count=20)
    split = Split(images.astype(np.float32), labels)
    return Dataset("random", split, split, ("a", "b", "c"), (0.0,), (1.0,), True, "random")


def measured(history: Any, *overrides: str, model: Any = None) -> Any:
    config = compose_run([f"measure.names=[{','.join(NAMES)}]", *SETTINGS, *overrides]).measure
    return evaluate_measures(MeasureContext(model or perceptron(), few_images(), config, history=history))


def early_weights() -> dict[str, Any]:
    rng = np.random.default_rng(5)
    return {name: np.array(v) + 0.3 * rng.standard_normal(v.shape) for name, v in named_weights(perceptron()).items()}


def test_steps_and_losses_are_those_of_the_metrics(tmp_path):
    values = measured(recorded_history(tmp_path / "run"))
    assert values["steps_to_target"].value == 40  # 0.9 · 0.09 is the first clean loss below 0.1
    assert values["steps_to_target"].extras["target"] == 0.1
    assert values["sum_of_train_losses"].value == pytest.approx(sum(LOSSES))
    assert values["sum_of_train_losses"].extras["epochs"] == 4


def test_history_ends_at_the_checkpoint_that_is_measured(tmp_path):
    values = measured(recorded_history(tmp_path / "run", step=20))
    assert values["sum_of_train_losses"].value == pytest.approx(sum(LOSSES[:2]))
    assert "target 0.1" in values["steps_to_target"].extras["reason"]


def test_run_without_a_target_has_no_steps_to_it(tmp_path):
    found = measured(recorded_history(tmp_path / "run", target=None))["steps_to_target"]
    assert "stop_at_train_loss" in found.extras["reason"]


def test_network_without_a_run_says_why_and_keeps_its_final_gradient():
    values = measured(None)
    for name in NAMES[:-1]:
        assert "infomcr train" in values[name].extras["reason"]
    assert values["final_gradient_norm"].value > 0


def test_imported_run_has_no_history(tmp_path):
    history = recorded_history(tmp_path / "run")
    history.run.metrics.unlink()
    values = measured(history)
    for name in ("steps_to_target", "sum_of_train_losses"):
        assert "metrics.jsonl" in values[name].extras["reason"]


def test_final_gradient_norm_is_that_of_the_mean_of_all_gradients():
    dataset, model = few_images(), perceptron()
    rows = jacobian(model, dataset.train.images.astype(np.float64), dataset.train.labels)
    found = measured(None)["final_gradient_norm"].value
    assert found == pytest.approx(np.linalg.norm(rows.mean(axis=0)), rel=SINGLE)


def test_early_fisher_trace_is_that_of_a_network_with_the_early_weights(tmp_path):
    early, model, dataset = early_weights(), perceptron(), few_images()
    before = model.get_weights()
    found = measured(recorded_history(tmp_path / "run", early), model=model)["early_fisher_trace"]
    for kept, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, now)
    for name, variable in named_weights(model).items():
        variable.assign(early[name])
    rows = jacobian(model, dataset.train.images.astype(np.float64), dataset.train.labels)
    assert found.value == pytest.approx(np.mean(np.sum(rows**2, axis=1)), rel=SINGLE)
    assert len(found.extras["draws"]) == 2
    assert found.std_error > 0


def test_early_checkpoint_that_was_not_kept_is_the_reason(tmp_path):
    history = recorded_history(tmp_path / "run", early_weights())
    found = measured(history, "measure.early_epochs=3")["early_fisher_trace"]
    assert "after 3 epochs" in found.extras["reason"]
    assert "measure.early_epochs=3" in found.extras["reason"]


def test_checkpoint_amid_the_second_epoch_is_not_that_after_the_first(tmp_path):
    history = recorded_history(tmp_path / "run")
    save_checkpoint(history.run, step_name(15), Checkpoint(15, 1, early_weights()))
    assert "early_epochs" in measured(history)["early_fisher_trace"].extras["reason"]


def test_early_weights_of_another_network_are_the_reason(tmp_path):
    found = measured(recorded_history(tmp_path / "run", {"other/kernel": np.zeros(3)}))["early_fisher_trace"]
    assert "fit" in found.extras["reason"]


def test_training_keeps_the_early_checkpoint_whatever_else_is_kept(command_line, tmp_path):
    data = ("data=digits", "data.train_size=64", "data.test_size=32", "data.batch_size=16", "tracking=off")
    schedule = ("schedule.epochs=6", "schedule.checkpoint_every=3", "schedule.keep_checkpoints=2")
    network = ("model=mlp", "model.width=8", "model.depth=1", "measure.early_epochs=2")
    answer = command_line("train", *data, *network, *schedule, "--run-dir", "runs/a")
    assert answer.code == 0, answer.err
    names = [info.name for info in list_checkpoints(RunDirectory.open(tmp_path / "runs/a"))]
    assert names == ["epoch-0002", "epoch-0003", "epoch-0006"]
    chosen = f"measure.names=[{','.join(NAMES)}]"
    answer = command_line("eval", "runs/a", chosen, "measure.samples=32", "measure.gamma.draw_size=16", "--json")
    assert answer.code == 0, answer.err
    values = json.loads(answer.out)["runs"][0]["measures"]
    assert {name for name, one in values.items() if one["value"] is None} == {"steps_to_target"}
