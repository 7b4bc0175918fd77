"""How far a running job has come, read from its run directory: the same on every engine."""

from __future__ import annotations

from dataclasses import dataclass

from infomcr_cli.engine.job import Job
from infomcr_cli.errors import InputError
from infomcr_cli.runs import MetricsLog, RunDirectory, is_run
from infomcr_cli.runs.metrics import MetricsLine, RewrittenError


@dataclass
class Watch:
    """Follows the metrics of one job.

    Args: line: the last one that was logged; None: none yet.
    """

    job: Job
    line: MetricsLine | None = None
    _offset: int = 0

    def look(self) -> None:
        """Read what was logged since the last look."""
        if not is_run(self.job.run):
            return
        try:
            lines, self._offset = MetricsLog(RunDirectory(self.job.run)).read_from(self._offset)
        except RewrittenError:
            self._offset = 0
            return
        except (InputError, OSError):
            return
        self.line = lines[-1] if lines else self.line

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return 0 if self.line is None else self.line.epoch

    @property
    def loss(self) -> float | None:
        """Mean training cross-entropy of the last epoch, nats."""
        return None if self.line is None else self.line.values.get("train/loss")

    @property
    def images_per_second(self) -> float | None:
        """Of the last epoch."""
        return None if self.line is None else self.line.timing.get("images_per_second")
