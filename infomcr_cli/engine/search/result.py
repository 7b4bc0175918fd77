"""Build the report of a search from its study."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from infomcr_cli.engine.search.search import RETRIED, Search
from infomcr_cli.report.search import SearchedObjective, SearchedTrial, SearchReport

LEAST = 4  # complete trials; from fewer an importance would mean nothing


def search_report(search: Search) -> SearchReport:
    """Return the report of a search so far, without trials that were repeated after a failure."""
    trials = search.journal.trials()
    repeated = {one.user_attrs.get(RETRIED) for one in trials}
    study, settings = search.journal.study, search.plan.settings
    complete = [one for one in trials if one.state is TrialState.COMPLETE]
    return SearchReport(
        objectives=tuple(
            SearchedObjective(name=one.name, direction=one.direction, importance=_importance(study, index, complete))
            for index, one in enumerate(search.plan.objectives)
        ),
        trials=tuple(_trial(one) for one in trials if one.number not in repeated),
        front=tuple(one.number for one in study.best_trials) if complete else (),
        uses_test=search.plan.uses_test,
        sampler=settings.sampler,
        seed=settings.search_seed,
        pruner=settings.pruner,
        wanted=settings.trials,
        axes=tuple(search.plan.space.searched),
    )


def _trial(trial: FrozenTrial) -> SearchedTrial:
    return SearchedTrial(
        number=trial.number,
        state=trial.state.name,
        params=trial.params,
        values=tuple(trial.values or ()) if trial.state is TrialState.COMPLETE else (),
        run=trial.user_attrs.get("run"),
        reason=trial.user_attrs.get("reason"),
    )


def _importance(study: optuna.Study, index: int, complete: Sequence[FrozenTrial]) -> dict[str, float]:
    """Return the importance of the axes for one objective; empty if it is not available."""
    values = {one.values[index] for one in complete}
    if len(complete) < LEAST or len(values) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        try:
            found = optuna.importance.get_param_importances(
                study, evaluator=evaluator, target=lambda trial: trial.values[index]
            )
        except (RuntimeError, ValueError):  # a variance of zero
            return {}
    return {axis: float(share) for axis, share in found.items()}
