"""Slurm's commands without a cluster: tests say what becomes of the tasks."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infomcr_cli.engine import slurm_queue
from infomcr_cli.engine.slurm_queue import SlurmError

_SBATCH = """#!/bin/sh
# Accepts a script as the file `answer` says: its exit code, and what it prints on standard error.
folder={folder}
if [ -s $folder/answer ]; then cat $folder/answer >&2; [ -e $folder/taken ] || exit 1; fi
number=$(($(ls $folder/scripts | wc -l) + 1))
cp "$1" $folder/scripts/$number
env | cut -d= -f1 > $folder/variables
[ -s $folder/answer ] && exit 1
echo "Submitted batch job $number"
"""


@dataclass
class FakeSlurm:
    """Arrays that were submitted, and the states that a test gives their tasks.

    Args:
        states: by task; one that is missing waits, an empty one is not shown.
        reason: why the others wait.
    """

    folder: Path
    states: dict[str, str] = field(default_factory=dict)
    commands: list[tuple[str, ...]] = field(default_factory=list)
    most_tasks: int = 1001
    reason: str = "Priority"
    is_away: bool = False
    forgets: bool = False

    @classmethod
    def installed(cls, folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
        """Put the commands first on the path, and answer the others in this process."""
        fake = cls(folder)
        (folder / "scripts").mkdir(parents=True)
        for name in ("sbatch", "squeue", "scancel", "scontrol", "srun"):
            program = folder / name
            program.write_text(_SBATCH.format(folder=folder) if name == "sbatch" else "#!/bin/sh\nexit 1\n")
            program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(slurm_queue, "_run", fake.run)
        return fake

    def refuse(self, message: str, *, takes: bool = False) -> None:
        """Let `sbatch` fail with a message, after it has taken the array if `takes`; an empty one lets it work."""
        (self.folder / "answer").write_text(message)
        (self.folder / "taken").unlink(missing_ok=True)
        if takes:
            (self.folder / "taken").touch()

    def scripts(self) -> list[str]:
        """Return the submitted scripts in their order."""
        return [path.read_text() for path in sorted((self.folder / "scripts").iterdir(), key=lambda one: int(one.name))]

    def run(self, *words: str, seconds: float = 0) -> str:
        """Answer a command as Slurm does."""
        self.commands.append(words)
        if self.is_away:
            raise SlurmError(f"{words[0]}: Unable to contact slurm controller")
        if words[0] == "squeue":
            return "\n".join(self._listed(words))
        if words[:2] == ("scontrol", "requeue"):
            if self.forgets:
                raise SlurmError("scontrol: Invalid job id specified")
            self.states[words[2]] = "PENDING"
        if words[0] == "scancel":
            self.states |= dict.fromkeys(words[2:], "CANCELLED")
        return f"MaxArraySize            = {self.most_tasks}\n" if words[:2] == ("scontrol", "show") else ""

    def _listed(self, words: tuple[str, ...]) -> list[str]:
        names = [word.removeprefix("--name=") for word in words if word.startswith("--name=")]
        ids = next((word.removeprefix("--jobs=").split(",") for word in words if word.startswith("--jobs=")), None)
        lines = []
        for number, script in enumerate(self.scripts(), 1):
            (name,), (last,) = re.findall(r"--job-name=(\S+)", script), re.findall(r"--array='?0-(\d+)", script)
            if (names and name not in names) or (ids is not None and str(number) not in ids):
                continue
            tasks = {f"{number}_{index}": index for index in range(int(last) + 1)}
            shown = {index: self.states.get(task, "PENDING") for task, index in tasks.items()}
            waiting = ",".join(str(index) for index, state in shown.items() if state == "PENDING")
            begun = {index: state for index, state in shown.items() if state not in ("", "PENDING")}
            lines += [f"{number}|{index}|{state}|n1|None|{name}" for index, state in begun.items()]
            lines += [f"{number}|{waiting}%2|PENDING||{self.reason}|{name}"] if waiting else []
        return lines
