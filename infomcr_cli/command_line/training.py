"""The commands `train`, `sweep` and `config`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from infomcr_cli.command_line.complete import complete_config, complete_run, complete_sweep
from infomcr_cli.command_line.shared import AsJson, ConfigDir, Overrides, finish, stderr
from infomcr_cli.console.output import can_show, print_json
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.errors import InputError

if TYPE_CHECKING:
    from infomcr_cli.config.schema.run import RunConfig

SweepOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[OVERRIDE]...",
        help="Hydra overrides, such as model=wrn reg=on,off 'seed=range(3)'.",
        autocompletion=complete_sweep,
    ),
]


def train(
    overrides: Overrides = None,
    run_dir: Annotated[
        Path | None, typer.Option(readable=False, help="The run directory; default: a new one in runs/.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            metavar="RUN",
            help="Resume this run from its last checkpoint.",
            autocompletion=complete_run,
        ),
    ] = None,
    print_config: Annotated[bool, typer.Option(help="Print the resolved settings as commented YAML and exit.")] = False,
    config_dir: ConfigDir = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Print where the time goes, and write a TensorBoard trace.")
    ] = False,
    as_json: AsJson = False,
    multirun: Annotated[bool, typer.Option("--multirun", "-m", hidden=True)] = False,
) -> None:
    """Train a network, with or without the regularizer."""
    if multirun:  # Hydra's word for a sweep
        sweep = suggested_command("sweep", *(overrides or ()), config_dir=config_dir)
        raise InputError("train trains one run", received="-m", advice=f"To train several, use {sweep}")
    from infomcr_cli.train import TrainRequest, settings_of
    from infomcr_cli.train import train as run_command

    request = TrainRequest(tuple(overrides or ()), run_dir, resume, config_dir, profile)
    if print_config:
        _print_config(settings_of(request), as_json)
        return
    result = run_command(request, stderr)
    finish(result, as_json, result.problem)


def _print_config(config: RunConfig, as_json: bool) -> None:
    from infomcr_cli.config.explained_yaml import to_explained_yaml
    from infomcr_cli.config.yaml_text import as_document, to_yaml

    if as_json:
        print_json(as_document(config))
        return
    text = to_explained_yaml(config)
    print(text if can_show(text) else to_yaml(config, escaped=True).decode(), end="")


def sweep(
    overrides: SweepOverrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the jobs and exit.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop all jobs at the first failure.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Retry jobs that failed before.")] = False,
    status: Annotated[
        bool,
        typer.Option(
            "--status", help="Show the progress of a sweep, given its name or overrides; default: the last one."
        ),
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="With --status: refresh until the sweep has ended.")] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Cancel the Slurm jobs of a sweep, given its name or overrides.")
    ] = False,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Train, measure and compare all combinations of the given values, or search them; run it again to continue."""
    others = {"--dry-run": dry_run, "--fail-fast": fail_fast, "--retry-failed": retry_failed}
    _check_alone("--cancel" if cancel else "--watch" if watch else "--status" if status else None, others)
    if cancel:
        _check_alone("--cancel", {"--status": status, "--watch": watch})
        from infomcr_cli.sweep_cancel import cancel_sweep

        finish(cancel_sweep(tuple(overrides or ())), as_json)
    if status or watch:
        _show_sweep(tuple(overrides or ()), watch, as_json)
    from infomcr_cli.sweep import SweepRequest, same_again
    from infomcr_cli.sweep import sweep as run_command

    request = SweepRequest(tuple(overrides or ()), dry_run, fail_fast, retry_failed, config_dir)
    result = run_command(request, stderr)
    finish(result, as_json, f"The sweep was interrupted. {same_again(request)}" if result.number is not None else "")


def _check_alone(option: str | None, others: Mapping[str, bool]) -> None:
    """Raise InputError if an option is combined with others that it would ignore, as in `--cancel --dry-run`."""
    given = [name for name, is_given in others.items() if is_given]
    if option is not None and given:
        raise InputError(
            f"{option} cannot be combined with other options",
            received=f"{option} {' '.join(given)}",
            advice="Leave one out.",
        )


def _show_sweep(words: tuple[str, ...], watches: bool, as_json: bool) -> NoReturn:
    """Print the progress of a sweep, once or until it has ended."""
    from infomcr_cli.sweep_status import sweep_status, watch

    finish(watch(words, stderr) if watches else sweep_status(words), as_json)


def explain(
    word: Annotated[
        str | None,
        typer.Argument(
            metavar="[GROUP|GROUP=CHOICE|SETTING]",
            help="For example optimizer, optimizer=adam, measure.gamma or reg.beta.",
            autocompletion=complete_config,
        ),
    ] = None,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Explain the settings of a run or a sweep: meaning, type, range, default and an example."""
    from infomcr_cli.explain_config import explain_config

    finish(explain_config(word, config_dir), as_json)
