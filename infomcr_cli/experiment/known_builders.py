"""Which functions of their own a user has named for which run or folder, so that they need not be named again.

A run directory may come from anyone, so that a function that it names is called only if the user named it. What was
named once is noted in the user's own folder: the place and the unique id of the run, the function, its settings, the
place of its source and the hash of it. A copy of the run, a directory of someone else, other settings, a copy of the
source beside other modules or a changed source are not known.

A folder `conf/` in the working directory may come from anyone too. For it the function and its source are noted, and
not its settings: presets are there to be changed.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from infomcr_cli.config.allowed_builders import GROUPS, trusted, trusted_groups
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.search_path import user_conf
from infomcr_cli.console.text import printable
from infomcr_cli.models.custom import check_trusted
from infomcr_cli.models.module_source import source_digest, source_place
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.status import read_status_file
from infomcr_cli.user_folders import state_folder

_log = logging.getLogger("infomcr.runs")
Key = Callable[[RunConfig, str], str]  # a run's settings, group → what is noted besides the source


def remember_builders(run: RunDirectory, config: RunConfig) -> None:
    """Note the functions that the user has named for a run; if the home cannot be written to, nothing is noted."""
    _remember(config, partial(_key, run))


def _remember(config: RunConfig, key: Key) -> None:
    for group in trusted_groups(config):
        source = _source(config, group)
        line = f"{key(config, group)} {source}"
        if source is None or line in _lines():
            continue
        try:
            _file().parent.mkdir(parents=True, exist_ok=True)
            with open(_file(), "a", encoding="ascii") as file:
                file.write(f"{line}\n")
        except OSError:
            _log.info("the folder %s is not writable", _file().parent)


def with_known_builders(run: RunDirectory, config: RunConfig) -> RunConfig:
    """Return settings in which the functions count as named that the user named for this run before; note new ones.

    If the source of such a function has changed since, that is said, and the function does not count as named.
    """
    return _with_known(config, partial(_key, run))


def with_known_presets(config: RunConfig) -> RunConfig:
    """Return a new run's settings in which a function of `conf/` counts as named if the user named it there before.

    Functions that are named now are noted.

    Raises:
        InputError: only `conf/` names a function.
    """
    folder = user_conf()
    if folder is not None:
        config = _with_known(config, partial(_preset_key, folder))
    for group in GROUPS:
        if (builder := _builder(config, group)) is not None:
            check_trusted(builder, trusted=group in trusted_groups(config), setting=f"{group}.builder")
    return config


def _with_known(config: RunConfig, key: Key) -> RunConfig:
    _remember(config, key)
    unnamed = [group for group in GROUPS if group not in trusted_groups(config) and _builder(config, group)]
    lines = _lines() if unnamed else []
    known = [group for group in unnamed if f"{key(config, group)} {_source(config, group)}" in lines]
    for group in set(unnamed) - set(known):
        if any(line.startswith(key(config, group)) for line in lines):
            function = printable(str(_builder(config, group)))
            _log.warning("The source of %s.builder=%s has changed since you named it.", group, function)
    return trusted(config, known) if known else config


def _key(run: RunDirectory, config: RunConfig, group: str) -> str:
    own: Any = getattr(config, group)
    named = [str(run.path), read_status_file(run.path).uid, group, own.builder, own.settings, _place(config, group)]
    return _hashed(named)


def _preset_key(folder: Path, config: RunConfig, group: str) -> str:
    return _hashed(["conf", str(folder), group, _builder(config, group), _place(config, group)])


def _place(config: RunConfig, group: str) -> str | None:
    return source_place((_builder(config, group) or "").partition(":")[0])


def _hashed(named: list[Any]) -> str:
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode(errors="surrogatepass")).hexdigest()


def _builder(config: RunConfig, group: str) -> str | None:
    builder = getattr(getattr(config, group), "builder", None)
    return builder if isinstance(builder, str) else None


def _source(config: RunConfig, group: str) -> str | None:
    return source_digest((_builder(config, group) or "").partition(":")[0])


def _lines() -> list[str]:
    try:
        return _file().read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []


def _file() -> Path:
    return state_folder() / "builders"
