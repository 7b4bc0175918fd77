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
            metavar="[FILE]... [OVERRIDE]...", help="Model files or quoted globs, then overrides such as data=npz."
        ),
    ] = None,
    run_dir: Annotated[Path | None, typer.Option(readable=False, help="The run directory; default: runs/FILE.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Record a training hyperparameter, used by compare; repeatable."
        ),
    ] = None,
    initial: Annotated[
        Path | None, typer.Option(readable=False, metavar="FILE", help="The weights before training.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            readable=False, metavar="FILE.csv", help="A table with a column `file`; the other columns are settings."
        ),
    ] = None,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Create runs from networks trained elsewhere: .keras files, or weight files with model=."""
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
    checkpoint: Annotated[str, typer.Option(help="Checkpoint: last, best, or a name.")] = "last",
    raw: Annotated[bool, typer.Option("--raw", help="Omit the layer that scales the input.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Export a run's network as a plain Keras model (or ONNX, or SavedModel) that scales its input."""
    from infomcr_cli.export import ExportRequest, export_run

    request = ExportRequest(run, file, tuple(overrides or ()), checkpoint, raw, force, config_dir)
    finish(export_run(request, stderr), as_json)
