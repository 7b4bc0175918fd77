"""What `eval` would refuse of its settings is known before training, from settings and number of images alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.console.screen import Screen
from infomcr_cli.errors import InputError
from infomcr_cli.evaluate import EvalRequest, evaluate
from infomcr_cli.measures.base import check_measures, chosen_measures
from infomcr_cli.runs import RunDirectory, new_status


def check(train_size: int | None, *overrides: str) -> None:
    check_measures(compose_run(list(overrides)).measure, train_size)


REFUSED = {
    "a draw of more images than there are": (64, ("measure=fast",), "draw_size=64"),
    "one image too few": (99, ("measure=standard",), "draw_size=99"),
    "a measure that shares the draws": (64, ("measure.names=[fisher_trace,margin]",), "draw_size=64"),
    "whole chunks only": (
        64,
        ("measure.gamma.batch_norm=batch", "measure.gamma.chunk_size=10"),
        "draw_size=60",
    ),
    "no memory": (None, ("measure.gamma.memory=0MB",), "memory"),
    "a name that is none": (None, ("measure.names=[gama]",), "gamma"),
    "no name": (None, ("measure.names=[]",), "names"),
    "a draw of more images than draws come from": (None, ("measure.gamma.samples=50",), "samples"),
    "chunks that do not divide a draw": (
        None,
        ("measure.gamma.batch_norm=batch", "measure.gamma.chunk_size=7"),
        "chunk_size",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_settings_are_refused(name):
    train_size, overrides, said = REFUSED[name]
    with pytest.raises(InputError, match=said):
        check(train_size, *overrides)


@pytest.mark.parametrize(
    ("train_size", "overrides"),
    [
        (100, ("measure=standard",)),
        (64, ("measure.names=[margin,sharpness,path_norm]",)),
        (64, ("measure=fast", "measure.gamma.draw_size=64")),
        (None, ("measure=all",)),
        (10**9, ("measure=all",)),
    ],
)
def test_possible_settings_pass(train_size, overrides):
    check(train_size, *overrides)


def test_standard_gamma_has_the_convention_of_the_study_with_batch_norm_in_inference_mode():
    config = compose_run(["measure=standard"]).measure
    (gamma,) = chosen_measures("gamma")
    assert gamma.convention(config, n_train=50_000, order="stored") == {
        "samples": 10_000,
        "draws": 100,
        "draw_size": 100,
        "batch_norm": "inference",
        "chunk_size": None,
        "logit_scale": None,
        "order": "stored",
        "precision": "float32",
        "target_se": None,
    }


def test_check_measures_imports_no_tensorflow():
    script = (
        "import sys; from infomcr_cli.config.compose import compose_run;"
        "from infomcr_cli.measures.base import check_measures;"
        "check_measures(compose_run(['measure=all']).measure, 60000);"
        "check_measures(compose_run(['measure.names=[gamma,path_norm]']).measure, 60000);"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'mlflow', 'pandas')))"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_eval_refuses_draws_larger_than_the_data_before_measuring(tmp_path: Path):
    config = compose_run(["data.train_size=64", "measure.gamma.draw_size=20"])
    runs = [
        RunDirectory.create(tmp_path / name, config=to_yaml(config), overrides=[], status=new_status("a" * 64))
        for name in ("first", "second")
    ]
    request = EvalRequest([str(run.path) for run in runs], ["measure.gamma.draw_size=100"])
    with pytest.raises(InputError, match="draw_size=64"):
        evaluate(request, Screen(stderr=True))
