"""Query git about a repository without running a program that the repository names."""

from __future__ import annotations

import subprocess
from pathlib import Path

SECONDS = 3.0  # that git may take for each of its answers
_SAFE = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false")
# Without the work trees of submodules, in which git would run the programs that their own configuration names.
DIFF = ("diff", "HEAD", "--no-color", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty")


def git_command(*arguments: str) -> list[str]:
    """Return a command of git that runs no hook, no monitor of files, and takes no lock."""
    return ["git", *_SAFE, "--no-optional-locks", *arguments]


def diff_command(folder: Path, *arguments: str) -> list[str]:
    """Return the command that compares a work tree with its commit, as the files are: no filter of it is run.

    Raises:
        OSError: git cannot be run, or a filter has a name that cannot be turned off.
    """
    listed = git_command("config", "--name-only", "-z", "--get-regexp", r"^filter\.")
    try:
        answer = subprocess.run(listed, cwd=folder, capture_output=True, timeout=SECONDS).stdout.decode()
    except (subprocess.SubprocessError, UnicodeDecodeError) as error:
        raise OSError(f"the filters of git are not known: {error}") from error
    options: list[str] = []
    for key in sorted(filter(None, answer.split("\0"))):
        if "=" in key:
            raise OSError(f"a filter of git cannot be turned off: {key}")
        options += ["-c", f"{key}=false" if key.endswith(".required") else f"{key}="]
    return git_command(*options, *DIFF, *arguments)
