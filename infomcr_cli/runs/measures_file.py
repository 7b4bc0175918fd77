"""measures.json: what `infomcr eval` recorded of each checkpoint of a run.

One record, `Evaluation`, is written by `infomcr eval` and read by sweeps, comparisons and the mirror in MLflow. Unknown
keys are kept: a measure may record more than is listed here, and so may another version of this program.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from infomcr_cli.console.text import printable
from infomcr_cli.runs.answers import Answers
from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.runs.io.safe_documents import dump_json, parse_json, parse_record
from infomcr_cli.runs.io.safe_files import write_atomically
from infomcr_cli.runs.lock import locked_file

FORMAT = 1
MAX_MEASURES = 1000


def _bounded(value: Any) -> Any:
    """Refuse an integer that is too large for a float before it is converted."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**63:
        raise ValueError("a number beyond 64 bits")
    return value


def _finite(value: Any) -> float | None:
    """Return a number of an untrusted file as a float; None if it is not a number, or too large."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= sys.float_info.max else None


def _text(value: Any) -> Any:
    return printable(value, 200) if isinstance(value, str) else value


Number = Annotated[float, BeforeValidator(_bounded), Field(strict=False)]
Name = Annotated[str, AfterValidator(lambda text: printable(text, 100))]
Text = Annotated[str, BeforeValidator(_text)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", strict=True, allow_inf_nan=False)


class MeasureRecord(_Record):
    """One measure of one checkpoint.

    Attributes:
        value:      None if it could not be measured; `reason` then says why, and `error` names an unforeseen exception.
        std_error:  of an estimated value, in its unit.
        convention: two values are ranked together only if their conventions are equal.
        spectrum:   mean eigenvalues of G/N over the draws, descending.
    """

    value: Number | None = None
    std_error: Number | None = None
    unit: Text | None = None
    direction: Text | None = None
    convention: Any = None
    spectrum: list[Number] | None = None

    @property
    def reason(self) -> str | None:
        """Why the measure has no value, printable; None: it has one, or nothing is said."""
        found = (self.model_extra or {}).get("reason")
        return printable(str(found)) if self.value is None and found else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The bounds of its 95 % interval; None: it has none."""
        bounds = [bound for bound in self.numbers("interval") if bound is not None]
        return (bounds[0], bounds[1]) if len(bounds) == 2 else None

    def numbers(self, key: str) -> list[float | None]:
        """Return a list of numbers that a measure records in addition, such as "draws" or "interval".

        Returns:
            the list, with None in place of what is not a finite number; empty if there is no such list.
        """
        found = (self.model_extra or {}).get(key)
        return [_finite(one) for one in found] if isinstance(found, list) else []


class ScoreRecord(_Record):
    """Loss (cross-entropy, nats) and accuracy in [0, 1] on one split."""

    loss: Number | None = None
    accuracy: Annotated[Number, Field(ge=0, le=1)] | None = None


class Gap(_Record):
    """Test minus training, of error and of cross-entropy."""

    error: Number | None = None
    loss: Number | None = None


