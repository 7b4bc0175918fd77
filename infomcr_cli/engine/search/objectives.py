"""The objectives of a search: scores and measures of the last checkpoint, read from the run directory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.schema.sweep import Direction, SweepConfig
from infomcr_cli.data import training_set_size
from infomcr_cli.errors import InputError, nearest_name
from infomcr_cli.runs import MetricsLog, RunDirectory, read_status
from infomcr_cli.runs.measures_file import Evaluation, last_evaluation

MANY = 10**12  # images of a source whose number is not known before it is read
Reader = Callable[[Mapping[str, float], Evaluation], float | None]


@dataclass(frozen=True)
class TrialScore:
    """A score that can be an objective.

    Args:
        read:       from the last line of metrics and the evaluation.
        direction:  minimize if lower is better.
        validation: whether it needs a validation split.
        test:       whether it needs the test set.
        evaluated:  whether it needs the evaluation that follows training.
    """

    read: Reader
    direction: Direction = "minimize"
    validation: bool = False
    test: bool = False
    evaluated: bool = True


def _accuracy(line: Mapping[str, float]) -> float | None:
    return line.get("validation/accuracy")


def _error(accuracy: float | None) -> float | None:
    return None if accuracy is None else 1 - accuracy


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


SCORES: Mapping[str, TrialScore] = {
    "validation_loss": TrialScore(lambda line, _: line.get("validation/loss"), validation=True, evaluated=False),
    "validation_error": TrialScore(lambda line, _: _error(_accuracy(line)), validation=True, evaluated=False),
    "validation_accuracy": TrialScore(lambda line, _: _accuracy(line), "maximize", validation=True, evaluated=False),
    "validation_gap": TrialScore(
        lambda line, found: _difference(found.train.accuracy, _accuracy(line)), validation=True
    ),
    "validation_gap_loss": TrialScore(
        lambda line, found: _difference(line.get("validation/loss"), found.train.loss), validation=True
    ),
    "train_loss": TrialScore(lambda _, found: found.train.loss),
    "train_error": TrialScore(lambda _, found: _error(found.train.accuracy)),
    "train_accuracy": TrialScore(lambda _, found: found.train.accuracy, "maximize"),
    "test_loss": TrialScore(lambda _, found: found.test.loss, test=True),
    "test_error": TrialScore(lambda _, found: _error(found.test.accuracy), test=True),
    "test_accuracy": TrialScore(lambda _, found: found.test.accuracy, "maximize", test=True),
    "gap": TrialScore(lambda _, found: found.gap.error, test=True),
    "gap_error": TrialScore(lambda _, found: found.gap.error, test=True),
    "gap_loss": TrialScore(lambda _, found: found.gap.loss, test=True),
}
_INSTEAD = {"gap": "validation_gap", "gap_error": "validation_gap", "gap_loss": "validation_gap_loss"}


@dataclass(frozen=True)
class Objective:
    """One objective of a search.

    Args:
        uses_test: whether its value depends on the test set.
    """

    name: str
    direction: Direction
    uses_test: bool = False


def objectives_of(settings: SweepConfig) -> tuple[Objective, ...]:
    """Return the objectives that a search's settings name.

    Raises:
        InputError: a name is unknown or given twice, directions do not match, or the test set is used but not allowed.
    """
    names = settings.objective
    if len(set(names)) < len(names):
        raise InputError("each objective must be given only once", received=", ".join(names))
    _check_test_set(names, allowed=settings.allow_test)
    better = [_direction_of(name) for name in names]
    directions = settings.directions or better
    if len(directions) != len(names):
        received = f"{len(directions)} directions, {len(names)} objectives"
        raise InputError(
            "sweep.directions must have one direction per objective",
            received=received,
            advice=f"The better directions are sweep.directions=[{','.join(better)}].",
        )
    return tuple(
        Objective(name, direction, name in SCORES and SCORES[name].test)
        for name, direction in zip(names, directions, strict=True)
    )


def _check_test_set(names: Sequence[str], *, allowed: bool) -> None:
    used = [name for name in names if name in SCORES and SCORES[name].test]
    if not used or allowed:
        return
    instead = ",".join(_INSTEAD.get(name, name.replace("test_", "validation_")) for name in names)
    raise InputError(
        "the test set cannot be an objective, because its error would no longer be an unbiased estimate",
        received=f"sweep.objective={','.join(names)}",
        accepted=[name for name, score in SCORES.items() if not score.test] + ["a measure"],
        advice=f"Hold out training images and use them: sweep.objective={instead} data.validation_size=200. "
        "sweep.allow_test=true allows it; every report will then say so.",
    )


def _direction_of(name: str) -> Direction:
    if name in SCORES:
        return SCORES[name].direction
    from infomcr_cli.measures.base import chosen_measures  # the import takes half a second

    measures = {measure.name: measure.direction for measure in chosen_measures()}
    if name not in measures:
        near = _nearest(name, measures)
        advice = "" if near is None else f" Did you mean {near!r}?"
        raise InputError(
            "an objective must be a score or a measure",
            received=name,
            accepted=SCORES,
            advice=f"`infomcr measures` lists the measures.{advice}",
        )
    return "maximize" if measures[name] == "higher" else "minimize"


def _nearest(name: str, measures: Iterable[str]) -> str | None:
    """Return the closest objective; test scores are suggested only if the name mentions the test set."""
    if f"validation_{name}" in SCORES:
        return f"validation_{name}"
    scores = [known for known, score in SCORES.items() if not score.test or name.startswith(("test", "gap"))]
    return nearest_name(name.replace("val_", "validation_"), [*scores, *measures])


def check_objectives(objectives: Sequence[Objective], configs: Sequence[RunConfig], settings: SweepConfig) -> None:
    """Check that runs of some settings will have the values of the objectives.

    Raises:
        InputError: there is no validation split, no evaluation, or a measure is not taken.
    """
    names = [one.name for one in objectives]
    validated = [name for name in names if name in SCORES and SCORES[name].validation]
    without = any(config.data.validation_size is None for config in configs)
    for rule, needed in ((f"sweep.objective={','.join(validated)}", validated), ("sweep.pruner", settings.pruner)):
        if needed and without:
            raise InputError(
                f"{rule} needs a validation split",
                received="data.validation_size=null",
                advice="Hold out some training images, such as data.validation_size=200.",
            )
    measured = [name for name in names if name not in SCORES or SCORES[name].evaluated]
    if measured and not settings.evaluate:
        raise InputError(
            f"sweep.objective={','.join(measured)} needs measured runs",
            received="sweep.evaluate=false",
            advice="Remove sweep.evaluate=false, or use sweep.objective=validation_loss.",
        )
    measures = [name for name in names if name not in SCORES]
    _check_measured(measures, configs)
    _check_one_convention(measures, configs)


def _check_measured(names: Sequence[str], configs: Sequence[RunConfig]) -> None:
    """Raise InputError if a measure is not among those that `measure` selects."""
    if not names:
        return
    from infomcr_cli.measures.base import chosen_measures

    taken = [measure.name for measure in chosen_measures(configs[0].measure.names)]
    missing = [name for name in names if name not in taken]
    if missing:
        raise InputError(
            f"sweep.objective={','.join(missing)} must be among the computed measures",
            received=f"measure={configs[0].choices.get('measure', 'standard')}",
            advice=f"Add 'measure.names=[{','.join(dict.fromkeys(['gamma', *names]))}]', or measure=all.",
        )


def _check_one_convention(names: Sequence[str], configs: Sequence[RunConfig]) -> None:
    """Raise InputError if trials would have different conventions of a measure."""
    if not names:
        return
    from infomcr_cli.measures.base import chosen_measures

    sizes = {config.data: training_set_size(config.data) or MANY for config in configs}
    for measure in (one for one in chosen_measures() if one.name in names):
        found = [measure.convention(config.measure, sizes[config.data]) for config in configs]
        if other := next((one for one in found if one != found[0]), None):
            differing = [name for name, value in found[0].items() if other.get(name) != value]
            pairs = [", ".join(f"{name}={one.get(name)}" for name in differing) for one in (found[0], other)]
            raise InputError(
                f"sweep.objective={measure.name} must have the same convention in all trials",
                received=" and ".join(pairs),
                advice="Do not search the number of training images, or limit the images of the measure: "
                f"measure.gamma.samples={min(sizes.values())} measure.samples={min(sizes.values())}.",
            )


@dataclass(frozen=True)
class Values:
    """The values of a run.

    Args:
        values: of the objectives, in their order; empty if one cannot be had.
        reason: why; None: they are there.
    """

    values: tuple[float, ...] = ()
    reason: str | None = None


def read_values(run: RunDirectory, objectives: Sequence[Objective]) -> Values:
    """Return the values of a run that is done."""
    try:
        lines = MetricsLog(run).read()
        evaluation = last_evaluation(run, read_status(run).step) or Evaluation()
    except (InputError, OSError) as error:
        return Values(reason=str(error))
    line = lines[-1].values if lines else {}
    found = {one.name: _value(one.name, line, evaluation) for one in objectives}
    missing = [name for name, value in found.items() if value is None or not math.isfinite(value)]
    if missing:
        measure = evaluation.measures.get(missing[0])
        why = None if measure is None else (measure.model_extra or {}).get("reason")
        return Values(reason=f"{', '.join(missing)} has no value" + (f": {why}" if isinstance(why, str) else ""))
    return Values(tuple(float(value) for value in found.values() if value is not None))


def _value(name: str, line: Mapping[str, float], evaluation: Evaluation) -> float | None:
    if name in SCORES:
        return SCORES[name].read(line, evaluation)
    found = evaluation.measures.get(name)
    return None if found is None else found.value


def validation_losses(run: RunDirectory) -> dict[int, float]:
    """Return the validation loss by epoch, as far as it was evaluated; empty if metrics.jsonl cannot be read."""
    try:
        lines = MetricsLog(run).read()
    except (InputError, OSError):
        return {}
    return {line.epoch: line.values["validation/loss"] for line in lines if "validation/loss" in line.values}
