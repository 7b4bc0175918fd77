"""What a command imports: nothing slow that it does not use."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from fake_runs import grid_of_runs

TENSORFLOW = ("tensorflow", "keras")
TABLES = ("pandas", "sklearn", "scipy.stats", "scipy.optimize")
FOR_NONE = (*TENSORFLOW, "mlflow", "matplotlib", "scipy", *TABLES)
COMMAND = """
import sys
from infomcr_cli.cli import main
sys.argv = ["infomcr", *sys.argv[1:]]
try:
    main()
except SystemExit as stop:
    assert not stop.code
"""


def imported(folder: Path, code: str, *arguments: str) -> set[str]:
    """Run a program and return the slow packages that it has imported at its end."""
    tail = f"\nimport sys\nprint('IMPORTED', *(name for name in {FOR_NONE!r} if name in sys.modules))"
    command = [sys.executable, "-c", code + tail, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return set((done.stderr + done.stdout).rsplit("IMPORTED", 1)[1].split())


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sixteen evaluated runs in `runs`, and a table."""
    folder = tmp_path_factory.mktemp("evaluated")
    grid_of_runs(folder / "runs")
    with (folder / "table.csv").open("w") as file:
        csv.writer(file).writerows([("rate", "gap", "gamma"), *((rate, rate / 10, rate**2) for rate in range(1, 5))])
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--print-config"),
        ("sweep", "seed=0,1", "--dry-run"),
        ("config", "optimizer"),
        ("measures",),
        ("measures", "gamma"),
        ("runs",),
        ("runs", "gap_error>0", "--csv", "runs.csv"),
        ("tag", "runs/run-on-0.1-32-0", "good"),
    ],
)
def test_a_command_that_computes_nothing_imports_no_numerical_library(evaluated: Path, words: tuple[str, ...]) -> None:
    assert imported(evaluated, COMMAND, *words) == set()


def test_statistics_of_few_minima_import_no_other_library(evaluated: Path) -> None:
    assert imported(evaluated, COMMAND, "judge", "table.csv", "--gap", "gap", "--axes", "rate") == set()


def test_a_comparison_imports_special_functions_and_plots_matplotlib(evaluated: Path) -> None:
    words = ("compare", "runs", "--no-tracking", "--csv", "out.csv")
    assert imported(evaluated, COMMAND, *words) <= {"scipy"}
    assert imported(evaluated, COMMAND, *words, "--html", "page.html") <= {"scipy", "matplotlib"}


def test_training_and_measuring_import_tensorflow_and_nothing_else_that_is_slow(tmp_path: Path) -> None:
    modules = "infomcr_cli.runtime, infomcr_cli.training.trainer, infomcr_cli.measures.evaluate"
    found = imported(tmp_path, f"import infomcr_cli.train, infomcr_cli.evaluate, {modules}")
    assert found == {*TENSORFLOW}


def test_mlflow_is_imported_without_what_only_its_models_need(tmp_path: Path) -> None:
    code = "import io, sys; sys.stdin = io.TextIOWrapper(io.BytesIO()); import os; os._exit = lambda code: None\n"
    assert imported(tmp_path, f"{code}from infomcr_cli.tracking.process_calls import main; main()") == {"mlflow"}
