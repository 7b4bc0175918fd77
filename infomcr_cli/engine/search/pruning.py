"""Prune a run in the job's process, by Optuna's median rule on the validation loss of each epoch.

The job reads the search's journal, which every machine of the sweep sees, so it needs no other connection. The losses
of a trial are in the journal once it has ended. Only complete trials count.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from infomcr_cli.engine.search.objectives import validation_losses
from infomcr_cli.runs import RunDirectory

STARTUP = 5  # trials that must have ended before any is pruned: Optuna's own default


class Pruning(BaseModel):
    """The information with which a job prunes itself.

    Args:
        journal: of the search.
        warmup:  epochs in which no run is ended.
        epochs:  of the whole schedule: the last one is never too early.
    """

    model_config = ConfigDict(frozen=True)

    journal: Path
    warmup: int
    epochs: int


class MedianRule:
    """Says after each epoch whether a run is worse than the median of the others.

    Args:
        run: resumed or new; the losses that it has logged count.
    """

    def __init__(self, pruning: Pruning, run: RunDirectory) -> None:
        self._pruning, self._losses = pruning, validation_losses(run)
        self._storage: Any = None

    def __call__(self, epoch: int, values: dict[str, float]) -> str | None:
        """Return the reason to stop the run, or None.

        Args:
            values: what was logged of the epoch.
        """
        loss = values.get("validation/loss")
        self._losses = {before: one for before, one in self._losses.items() if before < epoch}
        if loss is None:
            return None
        self._losses[epoch] = loss
        others = self._others() if self._pruning.warmup < epoch < self._pruning.epochs else []
        if len(others) < STARTUP or not is_pruned(self._losses, others, self._pruning.warmup):
            return None
        lowest, count = min(self._losses.values()), sum(epoch in other for other in others)
        return f"pruned after epoch {epoch}: its validation loss ({lowest:.4g}) is above the median of {count} trials"

    def _others(self) -> list[dict[int, float]]:
        """Return the losses of the complete trials; empty while the journal cannot be read."""
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
        from optuna.trial import TrialState

        from infomcr_cli.engine.search.journal import LOSSES

        try:
            if self._storage is None:
                self._storage = JournalStorage(JournalFileBackend(str(self._pruning.journal)))
            # The journal holds a single study, whose id is 0.
            trials = self._storage.get_all_trials(0, deepcopy=False, states=(TrialState.COMPLETE,))
            return [{int(epoch): float(loss) for epoch, loss in one.user_attrs.get(LOSSES, [])} for one in trials]
        except (OSError, ValueError, KeyError, TypeError):
            self._storage = None
            return []


def is_pruned(losses: dict[int, float], others: list[dict[int, float]], warmup: int) -> bool:
    """Return whether Optuna's median pruner would end a run.

    Args:
        losses: of the run by epoch; the last one was logged now.
        others: of the complete trials.

    Examples:
        >>> is_pruned({1: 2.0}, [{1: 1.0}] * 5, 0), is_pruned({1: 0.5}, [{1: 1.0}] * 5, 0)
        (True, False)
    """
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="minimize")
    study.add_trials([create_trial(value=0.0, intermediate_values=one) for one in others])
    trial = create_trial(state=TrialState.RUNNING, intermediate_values=losses)
    # The pruner's steps are epochs here, which count from 1: a warm-up of two epochs lasts up to and with epoch 2.
    return bool(optuna.pruners.MedianPruner(STARTUP, warmup + 1).prune(study, trial))
