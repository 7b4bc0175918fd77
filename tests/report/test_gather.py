"""Runs of a comparison: paths, globs, sweeps, MLflow experiments; unreadable runs are left out."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli import CommandLine
from fake_runs import config_with, evaluation, three_runs, write_run

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.errors import InputError

needs_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Four evaluated runs."""
    for index in range(4):
        found = evaluation(0.1 + index / 10, {"gamma": float(index)})
        write_run(tmp_path / "runs" / f"r{index}", config_with(optimizer__l2=index / 10), {"last": found})
    return tmp_path / "runs"


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


DAMAGES = {
    "status cut short": lambda run: cut_short(run / "status.json"),
    "measures cut short": lambda run: cut_short(run / "measures.json"),
    "configuration of binary": lambda run: (run / "config.yaml").write_bytes(b"\x00\xff\xfe"),
    "empty configuration": lambda run: (run / "config.yaml").write_text(""),
    "empty status": lambda run: (run / "status.json").write_text(""),
    "status of another kind": lambda run: (run / "status.json").write_text('{"state": "DANCING"}'),
    "accuracy of 2": lambda run: (run / "measures.json").write_text(
        '{"checkpoints": {"last": {"train": {"accuracy": 2}}}}'
    ),
    "status gone": lambda run: (run / "status.json").unlink(),
    "configuration gone": lambda run: (run / "config.yaml").unlink(),
    "status is a link to nothing": lambda run: dangling(run / "status.json"),
    "measures is a link to nothing": lambda run: dangling(run / "measures.json"),
    "status is a folder": lambda run: ((run / "status.json").unlink(), (run / "status.json").mkdir()),
    "measures is a folder": lambda run: ((run / "measures.json").unlink(), (run / "measures.json").mkdir()),
    "measures is a pipe": lambda run: ((run / "measures.json").unlink(), os.mkfifo(run / "measures.json")),
    "the run is a link to nothing": lambda run: (shutil.rmtree(run), run.symlink_to("nowhere")),
}


def test_gather_skips_non_runs_and_deduplicates(tmp_path: Path) -> None:
    three_runs(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    names = (*(str(path) for path in sorted(tmp_path.iterdir())), str(tmp_path / "run-0"))
    document = compare(CompareRequest(names)).to_dict()
    assert len(document["runs"]) == 3
    assert len(document["passed_over"]) == 2
    with pytest.raises(InputError, match="Did you mean"):
        compare(CompareRequest((str(tmp_path / "run-O"),)))
    with pytest.raises(InputError, match="no run to compare"):
        compare(CompareRequest((str(tmp_path / "*.txt"),)))


def test_pattern_without_a_match_raises(tmp_path: Path) -> None:
    three_runs(tmp_path)
    with pytest.raises(InputError, match="pattern"):
        compare(CompareRequest((str(tmp_path / "run-0"), str(tmp_path / "none-*"))))


def test_nested_runs_of_one_name_get_unique_names(tmp_path: Path) -> None:
    for part in ("a", "b"):
        three_runs(tmp_path / "sweep" / part)
    document = compare(CompareRequest((str(tmp_path / "sweep"),))).to_dict()
    assert sorted({one["run"] for one in document["runs"]})[:2] == ["a/run-0", "a/run-1"]


def test_mlflow_experiment_gives_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three_runs(tmp_path)
    found = [tmp_path / "run-0", tmp_path / "run-2", tmp_path / "gone"]
    monkeypatch.setattr("infomcr_cli.tracking.parents.run_directories_of_experiment", lambda store: found)
    comparison = compare(CompareRequest(("mlflow:any",), tracking_uri="http://127.0.0.1:5000"))
    assert [run.name for run in comparison.included] == ["run-0", "run-2"]
    assert len(comparison.skipped) == 1
    monkeypatch.setattr("infomcr_cli.tracking.parents.run_directories_of_experiment", lambda store: [])
    with pytest.raises(InputError, match="has no runs of this machine"):
        compare(CompareRequest(("mlflow:any",), tracking_uri="http://127.0.0.1:5000"))


def test_unknown_checkpoint_raises(tmp_path: Path) -> None:
    three_runs(tmp_path)
    with pytest.raises(InputError, match=r"got 'lst'. Accepted: best, last. Did you mean 'last'"):
        compare(CompareRequest((str(tmp_path),), checkpoint="lst"))


def test_evaluation_is_outdated_if_the_run_was_trained_further() -> None:
    from infomcr_cli.report.evaluated_run import is_outdated
    from infomcr_cli.runs.measures_file import Evaluation

    measured = Evaluation(step=10)
    assert not is_outdated(measured, "last", 10)
    assert is_outdated(measured, "last", 20)
    assert not is_outdated(measured, "epoch-0001", 20)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("measures.json", '{"checkpoints": {"last": {"train": {"loss": NaN}}}}', "measures.json of run-1"),
        (
            "measures.json",
            '{"checkpoints": {"last": {"measures": {"gamma": {"value": 1e999}}}}}',
            "measures.json of run-1",
        ),
        ("measures.json", '{"checkpoints": {"last": {"n_test": 1%s}}}' % ("0" * 400), "measures.json of run-1"),
        (
            "measures.json",
            '{"checkpoints": {"last": {"measures": {"g": {"value": 1%s}}}}}' % ("0" * 400),
            "measures.json",
        ),
        ("measures.json", '{"checkpoints": {"last": {"measures": {"g": {"spectrum": "x"}}}}}', "spectrum"),
        ("measures.json", '{"checkpoints": []}', "checkpoints"),
        ("measures.json", "[" * 100_000, "measures.json of run-1"),
        ("config.yaml", "a: !!python/object/apply:os.system [touch x]", "config.yaml of run-1"),
        ("config.yaml", "a: &x [1]\nb: [*x, *x]", "config.yaml of run-1"),
        ("config.yaml", "- 1", "mapping"),
        ("status.json", '{"state": "DANCING"}', "status.json of run-1"),
        ("status.json", "[]", "status.json of run-1"),
    ],
)
def test_malformed_run_file_raises_and_is_named(tmp_path: Path, name: str, content: str, words: str) -> None:
    three_runs(tmp_path)
    (tmp_path / "run-1" / name).write_text(content)
    with pytest.raises(InputError, match=words):
        compare(CompareRequest((str(tmp_path / "run-1"),)))
    document = compare(CompareRequest((str(tmp_path),))).to_dict()
    assert document["n"] == 2
    assert words in document["left_out"]["runs"][str(tmp_path / "run-1")]


