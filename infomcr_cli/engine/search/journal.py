"""Store the study of a search in an Optuna journal file in the sweep's directory.

A trial is written as one line when it is proposed, and its end as another. A process that is killed between the two
leaves a RUNNING trial, and the run directory tells the rest. Only the process that holds the sweep's lock writes.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.config.schema.sweep import SweepConfig
from infomcr_cli.config.search_space import SearchSpace, Value
from infomcr_cli.engine.search.objectives import MANY, SCORES, Objective
from infomcr_cli.errors import InputError

FILE = "optuna.journal"
LOSSES = "validation_loss"  # user attribute: [[epoch, nats], …]
STUDY = "infomcr"
optuna.logging.set_verbosity(optuna.logging.ERROR)


class Journal:
    """The trials of a search and its sampler.

    Args:
        path:     of the journal; made if there is none.
        settings: of the search.
        measure:  how the objectives that are measures are taken.

    Raises:
        InputError: the file is no journal, or of another search.
    """

    def __init__(
        self,
        path: Path,
        space: SearchSpace,
        objectives: Sequence[Objective],
        settings: SweepConfig,
        measure: MeasureConfig,
    ) -> None:
        self._space, self._settings = space, settings
        self._distributions = {key: _distribution(space, key) for key in space.searched}
        self._directions = [one.direction for one in objectives]
        repair(path)
        with _readable(path):
            self._storage = JournalStorage(JournalFileBackend(str(path)))
            self._study = optuna.create_study(
                study_name=STUDY, storage=self._storage, directions=self._directions, load_if_exists=True
            )
        names = [one.name for one in objectives]
        self._check_same(path, {"space": space.describe(), "objectives": names, **_conventions(names, measure)})

    @property
    def study(self) -> optuna.Study:
        """The study, to be read."""
        return self._study

    def trials(self) -> list[FrozenTrial]:
        """Return all trials by number."""
        return self._study.get_trials(deepcopy=False)

    def propose(self) -> dict[str, Value]:
        """Return the values of the next trial, which is not yet in the journal.

        The sampler is seeded by the number of the trial: what is proposed depends on the trials before it, and not on
        how often the search was interrupted.
        """
        before = self.trials()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study = optuna.create_study(sampler=self._sampler(len(before)), directions=self._directions)
            study.add_trials(before)  # a copy in memory: a trial is written whole, or not at all
            params = study.ask(self._distributions).params
        searched = self._space.searched
        return {
            key: params[key] if one.numbers is None else one.numbers.nearest(params[key])
            for key, one in searched.items()
        }

    def add(self, values: Mapping[str, Value], **attributes: Any) -> int:
        """Write a trial as RUNNING and return its number."""
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(values),
            distributions=dict(self._distributions),
            user_attrs=attributes,
        )
        # Not `study.add_trial`, which does not return the number.
        identifier = self._storage.create_new_trial(self._study._study_id, trial)
        return self._storage.get_trial_number_from_id(identifier)

    def tell(
        self,
        number: int,
        state: TrialState,
        values: Sequence[float] | None = None,
        *,
        reason: str | None = None,
        losses: Mapping[int, float] | None = None,
    ) -> None:
        """Write how a trial ended; the state comes last, so that a trial is written as a whole."""
        identifier = self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        if reason is not None:
            self._storage.set_trial_user_attr(identifier, "reason", reason)
        if losses:
            finite = [[epoch, loss] for epoch, loss in losses.items() if math.isfinite(loss)]
            self._storage.set_trial_user_attr(identifier, LOSSES, finite)
        self._storage.set_trial_state_values(identifier, state, values)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        # The factor keeps the seeds of neighbouring searches apart for a million trials.
        seed = (self._settings.search_seed * 1_000_003 + number) % 2**32
        if self._settings.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)  # its default differs between versions

    def _check_same(self, path: Path, description: dict[str, Any]) -> None:
        """Raise InputError if the journal has a different space, different objectives or other conventions of them.

        A journal of a former version has no conventions: the current ones are added.
        """
        description["directions"] = list(map(str, self._directions))
        recorded = self._study.user_attrs
        for key, now in description.items():
            if key in recorded and recorded[key] != now:
                before, after = (str(one)[:300] for one in _differing(recorded[key], now))
                raise InputError(
                    f"a search must be continued with the {key} that it was started with",
                    received=after,
                    advice=f"{path.parent.name} has {before}. Give this search another sweep.name.",
                )
            if key not in recorded:
                self._study.set_user_attr(key, now)


def _conventions(names: Sequence[str], config: MeasureConfig) -> dict[str, Any]:
    """Return the convention of each objective that is a measure, as JSON gives it; the data is the same by identity."""
    if all(name in SCORES for name in names):
        return {}
    from infomcr_cli.measures.base import chosen_measures  # the import takes half a second

    chosen = [one for one in chosen_measures() if one.name in names]
    return {f"convention of {one.name}": json.loads(json.dumps(one.convention(config, MANY))) for one in chosen}


def _differing(one: Any, other: Any) -> tuple[Any, Any]:
    """Return what differs between two values: of two dicts the entries that do."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return one, other
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return {key: one.get(key) for key in keys}, {key: other.get(key) for key in keys}


def _distribution(space: SearchSpace, key: str) -> BaseDistribution:
    one = space.searched[key]
    if one.numbers is None:
        return CategoricalDistribution(one.texts)
    numbers = one.numbers
    if numbers.whole:
        return IntDistribution(int(numbers.low), int(numbers.high), log=numbers.log, step=int(numbers.step or 1))
    return FloatDistribution(numbers.low, numbers.high, log=numbers.log, step=numbers.step)


def repair(path: Path) -> None:
    """Remove the lock and the incomplete last line of a killed process; the caller holds the sweep's lock."""
    with suppress(FileNotFoundError):
        os.unlink(f"{path}.lock")
    with suppress(FileNotFoundError), open(path, "r+b") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the errors of Optuna at a damaged journal into an InputError that names the file."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AssertionError, OSError) as error:
        raise InputError(
            "the journal of a search must be as Optuna writes it", received=str(path), advice=f"{error} Remove it."
        ) from None
