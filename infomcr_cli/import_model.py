"""The command `import`: a run of a network that was trained elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.overrides import parse
from infomcr_cli.config.schema.imported import UNKNOWN
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.text import printable
from infomcr_cli.data import check_source
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.architecture import read_architecture
from infomcr_cli.exchange.archive import config_bytes, opened_archive
from infomcr_cli.exchange.sources import WeightSource, find_sources
from infomcr_cli.exchange.uploads import upload_recorded_checkpoints
from infomcr_cli.exchange.weights_file import check_weights_file
from infomcr_cli.experiment.resolve_settings import resolved
from infomcr_cli.runs import RunDirectory
from infomcr_cli.tracking.known_stores import add_known_store, store_of_run
from infomcr_cli.tracking.sync import sync_run

TRAINING = ("data.batch_size", "data.validation_size")  # of data, but only training uses them


@dataclass(frozen=True)
class ImportRequest:
    """What the command line asks for.

    Args:
        files:      .keras, .weights.h5 and .safetensors files, or quoted globs.
        overrides:  Hydra overrides; those of a training are refused.
        run_dir:    the run's directory; None: a new one below `runs_dir`, named after the file.
        settings:   NAME=VALUE, hyperparameters of the training.
        initial:    the weights before training.
        table:      a CSV file with settings for each file.
        config_dir: a folder of configuration that comes first.
    """

    files: Sequence[str]
    overrides: Sequence[str] = ()
    run_dir: Path | None = None
    settings: Sequence[str] = ()
    initial: Path | None = None
    table: Path | None = None
    config_dir: Path | None = None


@dataclass(frozen=True)
class ImportResult:
    """The runs that were made, as they are in the JSON document."""

    exit_code: ClassVar[int] = 0

    runs: tuple[Mapping[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `import --json`."""
        return {"runs": list(self.runs)}

    def renderables(self, width: int) -> Iterator[str]:
        """Yield where each run is."""
        for run in self.runs:
            yield f"{run['state']}  {run['run']}"


def import_models(request: ImportRequest, console: Console) -> ImportResult:
    """Make a FINISHED run of each file, measure its losses, and mirror it.

    Raises:
        InputError: a file, a setting or the data cannot be used; the runs of files before it are made.
    """
    sources = find_sources(request.files, request.settings, initial=request.initial, table=request.table)
    _check_place(request.run_dir, len(sources))
    for path in (path for source in sources for path in (source.file, source.initial) if path):
        _check_file(path)
    config = _settings(request, sources)
    check_source(config.data)
    add_known_store(config.tracking.uri)
    import infomcr_cli.runtime  # noqa: F401 -- first: it keeps TensorFlow quiet and its import short
    from infomcr_cli.exchange.importing import Importer

    with redirect_stdout(sys.stderr):
        importer = Importer(config, request.overrides, console)
    documents: list[Mapping[str, Any]] = []
    for number, source in enumerate(sources, start=1):
        counted = f" ({number} of {len(sources)})" if len(sources) > 1 else ""
        console.print(f"reading {source.file}{counted}", markup=False, highlight=False, soft_wrap=True)
        try:
            with redirect_stdout(sys.stderr):  # a network of the user's own may print
                run, document = importer.make_run(source, request.run_dir)
        except InputError as error:
            raise _about(source, error, documents) from None
        _mirror(run, console)
        documents.append(document)
    return ImportResult(tuple(documents))


def _about(source: WeightSource, error: InputError, made: Sequence[Mapping[str, Any]]) -> InputError:
    """Return an error that names its file, and the runs that were made before it."""
    name = printable(source.file.name)
    rule = error.rule if name in error.rule else f"{name} cannot be imported: {error.rule}"
    before = f"Imported before it: {', '.join(run['run'] for run in made)}." if made else None
    advice = " ".join(filter(None, (error.advice, before))) or None
    return InputError(rule, received=error.received, accepted=error.accepted, advice=advice)


def _settings(request: ImportRequest, sources: Sequence[WeightSource]) -> RunConfig:
    keys = [override.key_or_group for override in parse(request.overrides)]
    for key, text in zip(keys, request.overrides, strict=True):
        if key.partition(".")[0] in UNKNOWN or key in TRAINING:
            advice = f"Record how the network was trained with --set {text}."
            raise InputError("import does not train, so it takes no training settings", received=text, advice=advice)
        if key.partition(".")[0] == "model" and any(source.is_keras for source in sources):
            rule = "a .keras file contains its layers, so model= is only for weights files"
            raise InputError(rule, received=text, advice="Leave it out.")
    if not any(key == "model" for key in keys) and not all(source.is_keras for source in sources):
        weights = next(source.file for source in sources if not source.is_keras)
        advice = "Try model=wrn with its settings, or model=builder model.builder=package.module:function."
        raise InputError("a weights file needs the network that it belongs to", received=str(weights), advice=advice)
    raw = () if "data.scaling" in keys else ("++data.scaling=raw",)
    config = resolved(compose_run([*request.overrides, *raw], request.config_dir))
    data = config.data.model_copy(update={"batch_size": 1})  # the stand-in of a run without training
    return config.model_copy(update={"data": data})


def _check_file(path: Path) -> None:
    """Raise InputError if a file is certain to be refused; nothing is built, and no weight is read."""
    if not path.name.endswith(".keras"):
        check_weights_file(path)
        return
    with opened_archive(path) as archive:
        read_architecture(config_bytes(archive, path), f"config.json of {printable(path.name)}")


def _check_place(run_dir: Path | None, count: int) -> None:
    """Raise InputError if the run's directory cannot be made: it is made last, after the file is measured."""
    if run_dir is None:
        return
    if count > 1:
        advice = "Use runs_dir=FOLDER instead, the folder for all runs."
        raise InputError("--run-dir can be used with one file only", received=f"{count} files", advice=advice)
    if run_dir.exists() and (not run_dir.is_dir() or any(run_dir.iterdir())):
        raise InputError("the run directory already exists", received=str(run_dir), advice="Give another --run-dir.")


def _mirror(run: RunDirectory, console: Console) -> None:
    store = store_of_run(run)
    problem = store and (sync_run(run, store).problem or upload_recorded_checkpoints(run, store))
    if problem:
        console.print(f"MLflow: {problem}", markup=False, highlight=False, soft_wrap=True)