def test_link_out_of_a_run_directory_raises(tmp_path: Path) -> None:
    three_runs(tmp_path)
    os.symlink("/etc/hostname", tmp_path / "run-1" / "extra.json")
    with pytest.raises(InputError, match=r"extra\.json"):
        compare(CompareRequest((str(tmp_path / "run-1"),)))
    assert [*compare(CompareRequest((str(tmp_path),))).ranking.left_out.runs] == [str(tmp_path / "run-1")]


def test_bad_input_raises_before_heavy_imports(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom infomcr_cli.compare import *\nfrom infomcr_cli.errors import InputError\n"
        "try: compare(CompareRequest(('nowhere',)))\n"
        "except InputError: print({'pandas', 'scipy', 'matplotlib', 'mlflow', 'tensorflow'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("named", ["{}", "{}/*", "each"])
def test_unreadable_run_is_left_out_with_the_reason(
    command_line: CommandLine, runs: Path, damage: str, named: str
) -> None:
    DAMAGES[damage](runs / "r1")
    names = [str(runs / f"r{i}") for i in range(4)] if named == "each" else [named.format(runs)]
    answer = command_line("compare", *names, "--json", "--no-tracking")
    assert answer.code == 0, answer.err
    document = json.loads(answer.out)
    assert document["n"] == 3
    assert [run["run"] for run in document["runs"]] == ["r0", "r2", "r3"]
    (run, reason), *others = document["left_out"]["runs"].items()
    assert (run, others) == (str(runs / "r1"), [])
    assert f"Left out, because it cannot be read: {run}: {reason}" in document["notes"]
    assert document["measures"]["gamma"]["kendall_tau"]["value"] == 1.0


def test_unreadable_runs_are_listed_in_tables_and_page(command_line: CommandLine, runs: Path) -> None:
    (runs / "r1" / "status.json").write_text("")
    answer = command_line("compare", str(runs), "--no-tracking", "--html", "page.html")
    assert "cannot be read" in answer.out
    assert "status.json of r1" in " ".join(answer.out.split())
    assert "cannot be read" in (runs.parent / "page.html").read_text()


def test_no_readable_run_exits_2_with_the_reasons(command_line: CommandLine, runs: Path) -> None:
    for index in range(4):
        (runs / f"r{index}" / "status.json").write_text("")
    answer = command_line("compare", str(runs))
    assert (answer.code, answer.out) == (2, "")
    assert "none of the runs can be read" in answer.err
    assert "status.json of r0" in answer.err


def test_missing_path_exits_2(command_line: CommandLine, runs: Path) -> None:
    answer = command_line("compare", str(runs / "*"), str(runs / "r9"))
    assert answer.code == 2
    assert "r9" in answer.err


def test_broken_run_of_a_sweep_is_left_out_and_a_missing_one_ignored(runs: Path) -> None:
    listed = [{"run": str(runs / name)} for name in ("r0", "r1", "r2", "never")]
    (runs / "sweep.json").write_text(json.dumps({"jobs": listed}))
    (runs / "r1" / "status.json").unlink()
    document = compare(CompareRequest((str(runs),))).to_dict()
    assert [run["run"] for run in document["runs"]] == ["r0", "r2"]
    assert document["left_out"]["runs"] == {str(runs / "r1"): "status.json is missing"}


def test_configuration_alone_is_not_a_broken_run(runs: Path) -> None:
    (runs / "conf").mkdir()
    (runs / "conf" / "config.yaml").write_text("a: 1\n")
    assert compare(CompareRequest((str(runs),))).to_dict()["left_out"]["runs"] == {}


def test_run_with_permission_error_is_left_out(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.scandir

    def scandir(path: Any = ".") -> Any:
        if str(path).endswith("r1"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(os, "scandir", scandir)
    document = compare(CompareRequest((str(runs / "r*"),))).to_dict()
    assert document["left_out"]["runs"] == {str(runs / "r1"): "Permission denied"}


@needs_user
@pytest.mark.parametrize("hidden", ["r1", "r1/status.json", "r1/config.yaml", "r1/measures.json"])
def test_run_without_read_permission_is_left_out(runs: Path, hidden: str) -> None:
    (runs / hidden).chmod(0)
    try:
        for name in (str(runs), str(runs / "*")):
            assert [*compare(CompareRequest((name,))).to_dict()["left_out"]["runs"]] == [str(runs / "r1")]
    finally:
        (runs / hidden).chmod(0o700)
