"""Find a sweep by its name, its folder or the overrides that it was started with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infomcr_cli.console.text import printable
from infomcr_cli.engine.directory import name_of
from infomcr_cli.errors import InputError
from infomcr_cli.runs.io.safe_documents import MAX_DOCUMENT, parse_json
from infomcr_cli.runs.io.safe_files import read_file
from infomcr_cli.runs.surroundings import surroundings


def find_sweep(words: Sequence[str], option: str = "--status") -> tuple[Path, tuple[str, ...]]:
    """Return the folder of a sweep, and the names of the other sweeps if none was named.

    Args:
        words:  the name of a sweep, the path of its folder, or the overrides that it was begun with; none: the sweep
            that was last begun.
        option: the option of the command, for error messages.

    Raises:
        InputError: there is no such sweep.
    """
    settings = dict(word.lstrip("+").split("=", 1) for word in words if "=" in word)
    sweeps = surroundings(settings.get("runs_dir", "runs")) / "sweeps"
    there = [path for path in sweeps.glob("*") if _is_sweep(path)] if sweeps.is_dir() else []
    names = [word for word in words if "=" not in word]
    if len(names) > 1:
        raise InputError(f"{option} takes only one sweep", received=" ".join(map(printable, names)))
    if not words or (set(settings) == {"runs_dir"} and not names):
        if not there:
            raise InputError(f"{option} needs a sweep that was started", received=printable(str(sweeps)))
        last, *others = sorted(there, key=_begun, reverse=True)
        return last, tuple(printable(path.name) for path in others)
    if names and _is_sweep(Path(names[0])):
        return Path(names[0]), ()
    name = names[0] if names else settings.get("sweep.name") or _name_of(words)
    if not _is_sweep(sweeps / name) or "/" in name:
        raise InputError(
            f"{option} must name a sweep that was started",
            received=printable(name),
            accepted=sorted(printable(path.name) for path in there),
        )
    return sweeps / name, ()


def _name_of(overrides: Sequence[str]) -> str:
    """Return the name of the sweep that was started with some overrides."""
    from infomcr_cli.engine.sweep_plan import is_unnamed  # the import takes half a second, and only this case needs it

    return name_of([word for word in overrides if not is_unnamed(word)])


def _begun(folder: Path) -> float:
    """Return when a sweep was last begun, or, if its record does not say so, when the record was last written."""
    try:
        document = parse_json(read_file(folder, "sweep.json", MAX_DOCUMENT), "sweep.json")
    except (InputError, OSError):
        document = None
    begun = document.get("begun") if isinstance(document, dict) else None
    return begun if isinstance(begun, float) else (folder / "sweep.json").stat().st_mtime


def _is_sweep(path: Path) -> bool:
    try:
        return (path / "sweep.json").is_file()
    except (OSError, ValueError):
        return False
