"""The uncommitted changes of a repository are kept as a patch that leads from the commit to the files."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from infomcr_cli.runs import RunDirectory
from infomcr_cli.runs import code_changes as module
from infomcr_cli.runs import git as git_module
from infomcr_cli.runs.code_changes import code_changes, write_code_changes
from infomcr_cli.runs.environment import git_commit


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "inner").mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / "train.py").write_text("rate = 0.1\nepochs = 3\n")
    (folder / ".gitignore").write_text("ignored.py\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_the_patch_leads_from_the_commit_to_the_files(repository: Path, tmp_path: Path) -> None:
    (repository / "train.py").write_text("rate = 0.2\nepochs = 3\n")
    (repository / "inner" / "net.py").write_text("width = 4")
    (repository / "ignored.py").write_text("x = 1\n")
    (repository / "notes.txt").write_text("not source\n")
    patch = code_changes(repository / "inner")
    git(tmp_path, "clone", "-q", str(repository), "copy")
    (tmp_path / "code.patch").write_bytes(patch)
    git(tmp_path / "copy", "apply", str(tmp_path / "code.patch"))
    assert (tmp_path / "copy" / "train.py").read_text() == "rate = 0.2\nepochs = 3\n"
    assert (tmp_path / "copy" / "inner" / "net.py").read_text() == "width = 4"
    assert b"ignored" not in patch
    assert b"notes" not in patch


def test_without_git_or_without_a_change_there_is_no_patch(
    run: RunDirectory, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert code_changes(tmp_path) == b""
    write_code_changes(run, repository)
    assert not (run.path / "code.patch").exists()
    (repository / "train.py").write_text("rate = 0.2\n")
    write_code_changes(run, repository)
    assert b"+rate = 0.2" in (run.path / "code.patch").read_bytes()
    git(repository, "commit", "-q", "-a", "-m", "second")  # then the run is resumed
    write_code_changes(run, repository)
    assert not (run.path / "code.patch").exists()
    (repository / "train.py").write_text("rate = 0.3\n")
    monkeypatch.setenv("PATH", "")
    assert code_changes(repository) == b""


def test_git_runs_no_program_of_the_repository(repository: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    for folder, name in ((inner, "worse"), (repository, "evil")):
        folder.mkdir(exist_ok=True)
        git(folder, "init", "-q")
        (folder / "data.txt").write_text("1\n")
        (folder / ".gitattributes").write_text(f"* filter={name} diff={name}\n")
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", "second")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "module")
    git(repository, "commit", "-q", "-m", "third")
    mark = f"touch {tmp_path}/executed; cat"
    for folder, name in ((repository / "module", "worse"), (repository, "evil")):
        for key in ("clean", "process", "smudge"):
            git(folder, "config", f"filter.{name}.{key}", mark)
        git(folder, "config", f"diff.{name}.textconv", mark)
        git(folder, "config", f"filter.{name}.required", "true")
        (folder / "data.txt").write_text("2\n")
    assert b"+2" in code_changes(repository)
    assert str(git_commit(repository)).endswith("+changes")
    assert not (tmp_path / "executed").exists()
    git(repository, "config", "filter.a=b.clean", mark)
    (repository / ".gitattributes").write_text("* filter=a=b\n")
    assert code_changes(repository) == b""
    assert not (tmp_path / "executed").exists()


def test_secrets_and_private_files_are_left_out(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_TOKEN", "qZ8dkw02mmAA91x")
    (repository / "train.py").write_text(
        'token = "abcd1234"\nstore = "postgresql://ann:pw77@host/db"\nprint("qZ8dkw02mmAA91x")\nrate = 0.5\n'
    )
    for name in (".env", "server.pem", "inner/.env.local"):
        (repository / name).write_text("PASSWORD=hunter22\n")
    git(repository, "add", "-A")
    patch = code_changes(repository).decode()
    assert "rate = 0.5" in patch
    assert not [secret for secret in ("abcd1234", "pw77", "qZ8dkw02mmAA91x", "hunter22") if secret in patch]


SECRETS = {
    "net.py": """api_key: str = "anno7tated"
os.environ["HUB_KEY_TOKEN"] = "envi8ron"
password = b"byte5string"
secret = '''tri9ple'''
KEY = "AKIAIOSFODNN7EXAMPLE"
pem = '''-----BEGIN RSA PRIVATE KEY-----
MIIEow7lines
AbC8lines
-----END RSA PRIVATE KEY-----'''
token = tokenizer.next_word
""",
    "conf.yaml": "password: un4quoted\ntokens:\n  user: kept\nnested:\n  - api_token: in6list\n",
    "run.sh": "export API_TOKEN=shell3\npassword=$GIVEN\n",
    "setup.cfg": "[pypi]\npassword = con2fig\n",
    "look.ipynb": '{"source": ["api_key = \\"note1book\\"\\n"]}\n',
}
HIDDEN = (
    *("anno7tated", "envi8ron", "byte5string", "tri9ple", "AKIAIOSFODNN7EXAMPLE", "7lines", "8lines"),
    *("un4quoted", "in6list", "shell3", "con2fig", "note1book"),
)


@pytest.mark.parametrize("is_added", [True, False])
def test_secrets_are_hidden_however_a_source_file_spells_them(repository: Path, tmp_path: Path, is_added: bool) -> None:
    for name, text in SECRETS.items():
        (repository / name).write_text(text)
    if is_added:
        git(repository, "add", "-A")
    patch = code_changes(repository)
    assert not [secret for secret in HIDDEN if secret.encode() in patch]
    for kept in (b"token = tokenizer.next_word", b"password=$GIVEN", b"[pypi]", b"user: kept"):
        assert kept in patch
    git(tmp_path, "clone", "-q", str(repository), "copy")
    (tmp_path / "code.patch").write_bytes(patch)
    git(tmp_path / "copy", "apply", str(tmp_path / "code.patch"))


def test_the_patch_is_bounded_and_new_files_of_runs_are_no_code(repository: Path) -> None:
    (repository / "train.py").write_text("".join(f"x{i} = {i}\n" for i in range(200_000)))
    (repository / "runs" / "a").mkdir(parents=True)
    (repository / "runs" / "a" / "config.yaml").write_text("seed: 1\n")
    patch = code_changes(repository, besides=repository / "runs")
    assert len(patch) < module.LIMIT + 100
    assert patch.endswith(b"bytes\n")
    git(repository, "checkout", "-q", "train.py")
    assert code_changes(repository, besides=repository / "runs") == b""


def test_a_git_that_hangs_costs_a_bounded_time(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:/bin:/usr/bin")
    monkeypatch.setattr(git_module, "SECONDS", 0.3)
    began = time.monotonic()
    assert code_changes(repository) == b""
    assert time.monotonic() - began < 5