class Evaluation(_Record):
    """The record of one checkpoint in measures.json.

    Attributes:
        checkpoint:      as it was requested: "last", "best" or its own name.
        n_train, n_test: images of the two sets.
        test_answers:    which test images are classified correctly; None in records of earlier versions.
        reached_target:  whether the run reached its target training loss; None: it has none.
    """

    checkpoint: Text | None = None
    step: Annotated[int, Field(ge=0, le=10**15)] | None = None
    epoch: Annotated[int, Field(ge=0, le=10**15)] | None = None
    reached_target: bool | None = None
    train: ScoreRecord = ScoreRecord()
    test: ScoreRecord = ScoreRecord()
    gap: Gap = Gap()
    n_train: Annotated[int, Field(ge=1, le=10**12)] | None = None
    n_test: Annotated[int, Field(ge=1, le=10**12)] | None = None
    test_answers: Answers | None = None
    measures: Annotated[dict[Name, MeasureRecord], Field(max_length=MAX_MEASURES)] = {}

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of the evaluation, as it was given or read."""
        return self.model_dump(mode="json", exclude_unset=True)


class MeasuresFile(_Record):
    """The content of measures.json; `reached_target` is a key of former versions."""

    checkpoints: Annotated[dict[Name, Evaluation], Field(max_length=100_000)] = {}
    reached_target: bool | None = None


def read_measures_file(run: RunDirectory) -> MeasuresFile:
    """Return the content of measures.json; an empty record without the file.

    Raises:
        InputError: it is not what this program writes; the error names the place.
    """
    what = f"measures.json of {run.name}"
    try:
        return parse_record(run.read("measures.json"), what, MeasuresFile, command="eval")
    except FileNotFoundError:
        return MeasuresFile()


def last_evaluation(run: RunDirectory, step: int) -> Evaluation | None:
    """Return the evaluation of the last checkpoint; None if there is none or it was taken before `step`.

    Raises:
        InputError: measures.json is not what this program writes.
    """
    last = read_measures_file(run).checkpoints.get("last")
    return last if last is not None and last.step is not None and last.step >= step else None


def record_evaluation(run: RunDirectory, name: str, evaluation: Evaluation) -> None:
    """Add one checkpoint's evaluation to measures.json; those of other checkpoints stay.

    Earlier measures of the same weights stay too, unless they were measured again: they may have taken hours.

    Args:
        name: the checkpoint as it was requested: "last", "best" or its own name.
    """
    # A separate lock file: measures.json itself is replaced by a new file, which a lock on the old one does not cover.
    with locked_file(run.path / ".measures.lock"):
        recorded = _recorded(run)
        added = {"checkpoint": name, **evaluation.to_dict()}
        added["measures"] = {**_of_same_weights(recorded.get(name), added), **added.get("measures", {})}
        document = {"format": FORMAT, "checkpoints": {**recorded, name: added}}
        write_atomically(run.measures, dump_json(document))


def _of_same_weights(before: Any, now: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the measures of an earlier evaluation if its step and scores are exactly those of the new one."""
    if not isinstance(before, dict) or any(before.get(key) != now.get(key) for key in ("step", "train", "test")):
        return {}
    measures = before.get("measures")
    return measures if isinstance(measures, dict) else {}


def _recorded(run: RunDirectory) -> dict[str, Any]:
    """Return the records as plain JSON, so that records which `Evaluation` would refuse are kept as they are."""
    try:
        document = parse_json(run.read("measures.json"), f"measures.json of {run.name}")
    except FileNotFoundError:
        return {}
    recorded = document.get("checkpoints") if isinstance(document, dict) else None
    return recorded if isinstance(recorded, dict) else {}


PREFIX = "eval/"
MOST = 5000
_ODD = re.compile(r"[^A-Za-z0-9_./ -]")


@dataclass(frozen=True)
class MeasuredNumber:
    """One number of one evaluated checkpoint, such as eval/gamma at step 60."""

    name: str
    step: int
    value: float


def measured_numbers(run: RunDirectory) -> list[MeasuredNumber]:
    """Return the scores, gaps and measures in measures.json, without those that are not finite numbers.

    Raises:
        InputError: measures.json is not a JSON document.
    """
    try:
        document = parse_json(run.read("measures.json"), f"measures.json of {run.name}")
    except FileNotFoundError:
        return []
    checkpoints = _mapping(_mapping(document).get("checkpoints"))
    # "last" and "best" may be the same checkpoint: each number is returned once.
    found = {(n.name, n.step): n for entry in checkpoints.values() for n in _of_one(_mapping(entry))}
    return list(found.values())[:MOST]


def _of_one(entry: Mapping[str, Any]) -> Iterator[MeasuredNumber]:
    step = entry.get("step")
    if not isinstance(step, int) or not 0 <= step < 2**62:
        return
    for group in ("train", "test", "gap"):
        for name, value in _mapping(entry.get(group)).items():
            yield from _number(f"{group}_{name}", step, value)
    if (error := _binomial_error(_mapping(entry.get("test")).get("accuracy"), entry.get("n_test"))) is not None:
        yield from _number("test_accuracy_std_error", step, error)
    for name, measure in _mapping(entry.get("measures")).items():
        yield from _number(name, step, _mapping(measure).get("value"))
        yield from _number(f"{name}_std_error", step, _mapping(measure).get("std_error"))


def _binomial_error(share: Any, count: Any) -> float | None:
    """Return the standard error of a share of `count` images; None if either is not known."""
    known = isinstance(share, int | float) and isinstance(count, int) and count > 0 and 0 <= share <= 1
    return math.sqrt(share * (1 - share) / count) if known else None


def _number(name: str, step: int, value: Any) -> Iterator[MeasuredNumber]:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value):
        yield MeasuredNumber(PREFIX + _ODD.sub("_", name)[:150], step, float(value))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
