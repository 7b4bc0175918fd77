"""Check that the users' network functions can be imported, before the first job of a sweep starts.

A dry run only looks for their modules. Before the first job starts, a separate process imports them, as each job will.
The import takes TensorFlow's seconds and memory, and it runs code that must not be able to end the sweep or to write
into its output.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence

from infomcr_cli.config.schema.model import BuilderConfig
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.models.custom import PATTERN
from infomcr_cli.models.module_source import is_module

COMMAND = (sys.executable, "-m", "infomcr_cli.engine.import_builders")


def builders_of(configs: Iterable[RunConfig]) -> list[BuilderConfig]:
    """Return the users' network functions among some runs, each once."""
    models = (config.model for config in configs if isinstance(config.model, BuilderConfig))
    return list({model.model_dump_json(): model for model in models}.values())


def check_found(builders: Sequence[BuilderConfig]) -> None:
    """Raise InputError if a function's module is missing; imports nothing."""
    for path in dict.fromkeys(model.builder for model in builders):
        module = path.partition(":")[0]
        if PATTERN.fullmatch(path) and not is_module(module):
            rule = "model.builder must name a module that can be imported"
            raise InputError(
                rule, received=path, advice=f"There is no module {module} in the working directory or on Python's path."
            )
        if not PATTERN.fullmatch(path):
            raise InputError("model.builder must be package.module:function", received=path)


def check_imported(builders: Sequence[BuilderConfig]) -> None:
    """Raise InputError if a function cannot be imported or does not take its keywords."""
    if not builders:
        return
    named = [(model.builder, sorted(model.settings)) for model in builders]
    request = json.dumps({"modules": sys.path, "builders": named})
    process = subprocess.run(COMMAND, input=request, capture_output=True, text=True, errors="replace", check=False)
    if process.returncode or process.stdout:
        raise _refusal(process, builders)


def _refusal(process: subprocess.CompletedProcess[str], builders: Sequence[BuilderConfig]) -> InputError:
    try:
        said = json.loads(process.stdout)
        return InputError(said["rule"], received=said["received"], advice=said["advice"])
    except ValueError:  # the module ended the process
        last = process.stderr.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        received = ", ".join(dict.fromkeys(model.builder for model in builders))
        rule = "model.builder must name a module that can be imported"
        return InputError(rule, received=received, advice=f"Importing it ended the process: {printable(last[0])}")
