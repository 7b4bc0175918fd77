"""The command `spectrum`: the spectral density of the Hessian, or of G/N, at minima."""

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
from infomcr_cli.landscapes.settings import OPERATORS, PROBES, STEPS, SpectrumSettings

Document = dict[str, Any]


@dataclass(frozen=True)
class SpectrumRequest:
    """What the command line asks for.

    Args:
        runs:       RUN or RUN@CHECKPOINT, in one picture.
        overrides:  Hydra overrides; none may change what makes a run's weights.
        operator:   "hessian" or "fisher".
        probes:     random vectors.
        steps:      of Lanczos, from each.
        width:      σ of the Gaussians; None: a hundredth of the range of the eigenvalues.
        samples:    a number of training images or "all"; None: `measure.samples`.
        checkpoint: of runs that name none.
        out:        the folder of the results; None: one in `landscapes/` of each run.
        force:      replace a spectrum with other settings in `out`.
    """

    runs: Sequence[str]
    overrides: Sequence[str] = ()
    operator: str = "hessian"
    probes: int = PROBES
    steps: int = STEPS
    width: float | None = None
    samples: str | None = None
    seed: int = 0
    checkpoint: str = "last"
    out: Path | None = None
    force: bool = False
    config_dir: Path | None = None


@dataclass(frozen=True)
class SpectrumResult:
    """The spectra as they are in their JSON document."""

    document: Mapping[str, Any]
    exit_code: int = 0

    def to_dict(self) -> Document:
        """Return the JSON document of `spectrum --json`."""
        return dict(self.document)

    def renderables(self, width: int) -> Iterator[RenderableType]:
        """Yield range and trace of each spectrum, and the files."""
        for run in self.document["runs"]:
            trace, error = run["trace"]["value"], run["trace"]["std_error"]
            shown = f"{trace:.4g}" if error is None else f"{trace:.4g} ± {error:.2g}"
            reach = f"from {run['smallest']:.4g} to {run['largest']:.4g}"
            yield f"{printable(run['name'])}  {run['size']:,} eigenvalues {reach}"
            below = self.document["negative_below"]
            yield f"  trace {shown}  below {below:.3g} {run['negative_share'] * run['size']:.3g} eigenvalues"
        yield f"Gaussians of width σ = {self.document['width']:.3g}"
        yield f"Written: {', '.join(printable(path, 4096) for path in self.document['files'])}"


def spectrum(request: SpectrumRequest, console: Console) -> SpectrumResult:
    """Compute spectral densities, write their nodes, weights and picture, and mirror them with the runs.

    Finished probes are not computed again; with another width, only the picture is drawn anew.

    Raises:
        InputError: a run, a checkpoint or a setting cannot be used; nothing was computed then.
    """
    _check(request)
    minima = open_minima(request.runs, request.checkpoint, request.overrides, request.config_dir, done="evaluated")
    settings = SpectrumSettings(
        cast(Literal["hessian", "fisher"], request.operator),
        request.probes,
        request.steps,
        request.width,
        request.seed,
        number_of_samples(request.samples, minima),
    )
    # Another width is another picture of the same values.
    content = {**asdict(settings), "width": None, "minima": [one.identity() for one in minima]}
    name = folder_name(f"spectrum-{settings.operator}", content)
    place = request.out.absolute() if request.out else minima[0].run.landscapes / name
    folder = ResultFolder(place, content, "spectrum.json")
    with open_result(folder, minima, request.out, request.overrides, force=request.force):
        document = folder.document()
        is_whole = can_be_shown(lambda: SpectrumResult(document).renderables(80))
        if not is_whole or document.get("requested_width") != settings.width or "negative_below" not in document:
            document = _computed(settings, minima, folder, console)
    return SpectrumResult(document)


def _check(request: SpectrumRequest) -> None:
    """Raise InputError unless all options can be used."""
    if not request.runs:
        raise InputError("spectrum needs at least one run", received="none")
    if request.operator not in OPERATORS:
        raise InputError("--operator must be known", received=request.operator, accepted=OPERATORS)
    # One step is exact for the trace, but not for the trace of the square.
    for name, value, least in (("--probes", request.probes, 1), ("--steps", request.steps, 2)):
        if not least <= value <= 10_000:
            raise InputError(f"{name} must be {least} to 10000", received=value)
    if request.width is not None and not 0 < request.width < 1e300:
        raise InputError("--width must be positive and finite", received=request.width)
    if request.seed < 0:
        raise InputError("--seed must be 0 or more", received=request.seed)


def _computed(
    settings: SpectrumSettings, minima: Sequence[Minimum], folder: ResultFolder, console: Console
) -> Document:
    import infomcr_cli.runtime  # noqa: F401 -- first: it keeps TensorFlow quiet and its import short
    from infomcr_cli.landscapes.density_pictures import density_pictures
    from infomcr_cli.landscapes.spectra import compute_spectra

    with redirect_stdout(sys.stderr):  # a network of the user's own may print
        found = compute_spectra(settings, minima, folder, console)
    document = {**asdict(settings), "requested_width": settings.width, **found}
    return folder.finish(document, density_pictures(document))
