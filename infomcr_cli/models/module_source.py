"""Find and read the source of a module without importing anything."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


def is_module(name: str) -> bool:
    """Return whether Python would find a module, in the working directory or on its path.

    A package whose code may add modules while it is imported, by `__path__` or `sys.modules`, counts as having them.
    """
    specs = list(_specs(name))
    return len(specs) == len(name.split(".")) or (bool(specs) and _may_add_modules(specs[-1]))


def _may_add_modules(package: ModuleSpec) -> bool:
    if package.origin is None:  # a folder without __init__.py runs nothing
        return False
    try:
        content = Path(package.origin).read_bytes()
    except OSError:  # built in
        return True
    return b"__path__" in content or b"sys.modules" in content


def source_digest(module: str) -> str | None:
    """Return the SHA-256 of a module's source and of the packages around it; None if there is no such source.

    Modules that it imports in turn do not count.
    """
    specs = list(_specs(module))
    if len(specs) < len(module.split(".")) or specs[-1].origin is None:
        return None
    digest = hashlib.sha256()
    for spec in specs:
        if spec.origin is None:  # a folder without __init__.py runs nothing
            continue
        try:
            content = Path(spec.origin).read_bytes()
        except OSError:
            return None
        digest.update(f"{spec.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def source_place(module: str) -> str | None:
    """Return the absolute path of a module's file, or None."""
    specs = list(_specs(module))
    origin = specs[-1].origin if len(specs) == len(module.split(".")) else None
    return origin and os.path.abspath(origin)


def _specs(name: str) -> Iterator[ModuleSpec]:
    """Follow a dotted name from package to package, as far as it leads; `find_spec` would import the packages.

    Yields:
        the specification of each package and of the module.
    """
    head, *rest = name.split(".")
    spec = _top_level(head)
    if spec is not None:
        yield spec
    for depth, _ in enumerate(rest, start=2):
        places = spec.submodule_search_locations if spec is not None else None
        spec = PathFinder.find_spec(".".join(name.split(".")[:depth]), places) if places is not None else None
        if spec is None:
            return
        yield spec


def _top_level(name: str) -> ModuleSpec | None:
    """Find a top-level module as `custom` imports it: in the working directory first, unless it is on the path."""
    here = str(Path.cwd())
    spec = PathFinder.find_spec(name, [here]) if here not in sys.path else None
    try:
        return spec or importlib.util.find_spec(name)
    except ValueError:  # a module in sys.modules that has no specification
        return None
