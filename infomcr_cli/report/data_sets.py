"""Runs on several data sets of one kind: their place is no setting that makes weights, what lies there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.runs.checkpoint import trained_on

ROOT = "data.root"


def with_data_axis(entries: Sequence[EvaluatedRun]) -> list[EvaluatedRun]:
    """Return the runs with `data.root` among the settings that make their weights, where they differ in their data.

    Two places are one data set if a run at the one was trained on the same images as a run at the other, or if nothing
    is known of what was trained on there.
    """
    places = dict.fromkeys(entry.config.get(ROOT) for entry in entries)
    if len(places) < 2:
        return list(entries)
    found: dict[Any, set[str]] = {place: set() for place in places}
    for entry in entries:
        found[entry.config.get(ROOT)] |= {fingerprint for fingerprint in [trained_on(entry.run)] if fingerprint}
    names = _names(found)
    if len(set(names.values())) < 2:
        return list(entries)
    return [replace(entry, settings={**entry.settings, ROOT: names[entry.config.get(ROOT)]}) for entry in entries]


def _names(found: Mapping[Any, set[str]]) -> dict[Any, Any]:
    """Return for each place the first place that holds the same data."""
    names: dict[Any, Any] = {}
    for place, prints in found.items():
        same = (name for name in dict.fromkeys(names.values()) if not prints or prints & found[name] or not found[name])
        names[place] = next(same, place)
    return names
