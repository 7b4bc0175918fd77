"""The tree uses the terms of Keras, MLflow and Optuna: words of its own do not come back."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("infomcr_cli", "conf", "tests", "docs", "benchmarks", "examples", "reference_pages")
FILES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile")
TEXT = {".py", ".md", ".yaml", ".toml", ".jinja", ".js", ".css"}

# former word → the term of the field
WORDS = {
    "desk": "logger",
    "court": "ranking",
    "rivals?": "baseline measures",
    "trainee": "training state",
    "feed": "inputs",
    "beneath": "safe_files",
    "asked": "requested",
    "aside": "not hashed, temporary",
    "lanes?": "slots",
    "adopt(?:ed|s)?": "add_existing",
    "told": "reported, received",
    "closing": "is_closing, close",
    "settled": "converged, resolved, final",
    "nurser(?:y|ies)": "fork server",
    "verdicts?": "ranking result",
    "yardsticks?": "reference",
    "conductors?": "scheduler",
    "strangers?": "untrusted",
    "vanished": "is_lost",
    "front_door": "command line",
    "canvas": "plot style",
    "downhill": "gradient step",
    "inert": "escape_formula",
    "lifelines?": "parent watchdog",
    "passed[_ ]over": "skipped",
    "starred": "mark_mixed",
    "taken[_ ]up": "resumed",
    "timetables?": "schedule",
    "uphill": "normalized ascent",
    "_look(?:ed)?": "evaluation, poll, refresh",
    "look_(?:at|seconds)": "evaluation, eval_seconds",
}
# what is allowed, with the reason
ALLOWED = {
    "in_verdict": "a column of tables that are already written; it is read and written under its old name",
    '"passed_over"': "a key of the JSON of compare",
    "look_seconds": "a key of old metrics files, named where its new name is announced",
    "import closing": "contextlib.closing of the standard library",
    "closing(": "contextlib.closing of the standard library",
    "is_closing": "whether a thread is to end: as in asyncio.Transport.is_closing",
    "parser.feed(": "html.parser.HTMLParser.feed of the standard library",
}


def searched_files() -> Iterator[Path]:
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in TEXT)
    for path in (*inside, *(ROOT / name for name in FILES)):
        if path.is_file() and "__pycache__" not in path.parts and path != Path(__file__).resolve():
            yield path


def house_words(text: str) -> list[str]:
    """Return the former words in a text, whole or as a part of a name in snake case."""
    for allowed in ALLOWED:
        text = text.replace(allowed, "")
    return re.findall(rf"(?<![A-Za-z])(?:{'|'.join(WORDS)})(?![A-Za-z])", text, re.IGNORECASE)


def test_no_file_uses_a_former_word() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{number}": words
        for path in searched_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (words := house_words(line))
    }
    assert not found


def test_no_file_is_named_by_a_former_word() -> None:
    assert not [path for path in searched_files() if house_words(str(path.relative_to(ROOT)))]


def test_the_search_finds_words_inside_of_names() -> None:
    assert house_words("self._desk = told_apart") == ["desk", "told"]
    assert house_words("the desktop, untold, in_verdict") == []
