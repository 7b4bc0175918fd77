"""A run's settings as YAML in which a comment says what each setting means."""

from __future__ import annotations

import re

from infomcr_cli.config.reference import settings, settings_of
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.yaml_text import as_document, to_yaml

_KEY = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z_]\w*):")


def to_explained_yaml(config: RunConfig) -> str:
    """Return the resolved settings as YAML, with the meaning of each setting as a comment.

    A setting whose name is enough has no comment. Reading the text gives the same settings as without comments.
    """
    meanings = _meanings(config)
    lines, path = list[str](), list[tuple[int, str]]()
    for line in to_yaml(config).decode().splitlines():
        if found := _KEY.match(line):  # the items of a list and the later lines of a text do not match
            indent = len(found["indent"])
            path = [*(part for part in path if part[0] < indent), (indent, found["key"])]
        meaning = meanings.pop(".".join(key for _, key in path), "") if found else ""
        lines.append(f"{line}  # {meaning}" if meaning else line)
    return "\n".join(lines) + "\n"


def _meanings(config: RunConfig) -> dict[str, str]:
    """Return a dict from each setting to its meaning for the choices of this run."""
    meanings = {one.name: one.meaning for one in settings()}
    for group, record in as_document(config).items():
        if isinstance(record, dict) and "name" in record:
            meanings |= {one.name: one.meaning for one in settings_of(group, str(record["name"]))}
    return meanings
