"""A note on runs of different training loss: gamma with raw logits falls with it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.report.tables import GAMMA, format_number

MOST_DIFFERENT = 2.0  # largest training loss over the smallest; one that is larger is noted


def note_on_losses(runs: Sequence[EvaluatedRun]) -> list[str]:
    """Return one sentence if runs whose gamma has raw logits differ by more than a factor of 2 in training loss.

    Where an image is fitted, the gradient of its loss is proportional to the loss. A loss of 1/c then lowers gamma by
    N ln c with N images in a draw, even if nothing else changes.
    """
    losses = [loss for run in runs if _is_raw(run) and (loss := run.evaluation.train.loss) is not None and loss > 0]
    if not losses or max(losses) <= MOST_DIFFERENT * min(losses):
        return []
    size = _convention(runs[0]).get("draw_size")
    halved = f" by about {size * math.log(2):.0f} nats if every loss is halved" if isinstance(size, int) else ""
    return [
        f"The training losses differ, from {format_number(min(losses))} to {format_number(max(losses))} nats. A lower "
        f"training loss alone lowers gamma{halved}. To compare flatness, train to one loss "
        "(schedule.stop_at_train_loss) or measure with normalised logits (eval RUN... measure.gamma.logit_scale=0.04)."
    ]


def _is_raw(run: EvaluatedRun) -> bool:
    return run.value(GAMMA) is not None and _convention(run).get("logit_scale") is None


def _convention(run: EvaluatedRun) -> dict[str, object]:
    found = run.evaluation.measures.get(GAMMA)
    return found.convention if found is not None and isinstance(found.convention, dict) else {}
