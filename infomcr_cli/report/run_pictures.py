"""Pictures that commands have left in the directory of a run: landscapes, paths, spectra, audits.

Whoever made the directory may have drawn them. So an SVG is never put into the page itself: as an image with a data
URL, a browser runs no script of it and loads nothing for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from infomcr_cli.console.redaction import redact
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.report.tables import format_number
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import parse_json

MOST, LARGEST, LARGEST_SUM = 60, 8 * 2**20, 40 * 2**20  # pictures; bytes of one, and of all
MOST_FACTS = 12
_SKIPPED = {"checkpoints"}
_NO_FACTS = {"folder", "title", "caption", "alt", "format"}
_PNG = b"\x89PNG\r\n\x1a\n"
_TITLES = {"audit": "Fragility of the measures: how much each changes when something changes that should not matter"}


@dataclass(frozen=True)
class FoundPicture:
    """A picture in the directory of a run.

    Attributes:
        file:    inside the directory, with forward slashes.
        title:   what it is called.
        alt:     what it shows, for someone who cannot see it.
        facts:   name → text, from the document beside it.
        content: the picture.
        kind:    of its data URL: svg+xml or png.
    """

    file: str
    title: str
    alt: str
    content: bytes
    kind: str
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The folder in the run's directory that it is in."""
        return str(PurePosixPath(self.file).parent)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"file": self.file, "title": self.title, "alt": self.alt, "facts": dict(self.facts)}


def found_pictures(run: RunDirectory) -> tuple[list[FoundPicture], list[str]]:
    """Return the pictures of a run by folder and name, one of each name, and sentences on those that are left out.

    The title and the words for someone who cannot see a picture are under `pictures` in a JSON document of the same
    folder, or in the document of the picture's own name.
    """
    pictures: list[FoundPicture] = []
    left_out: list[str] = []
    room = LARGEST_SUM
    for folder in _folders(run.path):
        documents = _documents(run, folder)
        for stem, names in _by_stem(folder).items():
            if len(pictures) == MOST or room <= 0:
                return pictures, [*left_out, f"More than {len(pictures)} pictures are not shown."]
            found, why = _read(run, folder, names)
            if found is None:
                left_out.append(f"{_inside(run, folder, names[0])} is not shown: {why}.")
                continue
            room -= len(found[0])
            pictures.append(_described(run, folder, stem, found, documents))
    return pictures, left_out


def _folders(root: Path) -> list[Path]:
    """Return the folders that hold PNG or SVG files, without hidden ones and checkpoints; none is a link."""
    found = {path.parent for path in root.rglob("*") if path.suffix in (".svg", ".png") and not path.is_symlink()}
    return sorted(
        one
        for one in found
        if not any(part.startswith(".") or part in _SKIPPED for part in one.relative_to(root).parts)
    )


def _by_stem(folder: Path) -> dict[str, list[str]]:
    """Return the files of each picture, its SVG before its PNG."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir(), key=lambda one: (one.stem, one.suffix != ".svg")):
        if path.suffix in (".svg", ".png") and not path.name.startswith(".") and path.is_file():
            found.setdefault(path.stem, []).append(path.name)
    return found


def _read(run: RunDirectory, folder: Path, names: list[str]) -> tuple[tuple[bytes, str, str] | None, str]:
    """Return content, kind and name of the first file that is a picture, else why there is none."""
    why = ""
    for name in names:
        try:
            content = run.read(_inside(run, folder, name), LARGEST)
        except (InputError, OSError) as error:
            why = printable(str(error).rstrip("."), 200)
            continue
        if name.endswith(".png") and content.startswith(_PNG):
            return (content, "png", name), ""
        # nested entities of a few bytes can expand to gigabytes
        if name.endswith(".svg") and b"<svg" in content and b"<!ENTITY" not in content:
            return (content, "svg+xml", name), ""
        why = f"it is not a {name[-3:].upper()} file"
    return None, why


def _described(
    run: RunDirectory,
    folder: Path,
    stem: str,
    found: tuple[bytes, str, str],
    documents: Mapping[str, Mapping[str, Any]],
) -> FoundPicture:
    content, kind, name = found
    own = documents.get(stem, {})
    listed = [(one, named) for one in documents.values() if isinstance(named := one.get("pictures"), dict)]
    words = next((named[stem] for _, named in listed if isinstance(named.get(stem), dict)), own)
    title = _text(words, "title") or _text(words, "caption") or _known_title(stem)
    about = own or next((one for one, named in listed if stem in named), {})
    alt = _text(words, "alt") or title
    return FoundPicture(_inside(run, folder, name), title, alt, content, kind, _facts(about))


def _documents(run: RunDirectory, folder: Path) -> dict[str, Mapping[str, Any]]:
    """Return the JSON objects of a folder by the names of their files; what cannot be read is skipped."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            document = parse_json(run.read(_inside(run, folder, path.name), LARGEST), path.name)
        except (InputError, OSError):
            continue
        if isinstance(document, dict):
            found[path.stem] = document
    return found


def _facts(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the barriers that a document states, then its first few numbers and words."""
    facts = {
        printable(str(name).replace("_", " "), 60): _shown(value)
        for name, value in (*_barriers(document), *document.items())
        if isinstance(value, int | float | str) and value != "" and name not in _NO_FACTS
    }
    return dict(list(facts.items())[:MOST_FACTS])


def _barriers(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    barriers = document.get("barriers")
    for kind, values in barriers.items() if isinstance(barriers, dict) else ():
        for name, one in values.items() if isinstance(values, dict) else ():
            if isinstance(one, dict) and one.get("value") is not None:
                yield f"barrier of {name} ({kind})", one["value"]


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return format_number(value, 4)
    return printable(redact(value if isinstance(value, str) else json.dumps(value)), 120)


def _text(document: Mapping[str, Any], name: str) -> str:
    found = document.get(name)
    return printable(redact(found), 1000) if isinstance(found, str) else ""


def _known_title(stem: str) -> str:
    if stem.startswith("spectrum-"):
        return f"Spectrum of the Gram matrix, checkpoint {printable(stem.removeprefix('spectrum-'), 100)}"
    return _TITLES.get(stem, printable(stem, 100))


def _inside(run: RunDirectory, folder: Path, name: str) -> str:
    return (folder / name).relative_to(run.path).as_posix()
