"""Keep the uncommitted changes of the user's repository in the run directory, as a patch.

Together with the commit in environment.json the patch tells which code made a run. It is bounded in size and time and
contains no secrets; without git, or without a change, there is no patch.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from infomcr_cli.console.redaction import redact
from infomcr_cli.console.source_secrets import without_assigned_secrets
from infomcr_cli.runs import git
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.git import diff_command, git_command
from infomcr_cli.runs.io.safe_files import write_atomically

PATCH = "code.patch"
LIMIT = 2**20  # bytes of the whole patch
MAX_FILES, MAX_FILE = 200, 2**17  # of new files, and bytes of one
SOURCE = frozenset({".py", ".pyi", ".sh", ".toml", ".cfg", ".ini", ".yaml", ".yml", ".ipynb"})
_CODE = (".py", ".pyi", ".ipynb")  # in these, a word without quotes is a name and not a text
_PRIVATE = ("**/.env*", "**/*.pem", "**/*.key", "**/id_*", "**/*credentials*", "**/*secret*")


def write_code_changes(run: RunDirectory, folder: Path | None = None) -> None:
    """Write code.patch if the work tree of a folder differs from its commit; otherwise remove an earlier code.patch.

    Args:
        folder: a folder inside the work tree; None: the working directory.
    """
    patch = code_changes(folder or Path.cwd(), besides=run.path.parent)
    if patch:
        write_atomically(run.path / PATCH, patch)
    else:
        (run.path / PATCH).unlink(missing_ok=True)


def code_changes(folder: Path, *, besides: Path | None = None) -> bytes:
    """Return the patch from the last commit of a git work tree to its files; b"" without git or a change.

    Args:
        folder:  inside the work tree.
        besides: a folder whose new files are left out, such as that of the runs.
    """
    top = _answer(folder, git_command("rev-parse", "--show-toplevel")).strip()
    if not top:
        return b""
    root = Path(os.fsdecode(top))
    excluded = [f":(exclude,glob,icase){pattern}" for pattern in _PRIVATE]
    try:
        changed = _answer(root, diff_command(root, "--", ".", *excluded))
    except OSError:
        return b""
    parts, size = [changed], len(changed)
    for part in _new_files(root, excluded, besides):
        parts.append(part)
        size += len(part)
        if size > LIMIT:
            break
    # Cut to whole lines first: git's output may end inside a secret, and half a secret is not recognized.
    return _without_secrets(_bounded(b"".join(parts)))


def _new_files(root: Path, excluded: list[str], besides: Path | None) -> Iterator[bytes]:
    """Yield a patch for each source file that git neither tracks nor ignores."""
    command = git_command("ls-files", "--others", "--exclude-standard", "-z", "--", ".", *excluded)
    listed = _answer(root, command)
    names = [os.fsdecode(name) for name in listed.split(b"\0") if name]
    plain = (name for name in names if name.isprintable() and '"' not in name)  # in a patch, git quotes other names
    sources = [name for name in plain if PurePosixPath(name).suffix in SOURCE]
    for name in sources[:MAX_FILES]:
        path = root / name
        if path.is_symlink() or not path.is_file() or (besides and path.is_relative_to(besides)):
            continue
        if path.stat().st_size <= MAX_FILE:
            yield _added(name, path.read_bytes())


def _added(name: str, content: bytes) -> bytes:
    """Return the patch that adds a file, as git writes it."""
    if b"\0" in content or not content:
        return b""
    *lines, rest = content.split(b"\n")
    end = b"+" + rest + b"\n\\ No newline at end of file\n" if rest else b""
    count = len(lines) + bool(rest)
    head = f"diff --git a/{name} b/{name}\nnew file mode 100644\n--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,{count} @@\n"
    return head.encode() + b"".join(b"+" + line + b"\n" for line in lines) + end


def _without_secrets(patch: bytes) -> bytes:
    hidden = []
    for text in re.split(r"(?m)^(?=diff --git )", patch.decode(errors="surrogateescape")):  # one text for each file
        first_line = text.partition("\n")[0]  # it ends with the name, which git may write in quotes
        hidden.append(without_assigned_secrets(text, is_code=first_line.rstrip('"').endswith(_CODE)))
    return redact("".join(hidden)).encode(errors="surrogateescape")


def _bounded(patch: bytes) -> bytes:
    if len(patch) <= LIMIT:
        return patch
    whole_lines = patch[:LIMIT].rpartition(b"\n")[0]
    return whole_lines + f"\n# cut here: the changes are larger than {LIMIT} bytes\n".encode()


def _answer(folder: Path, command: list[str]) -> bytes:
    """Return the output of git, cut one byte after the limit; b"" if git fails or takes too long."""
    try:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return b""
    late = threading.Timer(git.SECONDS, process.kill)
    late.start()
    with process:
        assert process.stdout is not None
        answer = process.stdout.read(LIMIT + 1)
        if len(answer) > LIMIT:
            process.kill()
    is_late = not late.is_alive()
    late.cancel()
    return b"" if is_late or (process.returncode and len(answer) <= LIMIT) else answer
