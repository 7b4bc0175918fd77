"""The names that `infomcr_cli` offers to a script, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import infomcr_cli

NAMES = (
    *("gamma", "gram_matrix", "log_volume", "measure", "judge", "load_run", "train_step"),
    *("LocalMinimum", "SAM", "GradientNorm", "FisherTrace", "RegularizedModel", "GammaCallback"),
    *("register_measure", "MeasureValue", "RegularizerTerm", "InputError"),
)


def test_every_public_name_is_there_and_documented() -> None:
    for name in NAMES:
        assert name in infomcr_cli.__all__
        assert getattr(infomcr_cli, name).__doc__
    assert infomcr_cli.__version__


def test_importing_the_package_imports_neither_tensorflow_nor_mlflow() -> None:
    heavy = ["tensorflow", "keras", "mlflow", "pandas", "scipy", "hydra", "pydantic"]
    script = f"import sys, infomcr_cli; print([name for name in {heavy!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_judge_and_log_volume_need_no_tensorflow() -> None:
    script = "import sys; from infomcr_cli import judge, log_volume, InputError; print('tensorflow' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_type_checkers_see_the_names() -> None:
    folder = Path(infomcr_cli.__file__).parent
    assert (folder / "py.typed").is_file()
    stub = (folder / "__init__.pyi").read_text()
    assert all(f" as {name}\n" in stub for name in NAMES)


def test_another_backend_of_keras_is_refused(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    import keras
    import numpy as np
    import pytest

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(infomcr_cli.InputError, match=r"Keras must run on TensorFlow; got 'jax'\. Set .*KERAS_BACKEND"):
        infomcr_cli.gamma(
            keras.Sequential([keras.Input([2]), keras.layers.Dense(2)]), np.ones((4, 2)), np.zeros(4, int), draw_size=2
        )
