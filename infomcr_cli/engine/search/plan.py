"""Plan a search: parse its space and objectives from the arguments, and check them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from infomcr_cli.config.exclude import parse_exclusions
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.schema.sweep import SweepConfig
from infomcr_cli.config.search_space import Searched, SearchSpace, Value, search_space
from infomcr_cli.console.redaction import redact, redact_override
from infomcr_cli.engine.existing_runs import ExistingRuns, place_of
from infomcr_cli.engine.job import Job
from infomcr_cli.engine.plan import job_of, plan
from infomcr_cli.engine.search.objectives import Objective, check_objectives, objectives_of
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.resolve_settings import resolved
from infomcr_cli.runs.identity import identity, with_other_data


@dataclass(frozen=True)
class SearchPlan:
    """The plan of a search.

    Args:
        settings: of the sweep.
        probes:   jobs in which each choice and each bound appears; none of them is run.
    """

    settings: SweepConfig
    space: SearchSpace
    objectives: tuple[Objective, ...]
    probes: tuple[Job, ...]

    @property
    def base(self) -> RunConfig:
        """The settings that all runs share, with one value of each that is searched."""
        return self.probes[0].config

    @property
    def uses_test(self) -> bool:
        """Whether the objectives use the test set."""
        return any(one.uses_test for one in self.objectives)

    @property
    def summary(self) -> str:
        """The search space, one line per axis."""
        goals = ", ".join(f"{one.direction} {one.name}" for one in self.objectives)
        axes = [f"  {key}: {_in_words(one)}" for key, one in self.space.searched.items()]
        return "\n".join((f"A search of {self.settings.trials} trials, to {goals}:", *axes))

    def to_dict(self) -> dict[str, Any]:
        """Return the search space as JSON."""
        return {
            "wanted": self.settings.trials,
            "objectives": [{"name": one.name, "direction": one.direction} for one in self.objectives],
            "uses_test": self.uses_test,
            "axes": self.space.describe(),
        }

    def job(self, values: dict[str, Value]) -> Job:
        """Return the job of some values.

        Raises:
            InputError: they make no valid run, or `sweep.exclude` leaves it out.
        """
        point = self.space.point(values)
        if point is None:
            raise InputError("sweep.exclude leaves it out")
        point = replace(point, config=resolved(point.config))
        label = " ".join(redact_override(text) for text in self.space.spelled(values))
        own = identity(point.config)
        if not {"data", "data.root"}.isdisjoint(self.space.searched):
            # An identity does not contain the path of the data; two trials may differ in nothing else.
            own = with_other_data(own, str(place_of(point.config.data)))
        return job_of(own, point, label, Path(self.base.runs_dir).absolute(), self._existing)

    @cached_property
    def _existing(self) -> ExistingRuns:
        return ExistingRuns(Path(self.base.runs_dir).absolute())


def _in_words(one: Searched) -> str:
    if one.numbers is None:
        return ", ".join(redact(text) for text in one.texts)
    numbers = one.numbers
    kind = "whole numbers" if numbers.whole else "numbers"
    step = f" in steps of {numbers.step:g}" if numbers.step not in (None, 1) else ""
    return f"{kind} from {numbers.low:g} to {numbers.high:g}{step}{', on a logarithmic scale' if numbers.log else ''}"


def plan_search(arguments: Sequence[str], settings: SweepConfig, config_dir: Path | None) -> SearchPlan:
    """Return the plan of a search.

    Args:
        arguments: the overrides of its runs.

    Raises:
        InputError: an objective, an override or a setting cannot be used; nothing has been made.
    """
    objectives = objectives_of(settings)
    space = search_space(arguments, config_dir, parse_exclusions(settings.exclude, config_dir))
    if space.combinations is not None and space.combinations < settings.trials:
        raise InputError(
            "a search cannot have more trials than combinations",
            received=f"sweep.trials={settings.trials}, {space.combinations} combinations",
            advice="Without sweep.search, all combinations are trained.",
        )
    points = [replace(point, config=resolved(point.config)) for point in space.probes()]
    if not points:
        raise InputError(
            "a search needs a valid combination", received="sweep.exclude excluded every combination that was tried"
        )
    probes = plan(points)
    check_objectives(objectives, [job.config for job in probes], settings)
    return SearchPlan(settings, space, objectives, tuple(probes))
