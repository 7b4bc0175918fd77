"""Write the run directory of an imported network, completely or not at all, and describe it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infomcr_cli import runtime
from infomcr_cli.config.compose import validate
from infomcr_cli.config.schema.imported import without_stand_ins
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.text import printable
from infomcr_cli.exchange.run_network import INITIAL, MODEL, TRAINED
from infomcr_cli.exchange.sources import WeightSource
from infomcr_cli.exchange.trained_network import TrainedNetwork
from infomcr_cli.exchange.weights_file import digest_of, weights_by_name
from infomcr_cli.experiment.known_builders import remember_builders
from infomcr_cli.models.score import Score
from infomcr_cli.runs import (
    Checkpoint,
    MetricsLog,
    RunDirectory,
    State,
    read_status,
    save_checkpoint,
    write_environment,
)
from infomcr_cli.runs.io.safe_files import write_atomically
from infomcr_cli.runs.lifecycle import RunOutcome, active_run, create_run

STEP = 1  # of the trained weights, whatever their training counted; those before training have 0


@dataclass(frozen=True)
class ImportedNetwork:
    """Everything that the run directory of an imported network needs.

    Args:
        data: fingerprint of the data that the scores were measured on.
        hint: a sentence about the scale of the input; None: there is nothing to say.
    """

    source: WeightSource
    network: TrainedNetwork
    train: Score
    test: Score
    data: str
    hint: str | None

    @property
    def gap(self) -> dict[str, float]:
        """Test minus training, of error and of cross-entropy."""
        return {"error": self.train.accuracy - self.test.accuracy, "loss": self.test.loss - self.train.loss}


def write_run(
    imported: ImportedNetwork, config: RunConfig, overrides: Sequence[str], run_dir: Path | None
) -> RunDirectory:
    """Create a FINISHED run.

    Args:
        config:  what the command line gave; the settings of the file are added.
        run_dir: where it is made; None: below `runs_dir`, named after the file.

    Raises:
        InputError: no directory can be made there.
    """
    network, weights = imported.network, weights_by_name(imported.network.model)
    recorded = _recorded(imported, config, weights)
    run = create_run(recorded, overrides, run_dir, name=imported.source.run_name)
    remember_builders(run, config)
    with _whole_or_gone(run), active_run(run, is_new=True) as active:
        if network.architecture is not None:
            write_atomically(run.path / MODEL, network.architecture)
        write_environment(run, runtime.devices())
        extra = {"data": imported.data}
        if network.initial is not None:
            save_checkpoint(run, INITIAL, Checkpoint(0, 0, network.initial, extra=extra))
        scores = {"train": imported.train, "test": imported.test}
        names = ("loss", "accuracy")
        values = {f"{split}/{name}": getattr(score, name) for split, score in scores.items() for name in names}
        MetricsLog(run).append(STEP, 0, values, {})
        save_checkpoint(run, TRAINED, Checkpoint(STEP, 0, weights, extra=extra, train_loss=imported.train.loss))
        active.update(step=STEP)
        active.finish(RunOutcome(State.FINISHED))
    return run


def document(imported: ImportedNetwork, run: RunDirectory, config: RunConfig) -> dict[str, Any]:
    """Return a run's entry of the JSON document."""
    network, source = imported.network, imported.source
    return {
        "run": str(run.path),
        "file": printable(str(source.file), 4096),
        "state": str(read_status(run).state),
        "checkpoint": TRAINED,
        "initial": None if network.initial is None else INITIAL,
        "weights": network.size,
        "softmax_of": network.softmax_of,
        "scaling": config.data.scaling,
        "settings": dict(source.settings),
        "train": {"loss": imported.train.loss, "accuracy": imported.train.accuracy},
        "test": {"loss": imported.test.loss, "accuracy": imported.test.accuracy},
        "gap": imported.gap,
        "hint": imported.hint,
    }


def lines(imported: ImportedNetwork, run: RunDirectory, config: RunConfig) -> list[str]:
    """Return the printed lines of a run."""
    network, train, test = imported.network, imported.train, imported.test
    cut = f"the softmax of {network.softmax_of} is left out, " if network.softmax_of else ""
    shown = [
        f"{imported.source.file.name} → {run.path}",
        f"  {network.size:,} trainable weights, {cut}data.scaling={config.data.scaling}",
        f"  training loss {train.loss:.4f} accuracy {train.accuracy:.2%}, "
        f"test loss {test.loss:.4f} accuracy {test.accuracy:.2%}",
        *([f"  {imported.hint}"] if imported.hint else []),
    ]
    return [printable(line, 2000) for line in shown]


def _recorded(imported: ImportedNetwork, config: RunConfig, weights: Mapping[str, Any]) -> RunConfig:
    source, network = imported.source, imported.network
    settings = config.model_dump(mode="json")
    settings["imported"] = {
        "file": printable(source.file.name, 900),
        "weights": digest_of(weights),
        "initial": None if network.initial is None else digest_of(network.initial),
        "settings": dict(source.settings),
    }
    if network.architecture is not None:
        digest = hashlib.sha256(network.architecture).hexdigest()
        settings["model"] = {"name": "imported", "architecture": digest}
        settings["choices"]["model"] = "imported"
    return validate(without_stand_ins(settings))


@contextmanager
def _whole_or_gone(run: RunDirectory) -> Iterator[None]:
    """Remove the run directory if an error or a signal ends the block."""
    try:
        yield
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)
        raise
