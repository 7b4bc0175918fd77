"""Push the description of a run to MLflow: name, parameters, tags, and files as artifacts."""

from __future__ import annotations

import json
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from infomcr_cli.config import flat_settings
from infomcr_cli.console.redaction import has_secret, redact
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.console.text import printable
from infomcr_cli.runs.annotations import is_tag_name, read_annotations
from infomcr_cli.runs.code_changes import PATCH
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.identity import settings_of_identity
from infomcr_cli.runs.io.safe_documents import parse_json, parse_yaml
from infomcr_cli.runs.status import Status
from infomcr_cli.tracking.client import HOST, KIND, MAX_NAME, MAX_TAG, Progress, origin_tags
from infomcr_cli.tracking.moved_store import DIRECTORY_TAG

IDENTITY = "infomcr.identity"
NOTED, OWN = "infomcr.note", "infomcr.own_tags"
MAX_PARAM, PARAMS_A_BATCH = 6000, 100  # of MLflow
ARTIFACT_SUFFIXES = {".png", ".svg", ".csv", ".json", ".npz"}
DESCRIPTIONS = {"config.yaml", "overrides.yaml", "environment.json", PATCH}


def push_description(
    client: Any, run: RunDirectory, status: Status, run_id: str | None, extra: Mapping[str, str]
) -> None:
    """Push a run's settings as parameters, and its tags; rename the MLflow run if the directory was renamed."""
    from mlflow.entities import Param, RunTag

    config = parse_yaml(run.read_config(), f"config.yaml of {run.name}")
    known = client.get_run(run_id)
    _follow_renaming(client, run, status, known)
    settings = settings_of_identity(flatten(config))
    params = [Param(key, value) for key, value in settings.items() if key not in known.data.params]
    own = {IDENTITY: status.identity, DIRECTORY_TAG: str(run.path), HOST: socket.gethostname(), KIND: "run"}
    origin = origin_tags("train" if status.label is None else "sweep", _note(run, config))
    origin = {key: value for key, value in origin.items() if key not in known.data.tags}  # a user may edit them
    chosen = {f"infomcr.{printable(key, 100)}": name for key, name in flat_settings.chosen_names(config).items()}
    tags = {**chosen, **_commit(run), **own, **extra}
    tags = {**origin, **{key: printable(value, MAX_TAG - 1) for key, value in tags.items()}}
    noted = _annotations(run, tags)
    for name in _own_tags(known.data.tags) - noted.keys():
        client.delete_tag(run_id, name)
    tags |= noted
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
    for start in range(0, len(params), PARAMS_A_BATCH):
        client.log_batch(run_id, params=params[start : start + PARAMS_A_BATCH])


def _annotations(run: RunDirectory, others: Collection[str]) -> dict[str, str]:
    """Return the user's tags and note as MLflow tags, and a tag with their names, to detect removals later.

    Tags that MLflow refuses are left out; former versions took some.
    """
    noted = read_annotations(run)
    tags = {name: value for name, value in noted.tags.items() if name not in others and is_tag_name(name)}
    tags |= {NOTED: noted.note} if noted.note else {}
    return {**tags, OWN: json.dumps(sorted(tags))} if tags else {}


def _own_tags(tags: Mapping[str, str]) -> set[str]:
    """Return the tags that an earlier mirror wrote for the user."""
    try:
        names = json.loads(tags.get(OWN, "[]"))
    except ValueError:
        return set()
    own = {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
    return {name for name in {*own, OWN} if name in tags}


def name_of(run: RunDirectory, status: Status) -> str:
    """Return the MLflow name of a run: what distinguishes it in its sweep, otherwise its directory's name."""
    return status.label or run.name


def _follow_renaming(client: Any, run: RunDirectory, status: Status, known: Any) -> None:
    """Rename a run whose directory was renamed since it was mirrored, unless a user gave it a name in MLflow."""
    before = Path(known.data.tags.get(DIRECTORY_TAG, run.name)).name
    given = known.info.run_name
    if before != run.name and given in (before, name_of(run, status)):
        client.update_run(known.info.run_id, name=printable(run.name, MAX_NAME - 1))


def _note(run: RunDirectory, config: Any) -> str:
    """Return a description of a run: what was trained on what, and the command to repeat it."""
    names = flat_settings.chosen_names(config)
    trained, data, reg = (names.get(group, "?") for group in ("model", "data", "reg"))
    command = suggested_command("train", *_overrides(run))
    return f"{trained} on {data}, regularizer {reg}.\n\n    {command}"


def _overrides(run: RunDirectory) -> list[str]:
    try:
        found = parse_yaml(run.read("overrides.yaml"), f"overrides.yaml of {run.name}")
    except FileNotFoundError:
        return []
    return [printable(text) for text in found if isinstance(text, str)] if isinstance(found, list) else []


def flatten(settings: Any) -> dict[str, str]:
    """Return nested settings as dotted names, with values cut to MLflow's limit (config.yaml has the full values).

    Example: flatten({"reg": {"alpha": 1e-4}}) is {"reg.alpha": "0.0001"}.
    """
    found: dict[str, str] = {}
    for name, value in flat_settings.flatten(settings).items():
        allowed = "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name.rstrip("."))[:250]
        if allowed:
            found[allowed] = printable(redact(str(value)), MAX_PARAM - 1)
    return found


def _commit(run: RunDirectory) -> dict[str, str]:
    try:
        record = parse_json(run.read("environment.json"), f"environment.json of {run.name}")
    except FileNotFoundError:
        return {}
    commit = record.get("commit") if isinstance(record, dict) else None
    return {"mlflow.source.git.commit": str(commit).removesuffix("+changes")} if commit else {}


def push_artifacts(client: Any, run: RunDirectory, progress: Progress) -> None:
    """Upload the files that have changed since the last upload by this process."""
    for path in _artifacts(run):
        info = path.stat()
        stamp = (info.st_size, info.st_mtime_ns)
        relative = str(path.relative_to(run.path))
        if progress.sent.get(relative) != stamp:
            _push_artifact(client, path, relative, str(progress.run_id))
            progress.sent[relative] = stamp


def _push_artifact(client: Any, path: Path, relative: str, run_id: str) -> None:
    """Upload a file, without the secrets of the user's environment."""
    if relative in DESCRIPTIONS and has_secret(text := path.read_text(encoding="utf-8", errors="replace")):
        client.log_text(run_id, redact(text), relative)
    else:
        folder, _, _ = relative.rpartition("/")
        client.log_artifact(run_id, str(path), folder or None)


def _artifacts(run: RunDirectory) -> list[Path]:
    plots = sorted([*run.plots.glob("*"), *run.landscapes.glob("*/*")])
    plots = [path for path in plots if path.suffix in ARTIFACT_SUFFIXES and not path.name.startswith(".")]
    files = [run.config, run.overrides, run.environment, run.measures, run.path / PATCH, *plots]
    return [path for path in files if path.is_file() and not path.is_symlink() and path.name.isprintable()]
