"""The command `path`: loss and error on the way from one minimum to another, and the barrier between them."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.folder import folder_name, open_result
from infomcr_cli.landscapes.minima import Minimum, open_minima, parsed_samples
from infomcr_cli.landscapes.path_folder import PathFolder
from infomcr_cli.landscapes.path_settings import (
    MOST_POINTS,
    MOST_STEPS,
    POINTS,
    STEPS,
    PathSettings,
    curve_training,
)
from infomcr_cli.landscapes.same_network import check_same_network
from infomcr_cli.report.path_document import PathDocument


@dataclass(frozen=True)
class PathRequest:
    """What the command line asks for.

    Args:
        runs:          the two ends, RUN or RUN@CHECKPOINT.
        overrides:     Hydra overrides; none may change what makes a run's weights.
        checkpoint:    of ends that name none.
        points:        of each path.
        steps:         of training of the curve; 0: no curve.
        samples:       a number of training and test images, or "all".
        align:         whether the second network's channels are aligned.
        learning_rate: of the curve; None: that of the first run.
        name:          of the folder in `landscapes/` of the runs; None: derived from the settings.
        out:           another folder for the results.
        force:         replace a path with other settings there.
    """

    runs: Sequence[str]
    overrides: Sequence[str] = ()
    checkpoint: str = "last"
    points: int = POINTS
    steps: int = STEPS
    samples: str = "all"
    align: bool = False
    learning_rate: float | None = None
    seed: int = 0
    name: str | None = None
    out: Path | None = None
    force: bool = False
    config_dir: Path | None = None


@dataclass(frozen=True)
class PathResult:
    """The path as it is in its JSON document."""

    document: PathDocument
    exit_code: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `path --json`."""
        return self.document.model_dump(mode="json")

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield the ends, the barriers, and the files."""
        from infomcr_cli.report.barriers import path_renderables

        yield from path_renderables(self.document, width)


def path(request: PathRequest, console: Console) -> PathResult:
    """Compute the paths between two minima, write values and pictures, and mirror them with the runs.

    A path that is complete is not computed again; one that was stopped continues where it was.

    Raises:
        InputError: a run, a checkpoint or a setting cannot be used, or the ends are not alike; nothing was computed.
    """
    _check(request)
    first, last = open_minima(request.runs, request.checkpoint, request.overrides, request.config_dir, done="evaluated")
    check_same_network("the ends of a path", (first, last))
    settings = PathSettings(
        request.points,
        request.steps,
        parsed_samples(request.samples),
        request.align,
        request.seed,
        request.learning_rate,
    )
    content = {**asdict(settings), "ends": [one.identity() for one in (first, last)]}
    if settings.steps:
        content["training"] = curve_training(settings, first.config)
    place = (
        request.out.absolute() if request.out else first.run.landscapes / (request.name or folder_name("path", content))
    )
    folder = PathFolder(place, content)
    with open_result(folder, (first, last), request.out, request.overrides, force=request.force):
        document = folder.known() or _computed(settings, (first, last), folder, console)
    return PathResult(document)


def _check(request: PathRequest) -> None:
    """Raise InputError unless all options can be used."""
    if len(request.runs) != 2:
        raise InputError("path takes two runs, each RUN or RUN@CHECKPOINT", received=" ".join(request.runs) or "none")
    if not 3 <= request.points <= MOST_POINTS:
        raise InputError(f"--points must be 3 to {MOST_POINTS}", received=request.points)
    if not 0 <= request.steps <= MOST_STEPS:
        raise InputError(f"--steps must be 0 (no curve) to {MOST_STEPS}", received=request.steps)
    rate = request.learning_rate
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise InputError("--learning-rate must be positive and finite", received=rate)
    if request.seed < 0:
        raise InputError("--seed must be 0 or more", received=request.seed)
    if request.name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", request.name):
        raise InputError("--name may contain only letters, digits, _, . and -", received=request.name)
    if request.name is not None and request.out is not None:
        raise InputError("--name and --out cannot be combined", received=f"{request.name} and {request.out}")


def _computed(
    settings: PathSettings, ends: tuple[Minimum, Minimum], folder: PathFolder, console: Console
) -> PathDocument:
    """Compute what is missing, draw it, and write the document last."""
    import infomcr_cli.runtime  # noqa: F401 -- first: it keeps TensorFlow quiet and its import short
    from infomcr_cli.landscapes.path import compute_path
    from infomcr_cli.report.plots.path import path_plot

    with redirect_stdout(sys.stderr):  # a network of the user's own may print
        document, control = compute_path(settings, ends, folder, console)
    return folder.complete(document, control, path_plot(document))
