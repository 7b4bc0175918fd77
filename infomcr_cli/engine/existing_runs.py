"""Find the run of a job in a folder: the same settings, trained on the same data."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path

from infomcr_cli.config.schema.data import DataConfig
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.data import load_dataset
from infomcr_cli.data.files import as_path
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import recorded_run
from infomcr_cli.runs import RunDirectory, State, Status, is_run
from infomcr_cli.runs.checkpoint import trained_on
from infomcr_cli.runs.identity import tail
from infomcr_cli.runs.status import read_status_file
from infomcr_cli.tracking.moved_runs import read_settings

# Of several runs of one identity the first in this order is taken; of those in one state, the furthest.
_RANK = [State.FINISHED, State.RUNNING, State.KILLED, State.LOST, State.FAILED]


class ExistingRuns:
    """The runs of a folder by identity; a run that cannot be read is left out."""

    def __init__(self, folder: Path) -> None:
        self._runs: dict[str, list[tuple[Path, Status]]] = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            with suppress(InputError, OSError):
                if is_run(path):
                    status = read_status_file(path)
                    self._runs.setdefault(tail(status.identity), []).append((path, status))

    def run_of(self, identity: str, config: RunConfig) -> RunDirectory | None:
        """Return the run of an identity, trained on the data of `config`, that got furthest; None if there is none.

        The path of the data does not change the weights, so runs on two data sets may share an identity. The recorded
        path tells them apart, or, if it is another one, the fingerprint of the data that they were trained on.
        """
        for path, _ in sorted(self._runs.get(tail(identity), ()), key=lambda run: _rank(run[1])):
            run = RunDirectory.open(path)
            if place_of(config.data) is None or _is_place_of(run, config.data):
                return run
            fingerprint = trained_on(run)
            # The data may have been moved: then the same images decide, wherever they are.
            if fingerprint is not None and fingerprint == _fingerprint(config.data, config.seed):
                return run
        return None


def place_of(config: DataConfig) -> str | None:
    """Return the normalized path of the data; None if the source needs no path."""
    return None if config.root is None or config.name == "digits" else str(as_path(config.root))


def _is_place_of(run: RunDirectory, data: DataConfig) -> bool:
    try:
        recorded = recorded_run(read_settings(run))
    except (InputError, OSError):
        return False
    return place_of(recorded.data) == place_of(data)


@cache
def _fingerprint(data: DataConfig, seed: int) -> str:
    return load_dataset(data, seed=seed).fingerprint


def _rank(status: Status) -> tuple[int, int]:
    return (_RANK.index(status.state) if status.state in _RANK else len(_RANK), -status.step)
