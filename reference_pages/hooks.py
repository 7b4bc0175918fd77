"""What MkDocs calls while it builds the site: pages from the program and from files beside `docs/` are added."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
# Pages of the navigation that may be missing: it names them before they are written.
EXPECTED = {"paths.md"}
# A link out of `docs/` that works where the files are read in the repository → the page of the site.
OUTSIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "examples/": "tutorials/examples.md"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave expected pages that do not exist yet out of the navigation."""
    config.nav = _existing(config.nav, Path(config.docs_dir))
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for uri, page in GENERATED.items():
        files.append(File.generated(config, uri, content=page()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links out of `docs/` to the pages that hold the same; name tables that are not there yet without a link."""
    folder = Path(page.file.src_dir or ".", page.file.src_uri).parent
    markdown = re.sub(
        r"\[([^\]]+)\]\(([\w./-]+\.csv)\)",
        lambda found: found[0] if (folder / found[2]).is_file() else f"`{found[1]}`",
        markdown,
    )
    up = "../" * page.file.src_uri.count("/")
    for outside, inside in OUTSIDE.items():
        markdown = re.sub(rf"\]\({re.escape(up)}\.\./{re.escape(outside)}", f"]({up}{inside}", markdown)
    return markdown


def _beside(name: str) -> str:
    """Return a document of the repository's root with its links as a page of the site has them."""
    return (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")


def _existing(nav: Any, docs: Path) -> Any:
    if isinstance(nav, list):
        return [kept for one in nav if (kept := _existing(one, docs))]
    if isinstance(nav, dict):
        return {title: kept for title, one in nav.items() if (kept := _existing(one, docs))}
    return None if nav in EXPECTED and not (docs / nav).is_file() else nav
