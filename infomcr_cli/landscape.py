"""The command `landscape`: loss and error around minima, or on the plane through three of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from rich.console import Console, RenderableType

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.folder import ResultFolder, can_be_shown, folder_name, open_result
from infomcr_cli.landscapes.minima import Minimum, number_of_samples, open_minima
from infomcr_cli.landscapes.same_network import check_same_network
from infomcr_cli.landscapes.settings import (
    BATCH_STATISTICS,
    DIRECTIONS,
    MOST_POINTS,
    POINTS,
    RADIUS,
    LandscapeSettings,
)

Document = dict[str, Any]


@dataclass(frozen=True)
class LandscapeRequest:
    """What the command line asks for.

    Args:
        runs:             RUN or RUN@CHECKPOINT, each with a landscape of its own.
        through:          three minima whose plane is shown instead.
        overrides:        Hydra overrides; none may change what makes a run's weights.
        checkpoint:       of runs that name none.
        directions:       "random" or "hessian".
        dimensions:       1 or 2; None: 1, and 2 for a plane.
        points:           of each axis; None: 51 of a curve, 25 of a surface.
        radius:           how far to both sides; None: 1 for random directions, 0.02 for eigenvectors.
        batch_statistics: "keep" or "renew"; None: keep around one minimum, renew on a plane.
        samples:          a number of training images or "all"; None: `measure.samples`.
        out:              the folder of the results; None: one in `landscapes/` of each run.
        force:            replace a landscape with other settings in `out`.
    """

    runs: Sequence[str] = ()
    through: Sequence[str] = ()
    overrides: Sequence[str] = ()
    checkpoint: str = "last"
    directions: str = "random"
    dimensions: int | None = None
    points: int | None = None
    radius: float | None = None
    batch_statistics: str | None = None
    samples: str | None = None
    seed: int = 0
    out: Path | None = None
    force: bool = False
    config_dir: Path | None = None


@dataclass(frozen=True)
class LandscapeResult:
    """The landscape as it is in its JSON document."""

    document: Mapping[str, Any]
    exit_code: int = 0

    def to_dict(self) -> Document:
        """Return the JSON document of `landscape --json`."""
        return dict(self.document)

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield the range of each surface, and the files."""
        for run in self.document["runs"]:
            yield f"{printable(run['name'])}  loss {_number(run['loss'])}  error {_percent(run['error'])}"
            if "eigenvalues" in run:
                yield f"  eigenvalues {', '.join(f'{value:.4g}' for value in run['eigenvalues'])}"
            yield from _range(run.get("surface"))
        yield from _range(self.document.get("surface"))
        yield f"Written: {', '.join(printable(path, 4096) for path in self.document['files'])}"


def landscape(request: LandscapeRequest, console: Console) -> LandscapeResult:
    """Compute a landscape, write its values and pictures, and mirror them with the runs.

    A landscape that is complete is not computed again; one that was stopped continues where it was.

    Raises:
        InputError: a run, a checkpoint or a setting cannot be used; nothing was computed then.
    """
    _check(request)
    words = request.through or request.runs
    minima = open_minima(words, request.checkpoint, request.overrides, request.config_dir, done="evaluated")
    if request.through:
        check_same_network("the corners of a plane", minima)
    settings = settings_of(request, minima)
    content = {**asdict(settings), "minima": [one.identity() for one in minima]}
    name = folder_name(f"{settings.kind}-{settings.dimensions}d", content)
    place = request.out.absolute() if request.out else minima[0].run.landscapes / name
    folder = ResultFolder(place, content, "landscape.json")
    with open_result(folder, minima, request.out, request.overrides, force=request.force):
        document = folder.document()
        if not can_be_shown(lambda: LandscapeResult(document).renderables(80)):
            document = _computed(settings, minima, folder, console)
    return LandscapeResult(document)


def settings_of(request: LandscapeRequest, minima: Sequence[Minimum]) -> LandscapeSettings:
    """Return the settings of a landscape with the defaults of its kind.

    Raises:
        InputError: `--samples` is no number of images.
    """
    kind = cast(Literal["random", "hessian", "plane"], "plane" if request.through else request.directions)
    dimensions = request.dimensions or (2 if request.through else 1)
    radius = None if request.through else request.radius or RADIUS[kind]
    statistics = request.batch_statistics or ("renew" if request.through else "keep")
    return LandscapeSettings(
        kind,
        dimensions,
        request.points or POINTS[dimensions],
        radius,
        request.seed,
        number_of_samples(request.samples, minima),
        cast(Literal["keep", "renew"], statistics),
    )


def _check(request: LandscapeRequest) -> None:
    """Raise InputError unless all options fit together."""
    if bool(request.runs) == bool(request.through):
        received = "both" if request.runs else "neither"
        raise InputError("landscape takes either runs, or --through with three minima", received=received)
    if request.through and (request.dimensions == 1 or request.radius is not None or request.directions != "random"):
        rule = "a plane through three minima has its own directions: --through takes no --dimensions 1, --radius and "
        raise InputError(f"{rule}--directions")
    if request.directions not in DIRECTIONS:
        raise InputError("--directions must be known", received=request.directions, accepted=DIRECTIONS)
    if request.batch_statistics is not None and request.batch_statistics not in BATCH_STATISTICS:
        raise InputError(
            "--batch-statistics must be known", received=request.batch_statistics, accepted=BATCH_STATISTICS
        )
    if request.dimensions not in (None, 1, 2):
        raise InputError("--dimensions must be 1 or 2", received=request.dimensions)
    if request.points is not None and not 3 <= request.points <= MOST_POINTS:
        raise InputError(f"--points must be 3 to {MOST_POINTS} on each axis", received=request.points)
    if request.radius is not None and not 0 < request.radius < 1e6:
        raise InputError("--radius must be positive and finite", received=request.radius)
    if request.seed < 0:
        raise InputError("--seed must be 0 or more", received=request.seed)


def _computed(
    settings: LandscapeSettings, minima: Sequence[Minimum], folder: ResultFolder, console: Console
) -> Document:
    """Compute what is missing, draw it, and write the document last."""
    import infomcr_cli.runtime  # noqa: F401 -- first: it keeps TensorFlow quiet and its import short
    from infomcr_cli.landscapes.landscape import compute_landscape
    from infomcr_cli.landscapes.landscape_document import drawing_of
    from infomcr_cli.landscapes.surface_pictures import pictures

    with redirect_stdout(sys.stderr):  # a network of the user's own may print
        found = compute_landscape(settings, minima, folder, console)
    document = {**asdict(settings), **found}
    return folder.finish(document, pictures(drawing_of(document)))


def _range(surface: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield a line with the least and the greatest loss and error of a surface."""
    if surface is None:
        return
    import numpy as np

    loss, error = (np.array(surface[name], np.float64).ravel() for name in ("loss", "error"))
    known = loss[np.isfinite(loss)]
    if len(known):
        least, most = np.nanmin(error), np.nanmax(error)
        yield f"  loss {_number(known.min())} to {_number(known.max())}  error {_percent(least)} to {_percent(most)}"
    if len(known) < len(loss):
        yield f"  {len(loss) - len(known)} of {len(loss)} points have a loss that is not finite"


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"


def _percent(value: float) -> str:
    return f"{value:.2%}"
