"""The tags and the text of a page."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if not self.found or self.found[-1][0] not in ("script", "style"):
            self.text += data


def parsed(path: Path) -> Tags:
    parser = Tags()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def text_of(path: Path) -> str:
    return parsed(path).text


def check_page_is_closed(path: Path) -> None:
    """Check that a page makes no request, runs no script but its own, and that its policy names that very script."""
    page, content = parsed(path), path.read_text(encoding="utf-8")
    tags = [tag for tag, _ in page.found]
    assert not {*tags} & {"iframe", "object", "embed", "form", "base", "foreignobject", "image", "audio", "video"}
    scripts = [attributes.get("type") for tag, attributes in page.found if tag == "script"]
    assert scripts == ["application/json", None]  # data, and the page's own script
    assert tags.count("style") == 1
    for tag, attributes in page.found:
        assert not any(name.startswith("on") or name == "style" for name in attributes), tag
        assert (attributes.get("src") or "data:").startswith("data:"), tag
        address = attributes.get("href") or "#"
        assert not urlsplit(address).scheme or address == "data:," or address.startswith("http://127.0.0.1:5000/"), tag
    policy = next(one["content"] or "" for _, one in page.found if "http-equiv" in one)
    parts = dict(part.split(maxsplit=1) for part in policy.split(";"))
    assert parts["default-src"] == "'none'"
    for tag in ("script", "style"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", content, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert parts[f"{tag}-src"] == f"'sha256-{digest}'"
