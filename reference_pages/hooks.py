"""What MkDocs calls while it builds the site: pages from the program and from files beside `docs/` are added."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from reference_pages import api, commands, examples, settings

ROOT = Path(__file__).resolve().parents[1]
GENERATED: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands.page,
    "reference/settings.md": settings.page,
    "reference/api.md": api.page,
    "tutorials/examples.md": examples.page,
    "changelog.md": lambda: _beside("CHANGELOG.md"),
    "contributing.md": lambda: _beside("CONTRIBUTING.md"),
}
# A link out of `docs/` that works where the files are read in the repository → the page of the site.
OUTSIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "examples/": "tutorials/examples.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for uri, page in GENERATED.items():
        files.append(File.generated(config, uri, content=page()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Mend what works where the files are read in the repository, and not on the site."""
    folder = Path(config.docs_dir, page.file.src_uri).parent
    depth = page.file.src_uri.count("/")
    return _bars_in_code(_links_inside(_without_missing_tables(markdown, folder), "../" * depth))


def _without_missing_tables(markdown: str, folder: Path) -> str:
    """Return a page that names tables of numbers without a link as long as they are not there."""

    def link(found: re.Match[str]) -> str:
        return found[0] if (folder / found[2]).is_file() else f"`{found[1]}`"

    return re.sub(r"\[([^\]]+)\]\(([\w./-]+\.csv)\)", link, markdown)


def _links_inside(markdown: str, up: str) -> str:
    """Return a page whose links out of `docs/` lead to the pages that hold the same."""
    for outside, inside in OUTSIDE.items():
        markdown = re.sub(rf"\]\({re.escape(up)}\.\./{re.escape(outside)}", f"]({up}{inside}", markdown)
    return markdown


def _bars_in_code(markdown: str) -> str:
    """Return a page without the backslash that GitHub needs before a bar in the code of a table."""

    def row(found: re.Match[str]) -> str:
        return re.sub(r"`[^`]*`", lambda one: one[0].replace("\\|", "|"), found[0])

    return re.sub(r"(?m)^\|.*$", row, markdown)


def _beside(name: str) -> str:
    """Return a document of the repository's root with its links as a page of the site has them."""
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
