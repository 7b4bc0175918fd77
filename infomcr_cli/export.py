"""The command `export`: a run's network as a plain Keras model that needs no infomcr."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console

from infomcr_cli.data import check_source
from infomcr_cli.errors import InputError
from infomcr_cli.exchange.formats import check_target, format_of
from infomcr_cli.experiment.recorded_settings import measured_run
from infomcr_cli.runs import RunDirectory, list_checkpoints


@dataclass(frozen=True)
class ExportRequest:
    """What the command line asks for.

    Args:
        run:        a run directory.
        target:     NAME.keras, NAME.weights.h5, NAME.onnx, or a folder for a SavedModel.
        overrides:  Hydra overrides, such as data.root=; none may change what makes the run's weights.
        checkpoint: "last", "best" or the name of one.
        raw:        leave out the scaling of the input.
        force:      replace an existing `target`.
        config_dir: a folder of configuration that comes first.
    """

    run: str
    target: Path
    overrides: Sequence[str] = ()
    checkpoint: str = "last"
    raw: bool = False
    force: bool = False
    config_dir: Path | None = None


@dataclass(frozen=True)
class ExportResult:
    """What was written: the JSON document."""

    exit_code: ClassVar[int] = 0

    document: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document of `export --json`."""
        return dict(self.document)

    def renderables(self, width: int) -> Iterator[str]:
        """Yield the file, what the network takes, and the notes."""
        yield f"{self.document['file']}  step {self.document['step']}"
        yield f"  input: {self.document['input']}"
        yield from (f"  {note}" for note in self.document["notes"])


def export_run(request: ExportRequest, console: Console) -> ExportResult:
    """Write a run's network to a file.

    Raises:
        InputError: the run, its checkpoint or the place cannot be used; nothing was written.
    """
    run = RunDirectory.open(request.run)
    config = measured_run(run, request.overrides, request.config_dir, done="exported")
    found = [info.name for info in list_checkpoints(run)]
    if not found or request.checkpoint not in ("last", "best", *found):
        accepted = ["last", "best", *found] if found else ()
        raise InputError("a checkpoint must exist", received=request.checkpoint, accepted=accepted)
    check_target(request.target, force=request.force)
    check_source(config.data)
    import infomcr_cli.runtime  # noqa: F401 -- first: it keeps TensorFlow quiet and its import short
    from infomcr_cli.exchange.exporting import export_network

    console.print(f"{run.name} {request.checkpoint} → {request.target}", markup=False, highlight=False, soft_wrap=True)
    wanted = format_of(request.target)
    with redirect_stdout(sys.stderr):  # a network of the user's own may print
        written = export_network(run, config, request.checkpoint, request.target, wanted, raw=request.raw)
    return ExportResult(written)
