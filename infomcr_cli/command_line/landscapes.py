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
            help="Two runs of the same network and data, each RUN or RUN@CHECKPOINT; then overrides.",
            autocompletion=complete_run_or_override,
        ),
    ],
    align: Annotated[
        bool, typer.Option("--align", help="Permute the channels of B to match A (Ainsworth et al., 2023).")
    ] = False,
    points: Annotated[int, typer.Option(help="Points on each path, including both ends.")] = 21,
    steps: Annotated[
        int, typer.Option(help="Training steps for the curve (Garipov et al., 2018); 0: no curve.")
    ] = 1000,
    samples: Annotated[str, typer.Option(help="Training and test images per point: a number, or all.")] = "all",
    learning_rate: Annotated[
        float | None,
        typer.Option(help="Initial learning rate for the curve; default: that of A if SGD trained it, else 0.01."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed for the training of the curve and for the alignment.")] = 0,
    checkpoint: Annotated[
        str, typer.Option(help="Checkpoint of runs given without one: last, best, or a name.")
    ] = "last",
    name: Annotated[
        str | None,
        typer.Option(help="Name of the folder in landscapes/ of both runs; default: derived from the settings."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            readable=False, help="Write the results to this folder instead, where compare will not find them."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a different path in --name or --out.")] = False,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Compute loss and error along paths between two minima, and the barriers; run it again to continue."""
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
            help="Runs, each RUN or RUN@CHECKPOINT, plotted on one scale; then overrides.",
            autocompletion=complete_run_or_override,
        ),
    ] = None,
    through: Annotated[
        tuple[str, str, str] | None,
        typer.Option(metavar="A B C", help="Plot the plane through three minima, with their training trajectories."),
    ] = None,
    directions: Annotated[
        str,
        typer.Option(
            help="random: Gaussian, filter-normalised (Li et al., 2018); biases and normalization layers stay fixed. "
            "hessian: the top eigenvectors over all weights.",
            autocompletion=lambda: ["random", "hessian"],
        ),
    ] = "random",
    dimensions: Annotated[int | None, typer.Option(help="1: curves; 2: contours and surfaces. Default: 1.")] = None,
    points: Annotated[int | None, typer.Option(help="Points per axis; default: 51 for a curve, else 25.")] = None,
    radius: Annotated[
        float | None,
        typer.Option(
            help="Distance to either side, relative to the norms of the filters; default: 1, along eigenvectors 0.02."
        ),
    ] = None,
    batch_statistics: Annotated[
        str | None,
        typer.Option(
            help="keep or renew: use the minimum's moving statistics of batch norm, or recompute them at each point. "
            "Default: keep, because they are part of the minimum; renew with --through, because none fit in between.",
            autocompletion=lambda: ["keep", "renew"],
        ),
    ] = None,
    samples: Annotated[
        str | None, typer.Option(help="Training images: a number, or all; default: measure.samples.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed for random directions.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="Checkpoint: last, best, or a name.")] = "last",
    out: Annotated[
        Path | None, typer.Option(readable=False, help="Folder for the results; default: landscapes/ of each run.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a different landscape in --out.")] = False,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Compute training loss and error around minima, or on the plane through three; run it again to continue."""
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
            help="Runs, each RUN or RUN@CHECKPOINT, in one plot; then overrides.",
            autocompletion=complete_run_or_override,
        ),
    ],
    operator: Annotated[
        str,
        typer.Option(
            help="hessian: the Hessian of the training loss. fisher: G/N of the per-sample gradients, which has the "
            "non-zero eigenvalues of the empirical Fisher information.",
            autocompletion=lambda: ["hessian", "fisher"],
        ),
    ] = "hessian",
    probes: Annotated[int, typer.Option(help="Random vectors; their spread gives the standard error.")] = 10,
    steps: Annotated[int, typer.Option(help="Lanczos steps per vector; each takes one product over all samples.")] = 60,
    width: Annotated[
        float | None, typer.Option(help="σ of the Gaussian kernel; default: 1 % of the range of the eigenvalues.")
    ] = None,
    samples: Annotated[
        str | None, typer.Option(help="Training images: a number, or all; default: measure.samples.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed for the random vectors.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="Checkpoint: last, best, or a name.")] = "last",
    out: Annotated[
        Path | None, typer.Option(readable=False, help="Folder for the results; default: landscapes/ of each run.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a different result in --out.")] = False,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Estimate the eigenvalue density of the Hessian, or of G/N; run it again to continue."""
    from infomcr_cli.spectrum import SpectrumRequest
    from infomcr_cli.spectrum import spectrum as run_command

    runs, overrides = split_words(arguments)
    request = SpectrumRequest(
        runs, overrides, operator, probes, steps, width, samples, seed, checkpoint, out, force, config_dir
    )
    continued(lambda: run_command(request, stderr), as_json)
