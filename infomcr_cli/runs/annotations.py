"""Tags and the note that a user gives a run: annotations.json in its directory."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from infomcr_cli.console.redaction import redact
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import dump_json, parse_record
from infomcr_cli.runs.io.safe_files import write_atomically
from infomcr_cli.runs.lock import locked_file

FILE = "annotations.json"
FORMAT = 1
MAX_FILE = 1024 * 1024
MAX_TAGS, MAX_VALUE, MAX_NOTE = 100, 500, 4000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./ -]{0,99}")
_RESERVED = ("mlflow.", "infomcr.")  # names of tags that have a meaning of their own in MLflow


class Annotations(BaseModel):
    """What a user noted of a run.

    Args:
        tags: name → value, "true" where none was given.
        note: a text; empty: none.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    tags: Annotated[
        dict[Annotated[str, Field(max_length=200)], Annotated[str, Field(max_length=2 * MAX_VALUE)]],
        Field(max_length=MAX_TAGS),
    ] = {}
    note: Annotated[str, Field(max_length=2 * MAX_NOTE)] = ""

    @property
    def tags_text(self) -> str:
        """The tags in a line, such as "good quality=high"."""
        return " ".join(name if value == "true" else f"{name}={value}" for name, value in self.tags.items())


def read_annotations(run: RunDirectory) -> Annotations:
    """Return what annotations.json holds, safe to print; without the file, nothing.

    Raises:
        InputError: it is not what this program writes.
    """
    what = f"{FILE} of {run.name}"
    try:
        found = parse_record(run.read(FILE, MAX_FILE), what, Annotations, command="tag")
    except FileNotFoundError:
        return Annotations()
    tags = {printable(name, 100): printable(value, MAX_VALUE) for name, value in found.tags.items()}
    return Annotations(tags=tags, note=_clean_note(found.note))


def write_annotations(
    run: RunDirectory, *, tags: Mapping[str, str] | None = None, remove: Sequence[str] = (), note: str | None = None
) -> Annotations:
    """Add tags to a run, take some away, or replace its note; return what it has then.

    Args:
        note: empty: the run has none any more; None: it stays as it is.

    Raises:
        InputError: a name is none, a tag to remove is not there, or something is too long.
    """
    for name, value in (tags or {}).items():
        _check_tag(name, value)
    if note is not None and len(note) > MAX_NOTE:
        raise InputError(f"a note must have at most {MAX_NOTE} characters", received=f"{len(note)} characters")
    with locked_file(run.path / ".annotations.lock"):
        known = read_annotations(run)
        for name in remove:
            if name not in known.tags:
                raise InputError(f"{run.name} does not have this tag", received=name, accepted=known.tags)
        added = {name: printable(redact(value), MAX_VALUE) for name, value in (tags or {}).items()}
        kept = {name: value for name, value in sorted({**known.tags, **added}.items()) if name not in remove}
        if len(kept) > MAX_TAGS:
            raise InputError(f"a run can have at most {MAX_TAGS} tags", received=len(kept))
        text = known.note if note is None else _clean_note(redact(note.strip()))
        write_atomically(run.path / FILE, dump_json({"format": FORMAT, "tags": kept, "note": text}))
    return Annotations(tags=kept, note=text)


def parse_tags(words: Sequence[str]) -> dict[str, str]:
    """Return the tags that words state.

    Examples:
        >>> parse_tags(["good", "quality=high"])
        {'good': 'true', 'quality': 'high'}
    """
    pairs = (word.partition("=") for word in words)
    return {name.strip(): value.strip() if sign else "true" for name, sign, value in pairs}


def is_tag_name(name: str) -> bool:
    """Return whether MLflow takes a tag of this name, which must be a plain path, and it has no meaning of its own."""
    return bool(_NAME.fullmatch(name)) and not name.startswith(_RESERVED) and posixpath.normpath(name) == name


def _check_tag(name: str, value: str) -> None:
    if not is_tag_name(name):
        raise InputError(
            "a tag has at most 100 letters, digits, spaces and _ . / -, does not start with mlflow. or infomcr., and "
            "has no empty part, . or .. between slashes",
            received=printable(name),
        )
    if len(value) > MAX_VALUE:
        raise InputError(f"a tag's value must have at most {MAX_VALUE} characters", received=f"{len(value)} characters")


def _clean_note(text: str) -> str:
    """Return a note whose lines are safe to print."""
    return "\n".join(printable(line, MAX_NOTE) for line in text.splitlines())
