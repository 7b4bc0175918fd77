"""The code blocks of the documents: taken from the pages, and run as a reader would run them.

A comment before a block says how the tests treat it, where that is not by running it as it is printed:

- `<!-- slow: REASON -->`: run by `make test-slow`; the quick tests check its commands and settings alone;
- `<!-- not run: REASON -->`: its commands and settings are checked, nothing is run;
- `<!-- needs: PROGRAMS -->`: run only where these programs or Python packages are, or what else the test says it has;
- `<!-- tests add: WORDS -->`: every `infomcr train` and `sweep` of the block gets these words in place of what they
  set, such as `schedule.epochs=1`; `eval` and `audit` those of `measure.`, all commands of `infomcr` those that begin
  with `--`, and `python` all of them;
- `<!-- tests put trained runs at: PATHS -->`: tiny runs, trained and measured, are put there before;
- `<!-- tests put files: PATHS -->`: files of the repository are copied to the reader's folder before;
- `<!-- tests run before: COMMAND; COMMAND -->`: commands of infomcr that a reader has run long ago;
- `<!-- tests expect exit code: 1 -->`: of each `infomcr` command of the block;
- `<!-- tests type: LINES -->`: what is typed where a command reads, a word a line.

A command that serves until it is stopped runs on a free port until the page ends. What Python assigns to a name in
capitals, such as MODEL_ID, stands for that name in the commands that follow.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer.main
import yaml

from infomcr_cli.cli import app
from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.reference import settings
from tests.cli import Answer, CommandLine, infomcr
from tests.document_shell import Shell, is_for_a_shell, server_of

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n`]*\n(?P<code>.*?)^(?P=indent)```$", re.M | re.S)
MARKS = re.compile(r"(?:<!--[^>]*-->\s*)+\Z")
TREATED = ("slow", "not run", "needs")
PREPARED = ("tests add", "tests put trained runs at", "tests put files", "tests run before")
GIVEN = ("tests type", "tests expect exit code")
KINDS = TREATED + PREPARED + GIVEN
MARK = re.compile(rf"<!-- ({'|'.join(KINDS)}): (.*?) -->", re.S)
TAKES_SETTINGS = re.compile(r"(\$ )?infomcr (train|sweep|eval|audit) ")
ABBREVIATED = {".venv/bin/": "", "INFOMCR_PEERS=/path/to/peers/bin/python ": ""}  # in all pages
FILE = re.compile(r"# (\w+\.py)\n")  # a block that is a file of that name
CONFIGURATION = re.compile(r"# (conf/(\w+)/(\w+)\.yaml)\n")
SHOWN = {"text", "bibtex", "csv", "toml"}  # what no program runs
RUN = {"sh", "console", "python", "yaml", "json"}
FILES = {"mv", "cp", "ls", "cat", "rm"}  # programs that a block may call beside infomcr
QUICK = ("deterministic=false",)  # it holds for a whole process
TINY = (
    *("data.train_size=256", "data.test_size=128", "model=mlp", "model.depth=1", "model.width=8", "schedule.epochs=2"),
    *("measure=fast", "measure.gamma.draws=4", "measure.gamma.draw_size=50", "tracking=off"),
)
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Args:
        line:     where it begins.
        marks:    what the comments before it say: kind → text.
    """

    page: str
    line: int
    language: str
    code: str
    marks: dict[str, str]

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def is_run(self, full: bool, provided: frozenset[str] = frozenset()) -> bool:
        """Return whether the block is run.

        Args:
            full:     what is slow, too.
            provided: what the test has beside installed programs.
        """
        return "not run" not in self.marks and (full or "slow" not in self.marks) and not self.lacks(provided)

    def lacks(self, provided: frozenset[str] = frozenset()) -> list[str]:
        """Return what the block needs and is not there."""
        return [need for need in self.marks.get("needs", "").split() if need not in provided and not _is_there(need)]

    def commands(self, code: str | None = None) -> Iterator[tuple[list[str], bool]]:
        """Yield the words of each command, and whether the page shows that it is refused.

        Args:
            code: the block as it is run here; None: as it is printed.
        """
        lines = re.sub(r"\\\n\s*", "", self.code if code is None else code).splitlines()
        shows = self.language == "console"
        for number, line in enumerate(lines):
            if shows and not line.startswith("$ "):
                continue
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words:
                yield words, shows and any(one.startswith("infomcr: ") for one in lines[number + 1 : number + 2])


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT).as_posix()
    found = []
    for match in BLOCK.finditer(text):
        before = MARKS.search(text[: match.start()])
        marks = {kind: " ".join(said.split()) for kind, said in MARK.findall(before[0] if before else "")}
        indent = match["indent"]
        code = "".join(line.removeprefix(indent) for line in match["code"].splitlines(keepends=True))
        found.append(Block(name, text.count("\n", 0, match.start()) + 1, match["language"], code, marks))
    return found


