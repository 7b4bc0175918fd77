"""The site of documents builds without a warning, lacks no command, option or setting, and asks no other server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer.main

import infomcr_cli
from infomcr_cli.cli import app
from infomcr_cli.config.reference import settings
from infomcr_cli.config.schema.sweep import SweepConfig
from infomcr_cli.config.search_path import group_choices
from reference_pages import api, commands, examples
from reference_pages import settings as settings_page

ROOT = Path(__file__).resolve().parents[1]
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}


class Requests(HTMLParser):
    """What a browser loads for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("rel") != "canonical":
            self.found.append(given.get(LOADED.get(tag, "")) or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder))
        assert config.strict  # a warning ends the build
        config.plugins.run_event("startup", command="build", dirty=False)
        build(config)
        config.plugins.run_event("shutdown")
    return folder


def test_site_builds_without_a_warning_and_with_every_page(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert not [page for page in pages if not (site / page).is_file()]


def test_site_requests_nothing_from_other_servers(site: Path) -> None:
    for path in site.rglob("*.html"):
        parser = Requests()
        parser.feed(path.read_text(encoding="utf-8"))
        assert not [url for url in parser.found if re.match(r"(https?:)?//", url)], path
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(https?:)?//|@import", path.read_text()), path


def test_generated_pages_are_the_same_in_every_process() -> None:
    code = "from reference_pages import commands, settings; print(commands.page(), settings.page())"
    for seed in ("1", "2"):  # of the order of sets
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        made = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert made.stdout == f"{commands.page()} {settings_page.page()}\n"


def test_page_of_commands_lacks_no_command_and_no_option() -> None:
    page = commands.page()
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        section = page.partition(f"\n## infomcr {name}\n")[2].partition("\n## ")[0]
        assert section, f"infomcr {name} is missing"
        shown = [one for one in command.params if not getattr(one, "hidden", False)]
        options = [one for one in shown if one.param_type_name == "option"]
        missing = [word for one in options for word in [*one.opts, *one.secondary_opts] if f"`{word}`" not in section]
        assert not missing, f"infomcr {name}"
        assert not [one.name for one in shown if not one.help], f"infomcr {name}: an option without a help"


def test_page_of_settings_lacks_no_group_choice_or_setting() -> None:
    page = settings_page.page()
    rows = {line.split("|")[1].strip(" `"): line for line in page.splitlines() if line.startswith("| `")}
    assert not [one.name for one in settings() if one.name not in rows]
    assert not [one.name for one in settings() if one.name in rows and rows[one.name].split("|")[4].strip() == ""]
    assert not [name for name in SweepConfig.model_fields if f"sweep.{name}" not in rows]
    for group, choices in group_choices(None).items():
        section = page.partition(f"\n## {group}\n")[2].partition("\n## ")[0]
        assert not [choice for choice in choices if f"`{choice}`" not in section], group


def test_every_setting_has_a_meaning() -> None:
    assert not [one.name for one in settings() if not one.meaning]


def test_page_of_the_python_api_lacks_no_name() -> None:
    page = api.page()
    assert not [name for name in infomcr_cli.__all__ if name[0] != "_" and f".{name}\n" not in page]


def test_page_of_examples_has_every_script() -> None:
    page = examples.page()
    assert not [path.name for path in (ROOT / "examples").glob("*.py") if path.name not in page]
