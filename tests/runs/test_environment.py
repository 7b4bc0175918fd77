"""The environment is described without giving anything away."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from infomcr_cli.runs import RunDirectory, write_environment
from infomcr_cli.runs.environment import git_commit


def test_versions_are_there_and_secrets_are_not(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_TOKEN", "s3cr3t-t0ken")
    write_environment(run, ["CPU:0"], "oneDNN")
    text = run.environment.read_text()
    record = json.loads(text)
    assert record["devices"] == ["CPU:0"]
    assert record["kernels"] == "oneDNN"
    assert record["packages"]["numpy"]
    assert record["cores"] >= 1
    assert "s3cr3t" not in text
    assert str(Path.home()) not in text


def test_commit_says_whether_the_tree_differs(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    (tmp_path / "a").write_text("1")
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for arguments in (["init", "-q"], ["add", "a"], [*identity, "commit", "-q", "-m", "a"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    commit = git_commit(tmp_path)
    assert commit is not None
    assert len(commit) == 40
    (tmp_path / "a").write_text("2")
    assert git_commit(tmp_path) == f"{commit}+changes"