@dataclass
class Reader:
    """Someone who works through a page in a folder.

    Args:
        put:      puts a trained run at a path.
        full:     run what is marked slow, too.
        provided: what is there beside installed programs, such as `Slurm`.
    """

    command_line: CommandLine
    put: Callable[[Path], None]
    full: bool = False
    provided: frozenset[str] = frozenset()
    shell: Shell = field(default_factory=lambda: Shell(dict(ABBREVIATED)))
    _were_put: set[str] = field(default_factory=set)

    def work_through(self, found: Sequence[Block]) -> dict[str, Any]:
        """Run or check the blocks of a page, one after the other; return the names that its Python leaves behind."""
        names: dict[str, Any] = {"__name__": "__main__"}
        try:
            for block in found:
                if self.runs(block):
                    self._prepare(block)
                kind = {"console": "sh"}.get(block.language, block.language)
                getattr(self, f"_{kind}", self._nothing)(block, names)
        finally:
            self.shell.close()
        return names

    def runs(self, block: Block) -> bool:
        """Return whether the reader runs a block."""
        return block.is_run(self.full, self.provided)

    def _prepare(self, block: Block) -> None:
        for place in block.marks.get("tests put trained runs at", "").split():
            self.put(Path(place))
            self._were_put.add(place)
        for file in block.marks.get("tests put files", "").split():
            shutil.copy(ROOT / file, Path(file).name)
        for command in filter(None, block.marks.get("tests run before", "").split("; ")):
            answer = self.command_line(*shlex.split(command)[1:])
            assert answer.code == 0, f"{block.place}: {command}\n{answer.text}"

    def _nothing(self, block: Block, names: dict[str, Any]) -> None:
        assert block.language in SHOWN, f"{block.place}: name the language of the block: {sorted(RUN | SHOWN)}"

    def _python(self, block: Block, names: dict[str, Any]) -> None:
        code = compile(block.code, block.place, "exec", dont_inherit=True)
        if not self.runs(block):
            return
        if file := FILE.match(block.code):
            Path(file[1]).write_text(block.code)
        else:
            exec(code, names)
            given = {name: value for name, value in names.items() if name.isupper() and isinstance(value, str)}
            self.shell.replaced.update(given)

    def _json(self, block: Block, names: dict[str, Any]) -> None:
        json.loads(block.code)

    def _yaml(self, block: Block, names: dict[str, Any]) -> None:
        """Compose a file of configuration; of a part of one, hold the names to the schema."""
        document = yaml.safe_load(block.code)
        if file := CONFIGURATION.match(block.code):
            Path(file[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(file[1]).write_text(block.code)
            compose_run([f"{file[2]}={file[3]}"], Path("conf"))
            return
        unknown = set(_leaves(document, "")) - {one.name for one in settings()}
        assert not {name for name in unknown if not name.endswith(".name")}, block.place

    def _sh(self, block: Block, names: dict[str, Any]) -> None:
        code = self.shell.here(block.code)
        if self.runs(block):
            code = _without(code, shlex.split(block.marks.get("tests add", "")))
        commands = [(words, is_refused) for words, is_refused in block.commands(code)]
        if not self.runs(block):
            for words, _ in commands:
                if words[0] == "infomcr" and not block.lacks(self.provided):
                    check(words[1:], self.command_line, block.place)
        elif any(is_for_a_shell(words, {"infomcr", *FILES}) and not server_of(words) for words, _ in commands):
            self._in_a_shell(block, code, [words for words, _ in commands])
        else:
            for words, is_refused in commands:
                self._command(block, words, is_refused)

    def _in_a_shell(self, block: Block, code: str, commands: Sequence[Sequence[str]]) -> None:
        """Run a block by bash, or the server in it with what the block exports."""
        serving = [words for words in commands if server_of(words)]
        if serving:
            exports = [line for line in code.splitlines() if line.startswith("export ")]
            for words in serving:
                self.shell.serve(words, exports)
            return
        added = shlex.split(block.marks.get("tests add", ""))
        typed = "".join(f"{line}\n" for line in block.marks.get("tests type", "").split())
        done = self.shell.run(code, {"infomcr": [*added], "python": added}, typed)
        assert done.returncode == 0, f"{block.place}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"

    def _remove_what_was_put(self, words: Sequence[str]) -> None:
        """Remove a run that was put where the page trains one now."""
        place = words[words.index("--run-dir") + 1] if "--run-dir" in words else ""
        if words[0] == "train" and place in self._were_put:
            shutil.rmtree(place)
            self._were_put.remove(place)

    def _command(self, block: Block, words: list[str], is_refused: bool) -> None:
        program, *rest = words
        if server_of(words):
            self.shell.serve(words)
        elif program == "infomcr":
            trains = rest[0] in ("train", "sweep")
            added = shlex.split(block.marks.get("tests add", ""))
            measures = rest[0] in ("eval", "audit")
            more = [word for word in added if trains or word.startswith("--") or (measures and word[:8] == "measure.")]
            more += QUICK if rest[0] == "train" and "--resume" not in rest else ()
            self._remove_what_was_put(rest)
            answer = self.command_line(*rest, *more)
            expected = 2 if is_refused else int(block.marks.get("tests expect exit code", 0))
            assert answer.code == expected, f"{block.place}: {shlex.join(words)}\n{answer.text}"
        else:
            subprocess.run(words, check=True, capture_output=True)


def check(words: Sequence[str], command_line: CommandLine, place: str) -> None:
    """Hold the arguments of a command to the command line, and the settings of a run or a sweep to the schema."""
    if words[0].startswith("-"):
        return
    assert words[0] in COMMANDS, f"{place}: no command {words[0]}"
    context = COMMANDS[words[0]].make_context(words[0], list(words[1:]))
    overrides = [word for word in context.params.get("overrides") or () if "=" in word]
    if words[0] in ("train", "sweep") and overrides:
        option = "--print-config" if words[0] == "train" else "--dry-run"
        with patch("infomcr_cli.engine.slurm_engine.missing_command", return_value=None):  # Slurm need not be here
            answer: Answer = command_line(words[0], *overrides, option)
        assert answer.code == 0, f"{place}: {shlex.join(words)}\n{answer.err}"


def train_tiny_runs(folder: Path) -> list[Path]:
    """Train and measure three runs that differ in the batch size."""
    made = [folder / "first", folder / "second", folder / "third"]
    for path, size in zip(made, (64, 16, 32), strict=True):
        words = (*TINY, *QUICK, f"data.batch_size={size}", "--run-dir", str(path))
        assert infomcr(("train", *words), folder, catch=False).code == 0
        assert infomcr(("eval", str(path)), folder, catch=False).code == 0
    return made


def putter(trained: Sequence[Path]) -> Callable[[Path], None]:
    """Return a function that puts one of some trained runs at a path, in turns."""
    count = iter(range(10**6))

    def put(place: Path) -> None:
        if not place.exists():
            shutil.copytree(trained[next(count) % len(trained)], place)

    return put


def _without(code: str, added: Sequence[str]) -> str:
    """Return commands without the settings for which others are added: a swept setting must be given only once."""
    keys = "|".join(re.escape(word.partition("=")[0]) for word in added if "=" in word)
    if not keys:
        return code
    lines = re.sub(r"\\\n\s*", "", code).splitlines()
    given = re.compile(rf"\s'?({keys})=\S*")
    return "\n".join(given.sub("", line) if TAKES_SETTINGS.match(line) else line for line in lines)


def _is_there(need: str) -> bool:
    return shutil.which(need) is not None or (need.isidentifier() and find_spec(need) is not None)


def _leaves(document: Any, prefix: str) -> Iterator[str]:
    for key, value in document.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
