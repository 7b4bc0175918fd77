"""The notes of a comparison: what is not ranked, and what a reader must know about the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infomcr_cli.config.allowed_builders import named_again
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.console.text import printable
from infomcr_cli.judging.result import MOST_IMAGES
from infomcr_cli.judging.sign_error import LOSS_GAP
from infomcr_cli.report.evaluated_run import EvaluatedRun
from infomcr_cli.report.pairwise import note_on_single_runs, note_on_single_seeds
from infomcr_cli.report.tables import GAMMA, format_number
from infomcr_cli.runs import list_checkpoints

if TYPE_CHECKING:
    from infomcr_cli.report.comparison import Comparison

MOST_NAMES = 10  # runs that a note names
MOST_DIFFERENT = 2.0  # largest training loss over the smallest; one that is larger is noted


def notes_on(comparison: Comparison) -> list[str]:
    """Return the notes that a comparison is shown with, a sentence or two each."""
    notes = [*note_on_single_runs(comparison), *note_on_single_seeds(comparison)]
    notes += [*note_on_losses(comparison.included), *comparison.ranking.notes]
    if comparison.conflicts:
        notes.append("Values of different conventions were ranked together (--allow-mixed); they are marked with *.")
        notes += [conflict.sentence() for conflict in comparison.conflicts]
    if excluded := [run for run in comparison.excluded if run.missed_target]:
        names = ", ".join(run.name for run in excluded[:MOST_NAMES])
        notes.append(f"Not ranked, because they did not reach their target training loss ({len(excluded)}): {names}.")
    if unevaluated := comparison.unevaluated:
        names = " ".join(run.name for run in unevaluated[:MOST_NAMES])
        notes.append(f"No evaluation of the checkpoint {comparison.checkpoint!r} ({len(unevaluated)}): {names}.")
        for command in _eval_commands(comparison):
            how = ", with the function that model.builder names" if " model.builder=" in command else ""
            notes.append(f"To measure them{how}: `{command}`")
    if len({run.evaluation.n_test for run in comparison.included} - {None}) > 1:
        notes.append("The test sets differ in size; the sign error uses the smallest.")
    if comparison.gap == "loss" and comparison.ranking.has_sign_error:
        notes.append(LOSS_GAP)
    return notes + [f"Skipped {line}." for line in comparison.skipped]


def _eval_commands(comparison: Comparison) -> list[str]:
    """Return the commands that evaluate the unevaluated runs, one for each network that the user must name again."""
    option = [] if comparison.checkpoint == "last" else ["--checkpoint", comparison.checkpoint]
    runs_of: dict[tuple[str, ...], list[Path]] = {}
    for run in comparison.unevaluated[:MOST_NAMES]:
        checkpoints = [info.name for info in list_checkpoints(run.directory)]
        if checkpoints and comparison.checkpoint in ("last", "best", *checkpoints):
            builder = {"model": {"builder": run.config.get("model.builder")}}
            runs_of.setdefault(tuple(named_again(builder)), []).append(run.directory.path)
    commands = [suggested_command("eval", *runs, *option, *named) for named, runs in runs_of.items()]
    # what cannot be printed as it is would name another run
    return [command for command in commands if command == printable(command, 8192)]


def note_on_losses(runs: Sequence[EvaluatedRun]) -> list[str]:
    """Return one sentence if runs whose gamma has raw logits differ by more than a factor of 2 in training loss.

    Where an image is fitted, the gradient of its loss is proportional to the loss. A loss of 1/c then lowers gamma by
    N ln c with N images in a draw, even if nothing else changes.
    """
    raw = [run for run in runs if run.value(GAMMA) is not None and _convention(run).get("logit_scale") is None]
    losses = [loss for run in raw if (loss := run.evaluation.train.loss) is not None and loss > 0]
    if not losses or max(losses) <= MOST_DIFFERENT * min(losses):
        return []
    size = _convention(runs[0]).get("draw_size")
    halved = ""
    if isinstance(size, int) and 0 < size <= MOST_IMAGES:
        halved = f" by about {size * math.log(2):.0f} nats if every loss is halved"
    return [
        f"The training losses differ, from {format_number(min(losses))} to {format_number(max(losses))} nats. A lower "
        f"training loss alone lowers gamma{halved}. To compare flatness, train to the same loss "
        "(schedule.stop_at_train_loss) or measure with normalised logits (eval RUN... measure.gamma.logit_scale=0.04)."
    ]


def _convention(run: EvaluatedRun) -> dict[str, object]:
    found = run.evaluation.measures.get(GAMMA)
    return found.convention if found is not None and isinstance(found.convention, dict) else {}
