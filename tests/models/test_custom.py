"""A user's own network: run only where the user named it, and known by the same names in every process."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from infomcr_cli.config.allowed_builders import is_trusted
from infomcr_cli.config.compose import compose_run
from infomcr_cli.errors import InputError
from infomcr_cli.models import build_model, named_weights
from infomcr_cli.models.custom import resolve_builder

SOURCE = """
import keras
print("imported")
def net(*, input_shape, num_classes, l2, width=4):
    image = keras.Input(input_shape)
    x = keras.layers.Conv2D(width, 3)(image)
    x = keras.layers.Conv2D(width, 3)(keras.layers.BatchNormalization()(x))
    inner = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(num_classes)])
    return keras.Model(image, inner(keras.layers.Flatten()(x)))
def late(*, input_shape, num_classes, l2):
    layers = [keras.layers.Flatten(), keras.layers.Dense(4, activation=keras.layers.PReLU())]
    return keras.Sequential([keras.Input(input_shape), *layers, keras.layers.Dense(num_classes)])
def wrong(**_):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
def narrow(input_shape, num_classes):
    return net(input_shape=input_shape, num_classes=num_classes, l2=0)
number = 3
"""
SIZES = {"input_shape": (8, 8, 1), "num_classes": 5, "l2": 0.0}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_nets_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return name


def test_builder_is_imported_from_the_working_folder(module: Any) -> None:
    config = compose_run(["model=builder", f"model.builder={module}:net", "+model.settings.width=3"])
    settings = config.model.model_dump(exclude={"name"})
    model = build_model("builder", **SIZES, **settings, trusted=True)
    assert model.output_shape == (None, 5)
    assert next(iter(named_weights(model).values())).shape == (3, 3, 1, 3)


def test_unnamed_layers_are_named_independently_of_earlier_models(module: Any) -> None:
    one, other = (build_model("builder", **SIZES, builder=f"{module}:net", settings={}, trusted=True) for _ in range(2))
    assert [v.path for v in one.weights] != [v.path for v in other.weights]
    assert list(named_weights(one)) == list(named_weights(other))
    assert next(iter(named_weights(one))) == "conv2d/kernel"
    assert len(named_weights(one)) == len(one.weights)
    for variable, expected in zip(named_weights(one).values(), one.weights, strict=True):
        assert np.shares_memory(variable.numpy(), expected.numpy()) or variable is expected


def test_weights_of_lazily_built_layers_exist(module: Any) -> None:
    model = build_model("builder", **SIZES, builder=f"{module}:late", settings={}, trusted=True)
    assert len(named_weights(model)) == 5


def test_untrusted_builder_is_not_imported(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"model\.builder must be given on the command line"):
        build_model("builder", **SIZES, builder=f"{module}:net", settings={})
    assert module not in sys.modules
    assert "imported" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("os.system", "package.module:function"),
        ("a b:c", "package.module:function"),
        ("a:b.c", "package.module:function"),
        ("../a:b", "package.module:function"),
        ("no_such_module_at_all:net", "can be imported"),
        ("{module}:nothing", "no function nothing"),
        ("{module}:number", "no function number"),
    ],
)
def test_builder_path_without_a_function_is_refused(module: Any, path: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        resolve_builder(path.format(module=module), trusted=True)
    assert message in str(refused.value)


def test_builder_with_other_keywords_is_refused(module: Any) -> None:
    with pytest.raises(InputError, match=r"must take the keywords input_shape, num_classes, l2; .*narrow.*'l2'"):
        build_model("builder", **SIZES, builder=f"{module}:narrow", settings={}, trusted=True)


def test_network_of_another_output_shape_is_refused(module: Any) -> None:
    with pytest.raises(InputError, match=r"output shape \(None, 5\)"):
        build_model("builder", **SIZES, builder=f"{module}:wrong", settings={}, trusted=True)


@pytest.mark.parametrize("named", [False, True])
def test_builder_of_a_run_directory_runs_only_if_the_user_names_it_again(module: Any, named: Any) -> None:
    from infomcr_cli.config.yaml_text import to_yaml
    from infomcr_cli.experiment.recorded_settings import recorded_run
    from infomcr_cli.runs.io.safe_documents import parse_yaml

    settings = parse_yaml(to_yaml(compose_run(["model=builder", "model.builder=seen.elsewhere:net"])), "config.yaml")
    settings["model"]["builder"] = f"{module}:net"
    config = recorded_run(settings, [f"model.builder={module}:net"] if named else ["data.batch_size=32"])
    assert is_trusted(config) == named
