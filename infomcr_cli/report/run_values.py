"""What is known about a run by name, to filter, sort and show runs by: its state, settings, scores and measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from infomcr_cli.config.reference import settings
from infomcr_cli.console.text import printable
from infomcr_cli.errors import OTHER_WORDS, InputError, nearest_name
from infomcr_cli.report.axes import flatten
from infomcr_cli.runs import RunDirectory, Status, read_status
from infomcr_cli.runs.annotations import Annotations, read_annotations
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.runs.measures_file import last_evaluation

FACTS = ("run", "state", "reason", "label", "started", "ended", "seconds", "epoch", "step", "tags", "note")
TAG = "tag."  # prefix of the name of a tag
SCORES = (
    *("train_loss", "train_accuracy", "test_loss", "test_accuracy", "test_error", "gap_error", "gap_loss"),
    *("n_train", "n_test"),
)


@dataclass(frozen=True)
class RunValues:
    """The values of a run by name.

    Args:
        settings: flat, such as optimizer.l2 → 0.0005.
        noted:    tags and note of the user.
    """

    run: RunDirectory
    status: Status
    settings: Mapping[str, Any]
    noted: Annotations

    @staticmethod
    def read(path: Path) -> RunValues:
        """Return the values of a run.

        Raises:
            InputError: it cannot be read.
        """
        run = RunDirectory.open(path)
        settings = flatten(parse_yaml(run.read_config(), f"config.yaml of {run.name}"))
        return RunValues(run, read_status(run), settings, read_annotations(run))

    def get(self, name: str) -> Any:
        """Return the value under a name, None for a run that has none."""
        if name in FACTS:
            return self._facts[name]
        if name.startswith(TAG):
            return self.noted.tags.get(name.removeprefix(TAG))
        return self.settings[name] if name in self.settings else self.measured.get(name)

    @cached_property
    def measured(self) -> Mapping[str, float | None]:
        """Scores, gaps and measures of the last checkpoint by name; empty if there are none that can be read."""
        try:
            evaluation = last_evaluation(self.run, self.status.step)
        except (InputError, OSError):
            return {}
        if evaluation is None:
            return {}
        train, test, gap = evaluation.train, evaluation.test, evaluation.gap
        scores = {
            "train_loss": train.loss,
            "train_accuracy": train.accuracy,
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "test_error": None if test.accuracy is None else 1 - test.accuracy,
            "gap_error": gap.error,
            "gap_loss": gap.loss,
            "n_train": evaluation.n_train,
            "n_test": evaluation.n_test,
        }
        return {**{name: one.value for name, one in evaluation.measures.items()}, **scores}

    @cached_property
    def _facts(self) -> Mapping[str, Any]:
        status = self.status
        known = status.started is not None and status.ended is not None
        return {
            "run": self.run.name,
            "state": str(status.state),
            "reason": None if status.reason is None else printable(status.reason),
            "label": None if status.label is None else printable(status.label),
            "started": _date(status.started),
            "ended": _date(status.ended),
            "seconds": round(status.ended - status.started, 3) if known else None,  # type: ignore[operator]
            "epoch": status.epoch,
            "step": status.step,
            "tags": self.noted.tags_text or None,
            "note": self.noted.note or None,
        }


def _date(seconds: float | None) -> str | None:
    """Return a date as text that sorts by time, UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def full_name(name: str, runs: Iterable[RunValues]) -> str:
    """Return the name that `name` stands for: itself, or of a group its `name`, as in reg=on.

    Raises:
        InputError: no run has it, and there is no such setting or measure; the nearest name is shown.
    """
    of_runs = {setting: None for run in runs for setting in run.settings}
    known = dict.fromkeys((*FACTS, *SCORES, *(setting.name for setting in settings()), *of_runs))
    if name.startswith(TAG):
        return name
    groups = {setting.partition(".")[0] for setting in known if "." in setting}
    if name in groups:
        return f"{name}.name"
    if name in known or (name.endswith(".name") and name.removesuffix(".name") in groups):
        return name
    if any(name in run.measured for run in runs):
        return name
    from infomcr_cli.measures.base import chosen_measures

    measures = {measure.name for measure in chosen_measures()} | {one for run in runs for one in run.measured}
    if name in measures:
        return name
    raise _unknown(name, [*known, *(f"{group}.name" for group in groups), *sorted(measures)])


def _unknown(name: str, known: list[str]) -> InputError:
    leaf = name.rpartition(".")[2].lower()
    leaves = {leaf, OTHER_WORDS.get(leaf, leaf)} - {"name"}  # which every group has
    same = [one for one in known if one.rpartition(".")[2] in leaves]
    near = nearest_name(name, same) or next(iter(same), None) or nearest_name(name, known)
    listed = "`infomcr config` lists the settings, `infomcr measures` the measures."
    advice = f"Did you mean {near!r}?" if near else listed
    rule = f"runs are known by settings, measures, scores, and {', '.join(FACTS)}, tag.NAME"
    return InputError(rule, received=printable(name), advice=advice)
