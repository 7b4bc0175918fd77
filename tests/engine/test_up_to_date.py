"""What the measures record of themselves, against what a sweep asks for: the real ones, on a network of nobody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.engine.up_to_date import is_measured
from infomcr_cli.runs import RunDirectory, new_status
from infomcr_cli.runs.measures_file import Evaluation, record_evaluation

STEP = 8
SMALL = (
    "model.depth=10",
    "model.width=0.25",
    "data.train_size=80",
    "measure.samples=60",
    "measure.gamma.draw_size=20",
    "measure.gamma.draws=5",
    "measure.sharpness.sub_batch=20",
    "measure.noise.draws=2",
    "measure.names=[gamma,fisher_trace,margin,sharpness,parameter_count]",
)


def settings(*overrides: str) -> MeasureConfig:
    return compose_run(
        [text for text in SMALL if text.partition("=")[0] not in {o.partition("=")[0] for o in overrides}]
        + list(overrides)
    ).measure


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run whose measures.json is what the real measures wrote."""
    from infomcr_cli.data import load_dataset
    from infomcr_cli.experiment.network import build_network
    from infomcr_cli.measures.context import MeasureContext
    from infomcr_cli.measures.evaluate import evaluate_measures

    config = compose_run(SMALL)
    dataset = load_dataset(config.data, seed=0)
    values = evaluate_measures(MeasureContext(build_network(config, dataset), dataset, config.measure))
    run = RunDirectory.create(
        tmp_path_factory.mktemp("runs") / "a", config=b"{}\n", overrides=[], status=new_status("a" * 64)
    )
    documents = {name: value.to_dict() for name, value in values.items()}
    record_evaluation(
        run, "last", Evaluation.model_validate({"step": STEP, "n_train": len(dataset.train), "measures": documents})
    )
    return run


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("measure.names=[gamma]",),
        ("measure.gamma.memory=1GB",),
        ("measure.batch_size=7",),
        ("measure.gamma.samples=5000",),
        ("measure.gamma.draws=4",),
        ("measure.gamma.chunk_size=5",),
        ("measure.sharpness.adaptive_rho=0.1",),
    ],
)
def test_what_changes_no_number_is_not_measured_again(measured: RunDirectory, overrides: tuple[str, ...]) -> None:
    assert is_measured(measured, STEP, settings(*overrides))


@pytest.mark.parametrize(
    "overrides",
    [
        ("measure.names=[gamma,hessian_trace]",),
        ("measure.names=standard",),
        ("measure.names=all",),
        ("measure.samples=50",),
        ("measure.sharpness.rho=0.1",),
        ("measure.gamma.samples=60",),
        ("measure.gamma.draws=3",),
        ("measure.gamma.draw_size=10",),
        ("measure.gamma.batch_norm=batch",),
        ("measure.gamma.logit_scale=0.04",),
        ("measure.gamma.precision=float64",),
        ("measure.gamma.target_se=0.5",),
        ("measure.names=[fisher_trace]", "measure.gamma.target_se=0.5"),
    ],
)
def test_what_changes_a_number_is_measured_again(measured: RunDirectory, overrides: tuple[str, ...]) -> None:
    assert not is_measured(measured, STEP, settings(*overrides))


def test_an_evaluation_from_before_the_end_does_not_count(measured: RunDirectory) -> None:
    assert not is_measured(measured, STEP + 1, settings())


def test_a_record_that_says_nothing_of_its_convention_does_not_count(measured: RunDirectory, tmp_path: Path) -> None:
    document: Any = json.loads(measured.measures.read_text())
    other = RunDirectory.create(tmp_path / "b", config=b"{}\n", overrides=[], status=new_status("b" * 64))
    del document["checkpoints"]["last"]["measures"]["gamma"]["convention"]["draws"]
    other.measures.write_text(json.dumps(document))
    assert not is_measured(other, STEP, settings())
    assert is_measured(other, STEP, settings("measure.names=[margin]"))
