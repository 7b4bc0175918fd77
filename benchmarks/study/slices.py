"""A study in slices: a job is a level on each axis, a slice a few jobs, and a family the slices of one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

Levels = Mapping[str, str]  # axis → level, the seed included
Settings = Mapping[str, str]  # key of an override → value
SEED = "seed"


@dataclass(frozen=True)
class Slice:
    """Jobs that one sweep trains; the overrides of all have the same keys."""

    name: str
    jobs: tuple[Levels, ...]


def crossed(name: str, levels: Mapping[str, Sequence[str]]) -> Slice:
    """Return the slice of every combination of levels, the last axis fastest."""
    return Slice(name, tuple(dict(zip(levels, values, strict=True)) for values in product(*levels.values())))


@dataclass(frozen=True)
class Family:
    """The slices behind one table.

    Args:
        name:     of the table and of the folder of runs.
        preset:   the overrides that all runs share.
        axes:     the hyperparameters, without the seed.
        settings: levels → overrides of a run.
        slices:   in the order in which they are run.
        further:  levels → measures of a second evaluation; none: it is left out.
        followed: levels → whether gamma is measured along training.
        answers:  keep which test images each run classifies correctly.
        measured: whether the runs are measured; without, a row holds what training recorded.
    """

    name: str
    preset: tuple[str, ...]
    axes: tuple[str, ...]
    settings: Callable[[Levels], Settings]
    slices: tuple[Slice, ...]
    further: Callable[[Levels], tuple[str, ...]] = field(default=lambda _: ())
    followed: Callable[[Levels], bool] = field(default=lambda _: False)
    answers: bool = False
    measured: bool = True

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that identify a row."""
        return (*self.axes, SEED)

    @property
    def jobs(self) -> list[Levels]:
        """The jobs of all slices, each once."""
        return list({self.key(job): job for part in self.slices for job in part.jobs}.values())

    def key(self, levels: Levels) -> tuple[str, ...]:
        """Return what identifies a job, or the row of a table."""
        return tuple(levels[name] for name in self.keys)

    def overrides(self, levels: Levels) -> tuple[str, ...]:
        """Return the overrides that make a job's run, besides the preset."""
        return tuple(f"{key}={value}" for key, value in self.settings(levels).items())


def grid(settings: Sequence[Settings]) -> list[str]:
    """Return the arguments of a sweep whose jobs are exactly some settings with the same keys.

    Examples:
        >>> grid([{"a": "1", "b": "1"}, {"a": "1", "b": "2"}, {"a": "2", "b": "1"}])
        ['a=1,2', 'b=1,2', 'sweep.exclude=["a=2 b=2"]']
    """
    values = {key: list(dict.fromkeys(one[key] for one in settings)) for key in settings[0]}
    varied = [key for key, found in values.items() if len(found) > 1]
    wanted = {tuple(one[key] for key in varied) for one in settings}
    left_out = [one for one in product(*(values[key] for key in varied)) if one not in wanted]
    texts = [" ".join(f"{key}={value}" for key, value in zip(varied, one, strict=True)) for one in left_out]
    arguments = [f"{key}={','.join(found)}" for key, found in values.items()]
    return [*arguments, f"sweep.exclude=[{_quoted(texts)}]"] if texts else arguments


def _quoted(texts: Iterable[str]) -> str:
    return ",".join(f'"{text}"' for text in texts)
