"""What the training of a run recorded on its way to the checkpoint that is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, list_checkpoints, load_checkpoint
from infomcr_cli.runs.metrics import MetricsLine, MetricsLog


@dataclass(frozen=True)
class RunHistory:
    """The history of a run up to one of its checkpoints; files are read when they are needed.

    Args:
        run:    its directory.
        step:   training steps at the checkpoint.
        target: clean training loss at which the run was to stop, nats; None: it had none.
    """

    run: RunDirectory
    step: int
    target: float | None

    def lines(self) -> Sequence[MetricsLine]:
        """Return the lines of metrics.jsonl up to the checkpoint, in order: one an epoch.

        Raises:
            InputError: there are none, as in an imported run, or they cannot be read.
        """
        found = [line for line in MetricsLog(self.run).read() if line.step <= self.step]
        if not found:
            raise InputError("the history of a run needs lines in its metrics.jsonl", received=self.run.name)
        return found

    def weights_after(self, epochs: int) -> Mapping[str, Any]:
        """Return the weights and moving statistics after so many epochs, by name.

        Raises:
            InputError: no checkpoint of that epoch was kept, or the measured one is earlier.
        """
        kept = [info for info in list_checkpoints(self.run) if info.step <= self.step]
        names = [info.name for info in kept if info.epoch == epochs and _ends_an_epoch(info.name)]
        if not names:
            epochs_kept = sorted({info.epoch for info in kept if _ends_an_epoch(info.name)})
            raise InputError(
                f"there must be a checkpoint after {epochs} epochs, not later than the measured one",
                received=f"checkpoints after epochs {', '.join(map(str, epochs_kept)) or 'none'}",
                advice=f"Train with measure.early_epochs={epochs}.",
            )
        return load_checkpoint(self.run, names[0]).weights


def _ends_an_epoch(name: str) -> bool:
    """Return whether a checkpoint is from the end of an epoch.

    One from the middle of an epoch, after an interruption, counts the whole epochs before it.
    """
    return not name.startswith("step-")
