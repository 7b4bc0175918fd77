"""The commands `import` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infomcr_cli.command_line.complete import complete_run
from infomcr_cli.command_line.shared import AsJson, ConfigDir, Overrides, finish, split_words, stderr


def import_model(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]... [OVERRIDE]...", help="Files of models or quoted globs, then overrides such as data=npz."
        ),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(readable=False, help="The run's directory; default: runs/FILE.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A hyperparameter of the training, for compare; repeatable."),
    ] = None,
    initial: Annotated[
        Path | None, typer.Option(readable=False, metavar="FILE", help="The weights before training.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            readable=False, metavar="FILE.csv", help="A line for each file: a column `file`, the rest settings."
        ),
    ] = None,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Make runs of networks that were trained elsewhere: .keras files, or weights with model=."""
    from infomcr_cli.import_model import ImportRequest, import_models

    files, overrides = split_words(arguments or [])
    request = ImportRequest(files, overrides, run_dir, settings or (), initial, table, config_dir)
    finish(import_models(request, stderr), as_json)


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory.", autocompletion=complete_run)],
    file: Annotated[
        Path,
        typer.Argument(
            readable=False, metavar="FILE", help="NAME.keras, NAME.weights.h5, NAME.onnx, or a SavedModel folder."
        ),
    ],
    overrides: Overrides = None,
    checkpoint: Annotated[str, typer.Option(help="last, best, or the name of one.")] = "last",
    raw: Annotated[bool, typer.Option("--raw", help="Leave out the scaling of the input.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a run's network as a plain Keras model, the scaling of its input included."""
    from infomcr_cli.export import ExportRequest, export_run

    request = ExportRequest(run, file, tuple(overrides or ()), checkpoint, raw, force, config_dir)
    finish(export_run(request, stderr), as_json)
