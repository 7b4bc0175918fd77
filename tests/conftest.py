"""What all tests share: the command line run in this process, and homes that stay apart from the user's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli import Answer, CommandLine, infomcr

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def _homes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a test notes about its user out of the real user's home."""
    monkeypatch.setenv("INFOMCR_STATE", str(tmp_path_factory.mktemp("state")))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        # Setting first makes pytest undo what a test leaves behind: `mlflow.set_tracking_uri` sets a variable.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CommandLine:
    """Run `infomcr` in this process; the working directory is an empty one."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Answer:
        return infomcr(arguments, Path.cwd(), catch=False)

    return run


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the project; skips where it is not."""
    if not SHARED.is_dir():
        pytest.skip(f"no reference data at {SHARED}")
    return SHARED


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Models are float64, so that a formula shows to 1e-10."""
    import keras

    before = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_dtype_policy("float64")
    keras.config.set_floatx("float64")
    keras.utils.set_random_seed(1)
    yield
    keras.config.set_dtype_policy(before[0])
    keras.config.set_floatx(before[1])
