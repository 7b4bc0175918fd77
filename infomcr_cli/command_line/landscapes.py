"""The commands `path`, `landscape` and `spectrum`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infomcr_cli.command_line.complete import complete_run_or_override
from infomcr_cli.command_line.shared import AsJson, ConfigDir, continued, split_words, stderr


def path_between(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="A B [OVERRIDE]...",
            help="Two runs of one network on the same data, RUN or RUN@CHECKPOINT; then overrides.",
            autocompletion=complete_run_or_override,
        ),
    ],
    align: Annotated[
        bool, typer.Option("--align", help="Permute the channels of B to those of A (Ainsworth et al., 2023).")
    ] = False,
    points: Annotated[int, typer.Option(help="Points of each path, the ends included.")] = 21,
    steps: Annotated[int, typer.Option(help="Training steps of the curve (Garipov et al., 2018); 0: no curve.")] = 1000,
    samples: Annotated[str, typer.Option(help="Training and test images of each point, a number or all.")] = "all",
    learning_rate: Annotated[
        float | None, typer.Option(help="Of the curve at the start; default: that of A if SGD trained it, else 0.01.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the curve's batches and places, and of the alignment.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="Of runs that name none: last, best, or the name of one.")] = "last",
    name: Annotated[
        str | None, typer.Option(help="Of the folder in landscapes/ of both runs; default: one for these settings.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(readable=False, help="Another folder for the results; compare does not see it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace another path in --name or --out.")] = False,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Show loss and error from one minimum to another, and the barrier between; run it again to continue."""
    from infomcr_cli.path import PathRequest
    from infomcr_cli.path import path as run_command

    runs, overrides = split_words(arguments)
    request = PathRequest(
        runs,
        overrides,
        checkpoint,
        points,
        steps,
        samples,
        align,
        learning_rate,
        seed,
        name,
        out,
        force,
        config_dir,
    )
    continued(lambda: run_command(request, stderr), as_json)


def landscape(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]... [OVERRIDE]...",
            help="Runs, RUN or RUN@CHECKPOINT, side by side on one scale; then overrides.",
            autocompletion=complete_run_or_override,
        ),
    ] = None,
    through: Annotated[
        tuple[str, str, str] | None,
        typer.Option(metavar="A B C", help="The plane through three minima, with the paths of their training."),
    ] = None,
    directions: Annotated[
        str,
        typer.Option(
            help="random: Gaussian, normalised by filter (Li et al., 2018); biases and the weights of norms stay as "
            "they are. hessian: the top eigenvectors, of all weights.",
            autocompletion=lambda: ["random", "hessian"],
        ),
    ] = "random",
    dimensions: Annotated[int | None, typer.Option(help="1: curves; 2: contours and surfaces. Default: 1.")] = None,
    points: Annotated[int | None, typer.Option(help="Points of each axis; default: 51 of a curve, else 25.")] = None,
    radius: Annotated[
        float | None,
        typer.Option(
            help="How far to both sides, in lengths of the network's filters; default: 1, along eigenvectors 0.02."
        ),
    ] = None,
    batch_statistics: Annotated[
        str | None,
        typer.Option(
            help="Moving statistics of batch norm: keep those of the minimum, or renew them at each point. Default: "
            "keep, for they are part of the minimum; renew with --through, for between minima none fit.",
            autocompletion=lambda: ["keep", "renew"],
        ),
    ] = None,
    samples: Annotated[
        str | None, typer.Option(help="Training images, a number or all; default: measure.samples.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of random directions.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="last, best, or the name of one.")] = "last",
    out: Annotated[
        Path | None, typer.Option(readable=False, help="The folder of the results; default: landscapes/ of each run.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace another landscape in --out.")] = False,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Show training loss and error around minima, or on the plane through three; run it again to continue."""
    from infomcr_cli.landscape import LandscapeRequest
    from infomcr_cli.landscape import landscape as run_command

    runs, overrides = split_words(arguments or [])
    request = LandscapeRequest(
        runs,
        through or (),
        overrides,
        checkpoint,
        directions,
        dimensions,
        points,
        radius,
        batch_statistics,
        samples,
        seed,
        out,
        force,
        config_dir,
    )
    continued(lambda: run_command(request, stderr), as_json)


def spectrum(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN... [OVERRIDE]...",
            help="Runs, RUN or RUN@CHECKPOINT, in one picture; then overrides.",
            autocompletion=complete_run_or_override,
        ),
    ],
    operator: Annotated[
        str,
        typer.Option(
            help="hessian: of the training loss. fisher: G/N of the gradients of single samples, with the spectrum of "
            "the observed Fisher information but for zeros.",
            autocompletion=lambda: ["hessian", "fisher"],
        ),
    ] = "hessian",
    probes: Annotated[int, typer.Option(help="Random vectors; their spread gives the standard error.")] = 10,
    steps: Annotated[int, typer.Option(help="Lanczos steps from each, a product over the samples each.")] = 60,
    width: Annotated[
        float | None, typer.Option(help="σ of the Gaussians; default: a hundredth of the range of the eigenvalues.")
    ] = None,
    samples: Annotated[
        str | None, typer.Option(help="Training images, a number or all; default: measure.samples.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random vectors.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="last, best, or the name of one.")] = "last",
    out: Annotated[
        Path | None, typer.Option(readable=False, help="The folder of the results; default: landscapes/ of each run.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace another result in --out.")] = False,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Estimate how the eigenvalues of the Hessian, or of G/N, are distributed; run it again to continue."""
    from infomcr_cli.spectrum import SpectrumRequest
    from infomcr_cli.spectrum import spectrum as run_command

    runs, overrides = split_words(arguments)
    request = SpectrumRequest(
        runs, overrides, operator, probes, steps, width, samples, seed, checkpoint, out, force, config_dir
    )
    continued(lambda: run_command(request, stderr), as_json)
