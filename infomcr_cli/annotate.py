"""The commands `tag` and `note`: what a user notes of a run, in its directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from infomcr_cli.console.suggestions import shortest_path, suggested_command
from infomcr_cli.console.text import printable
from infomcr_cli.runs import RunDirectory
from infomcr_cli.runs.annotations import Annotations, parse_tags, read_annotations, write_annotations


@dataclass(frozen=True)
class AnnotatedRun:
    """A run with its tags and note.

    Args:
        is_changed: whether they were changed just now.
    """

    run: RunDirectory
    annotations: Annotations
    is_changed: bool

    @property
    def exit_code(self) -> int:
        """0: done."""
        return 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document."""
        place = {"run": self.run.name, "path": printable(str(self.run.path), 4096)}
        return {**place, "tags": dict(self.annotations.tags), "note": self.annotations.note or None}

    def renderables(self, width: int) -> Iterator[Text | str]:
        """Yield the tags, the note, and how they reach MLflow."""
        yield f"{self.run.name}  {self.annotations.tags_text or 'no tags'}"
        if self.annotations.note:
            yield Text(self.annotations.note)
        if self.is_changed:
            yield f"`{suggested_command('sync', shortest_path(self.run.path))}` copies them to MLflow."


def tag_run(path: Path | str, words: Sequence[str], remove: Sequence[str] = ()) -> AnnotatedRun:
    """Tag a run; without words show its tags.

    Args:
        words:  NAME or NAME=VALUE.
        remove: names of tags to take away.

    Raises:
        InputError: there is no such run, or a tag cannot be used.
    """
    run = RunDirectory.open(path)
    if not words and not remove:
        return AnnotatedRun(run, read_annotations(run), is_changed=False)
    return AnnotatedRun(run, write_annotations(run, tags=parse_tags(words), remove=remove), is_changed=True)


def note_run(path: Path | str, text: str | None) -> AnnotatedRun:
    """Give a run a note in place of the former one; without a text show it, with an empty one remove it.

    Raises:
        InputError: there is no such run, or the text is too long.
    """
    run = RunDirectory.open(path)
    if text is None:
        return AnnotatedRun(run, read_annotations(run), is_changed=False)
    return AnnotatedRun(run, write_annotations(run, note=text), is_changed=True)
