"""Stop if the validation loss has not fallen for some epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class Patience:
    """Remembers the lowest validation loss; evaluated after each epoch.

    It stops training as `keras.callbacks.EarlyStopping` does, and does not bring back the weights of the best epoch.

    Args:
        epochs:     how many in a row may pass without a lower loss.
        best_loss:  the lowest so far, nats; None before the first epoch.
        best_epoch: the epoch after which it was found, counted from 1.
        epoch:      the last one that was evaluated.
    """

    epochs: int
    best_loss: float | None = None
    best_epoch: int = 0
    epoch: int = 0

    @property
    def is_over(self) -> bool:
        """Whether the loss has not fallen for so many epochs."""
        return self.epoch - self.best_epoch >= self.epochs

    @property
    def reason(self) -> str:
        """Why training stopped, in a sentence."""
        best = "was never a number" if self.best_loss is None else f"was lowest at epoch {self.best_epoch}"
        loss = "" if self.best_loss is None else f" ({self.best_loss:.4f})"
        return f"Stopped after epoch {self.epoch}: the validation loss {best}{loss}."

    def note(self, epoch: int, loss: float) -> None:
        """Note the loss after an epoch; one that is not a number is no improvement."""
        self.epoch = epoch
        if not math.isnan(loss) and (self.best_loss is None or loss < self.best_loss):
            self.best_loss, self.best_epoch = loss, epoch

    def to_record(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"best_loss": self.best_loss, "best_epoch": self.best_epoch, "epoch": self.epoch}

    def restore(self, record: Any) -> None:
        """Take over what a checkpoint kept; nothing if it is of another form."""
        if not isinstance(record, Mapping):
            return
        loss, best, epoch = (record.get(name) for name in ("best_loss", "best_epoch", "epoch"))
        if (loss is None or type(loss) is float) and type(best) is int and type(epoch) is int:
            self.best_loss, self.best_epoch, self.epoch = loss, best, epoch
