"""What every room's tests share: the command line run in this process, and homes that stay apart from the user's."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from invocation import Answer, CommandLine

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def _homes(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a test notes about its user out of the real user's home."""
    monkeypatch.setenv("INFOMCR_STATE", str(tmp_path_factory.mktemp("state")))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CommandLine:
    """Run `infomcr` in this process, in an empty working directory."""
    from infomcr_cli import cli

    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "argv", ["infomcr", *arguments])
        monkeypatch.setattr(cli.stderr, "_file", err)
        with redirect_stdout(out), redirect_stderr(err):
            try:
                cli.main()
                code = 0
            except SystemExit as exit_:
                code = int(exit_.code or 0)
        return Answer(code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the project; skips where it is not."""
    if not SHARED.is_dir():
        pytest.skip(f"no reference data at {SHARED}")
    return SHARED
