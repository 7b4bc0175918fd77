"""The command line: parse, call a command, print. What is heavy is imported once it is known to be needed."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from infomcr_cli import __version__
from infomcr_cli.command_help import App
from infomcr_cli.complete import (
    complete_config,
    complete_override,
    complete_run,
    complete_run_or_override,
    complete_sweep,
)
from infomcr_cli.console.output import Result, can_show, close_streams, open_streams, print_json, print_result
from infomcr_cli.console.redaction import RedactingFilter, redact
from infomcr_cli.console.screen import Screen, say
from infomcr_cli.console.suggestions import suggested_command
from infomcr_cli.errors import InputError, RunFailedError, explained
from infomcr_cli.user_folders import ensure_home

app = App(
    name="infomcr",
    help="Which minimum of a network will generalize, and how to train towards such minima.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
stderr = Screen(stderr=True)

MaxTrainLoss = Annotated[
    float | None, typer.Option(metavar="LOSS", help="Leave out what has a higher training loss; it is said how many.")
]
ByFamily = Annotated[bool, typer.Option("--by-family", help="Name the best measure of each family.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
RunsDir = Annotated[Path, typer.Option(readable=False, help="The folder of runs; MLflow's store is beside it.")]
TrackingUri = Annotated[
    str | None, typer.Option(help="An MLflow store; default: MLFLOW_TRACKING_URI, else mlflow/ beside the runs.")
]
ConfigDir = Annotated[
    Path | None,
    typer.Option(
        readable=False,  # here and below: what cannot be read is said where it is read, in one line
        help="A folder of configuration that comes before infomcr's own; default: conf/, where there is one.",
    ),
]


Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[OVERRIDE]...",
        help="Hydra overrides, such as model=wrn reg=on data.batch_size=64.",
        autocompletion=complete_override,
    ),
]

SweepOverrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[OVERRIDE]...",
        help="Hydra overrides, such as model=wrn reg=on,off 'seed=range(3)'.",
        autocompletion=complete_sweep,
    ),
]


class UploadedCheckpoints(StrEnum):
    """Which checkpoints are uploaded to MLflow."""

    none = "none"
    best = "best"
    last = "last"
    all = "all"


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"infomcr {__version__}")
        raise typer.Exit


@app.command()
def train(
    overrides: Overrides = None,
    run_dir: Annotated[
        Path | None, typer.Option(readable=False, help="The run's directory; default: a new one in runs/.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            metavar="RUN",
            help="Continue a run from its checkpoint.",
            autocompletion=complete_run,
        ),
    ] = None,
    print_config: Annotated[
        bool, typer.Option(help="Print the resolved settings as YAML, with their meanings, and stop.")
    ] = False,
    config_dir: ConfigDir = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the time goes; leave a TensorBoard trace.")
    ] = False,
    as_json: AsJson = False,
    multirun: Annotated[bool, typer.Option("--multirun", "-m", hidden=True)] = False,
) -> None:
    """Train a network, with or without the regularizer."""
    if multirun:  # Hydra's word for a sweep
        sweep = suggested_command("sweep", *(overrides or ()), config_dir=config_dir)
        raise InputError("train trains one run", received="-m", advice=f"Several values are a sweep: {sweep}")
    from infomcr_cli.train import TrainRequest, settings_of
    from infomcr_cli.train import train as run_command

    request = TrainRequest(tuple(overrides or ()), run_dir, resume, config_dir, profile)
    if print_config:
        _print_config(settings_of(request), as_json)
        return
    result = run_command(request, stderr)
    _finish(result, as_json, result.problem)


@app.command(name="eval")
def evaluate(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN... [OVERRIDE]...",
            help="Run directories, then overrides.",
            autocompletion=complete_run_or_override,
        ),
    ],
    checkpoint: Annotated[str, typer.Option(help="last, best, all, or the name of one.")] = "last",
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Measure gamma and other generalization measures of a run, with the generalization gap."""
    from infomcr_cli.evaluate import EvalRequest
    from infomcr_cli.evaluate import evaluate as run_command

    runs, overrides = _runs_and_overrides(arguments)
    request = EvalRequest(runs, overrides, checkpoint, config_dir)
    _finish(run_command(request, stderr, mlflow_process=True), as_json)


@app.command()
def sweep(
    overrides: SweepOverrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the jobs and stop.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop everything at the first failure.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Retry what failed before.")] = False,
    status: Annotated[
        bool,
        typer.Option("--status", help="Show how far a sweep is, by its name or its overrides; default: the last one."),
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="With --status: until nothing works on it any more.")] = False,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="End the jobs of a sweep on Slurm, by its name or its overrides.")
    ] = False,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Train, measure and compare every combination of the given values, or search; run it again to continue."""
    others = {"--dry-run": dry_run, "--fail-fast": fail_fast, "--retry-failed": retry_failed}
    _check_alone("--cancel" if cancel else "--status" if status or watch else None, others)
    if cancel:
        _check_alone("--cancel", {"--status": status, "--watch": watch})
        from infomcr_cli.sweep_cancel import cancel_sweep

        _finish(cancel_sweep(tuple(overrides or ())), as_json)
    if status or watch:
        _show_sweep(tuple(overrides or ()), watch, as_json)
    from infomcr_cli.sweep import SweepRequest, same_again
    from infomcr_cli.sweep import sweep as run_command

    request = SweepRequest(tuple(overrides or ()), dry_run, fail_fast, retry_failed, config_dir)
    result = run_command(request, stderr)
    _finish(result, as_json, f"The sweep was interrupted. {same_again(request)}" if result.number is not None else "")


def _check_alone(option: str | None, others: Mapping[str, bool]) -> None:
    """Raise InputError where an option is given with others that mean nothing to it: `--cancel --dry-run` cancels."""
    given = [name for name, is_given in others.items() if is_given]
    if option is not None and given:
        raise InputError(f"{option} is given alone", received=f"{option} {' '.join(given)}", advice="Leave one out.")


def _show_sweep(words: tuple[str, ...], watches: bool, as_json: bool) -> NoReturn:
    """Print how far a sweep is, once or until it has ended."""
    from infomcr_cli.sweep_status import sweep_status, watch

    _finish(watch(words, stderr) if watches else sweep_status(words), as_json)


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Run directories, quoted globs, mlflow:EXPERIMENT.",
            autocompletion=complete_run,
        ),
    ],
    gap: Annotated[str, typer.Option(help="What to rank against: error, loss or test_error.")] = "error",
    checkpoint: Annotated[str, typer.Option(help="Which evaluated checkpoint to compare.")] = "last",
    sort: Annotated[str | None, typer.Option(help="A measure, a column or a statistic to order by.")] = None,
    csv: Annotated[Path | None, typer.Option(readable=False, help="Write the table to this file.")] = None,
    html: Annotated[
        Path | None, typer.Option(readable=False, help="Write one self-contained page to this file.")
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(readable=False, help="Write the pictures to this folder, SVG and PNG.")
    ] = None,
    allow_mixed: Annotated[bool, typer.Option(help="Rank numbers of different conventions together, marked.")] = False,
    max_train_loss: MaxTrainLoss = None,
    by_family: ByFamily = False,
    audit: Annotated[
        Path | None,
        typer.Option(
            readable=False, metavar="FILE", help="What `infomcr audit` wrote; default: that of a run, if any."
        ),
    ] = None,
    tracking: Annotated[bool, typer.Option(help="Record the comparison in MLflow.")] = True,
    runs_dir: RunsDir = Path("runs"),
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs and rank the measures by how well they order the generalization gap."""
    from infomcr_cli.compare import CompareRequest
    from infomcr_cli.compare import compare as run_command
    from infomcr_cli.signals import stop_on_signal

    request = CompareRequest(
        tuple(runs),
        gap=gap,
        checkpoint=checkpoint,
        sort=sort,
        csv=csv,
        html=html,
        plots=plots,
        allow_mixed=allow_mixed,
        max_train_loss=max_train_loss,
        by_family=by_family,
        audit=audit,
        tracking=tracking,
        tracking_uri=tracking_uri,
        runs_dir=str(runs_dir),
    )
    with stop_on_signal() as stopped:  # its run in MLflow is ended on the way out
        comparison = run_command(request, mlflow_process=True)
    if stopped.number is not None:
        raise typer.Exit(128 + stopped.number)
    _finish(comparison, as_json)


@app.command()
def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory.", autocompletion=complete_run)],
    html: Annotated[
        Path | None,
        typer.Option(readable=False, help="The file to write; default: report.html in the run's directory."),
    ] = None,
    tracking: Annotated[bool, typer.Option(help="Put it into MLflow too, where the run is.")] = True,
    tracking_uri: Annotated[str | None, typer.Option(help="An MLflow store; default: the run's own.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write one self-contained page on a run: settings, curves, measures and how to read them, pictures."""
    from infomcr_cli.report_run import ReportRequest, report_run

    _finish(report_run(ReportRequest(run, html, tracking, tracking_uri)), as_json)


@app.command()
def audit(
    arguments: Annotated[
        list[str], typer.Argument(metavar="RUN [OVERRIDE]...", help="A run directory, then overrides.")
    ],
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN", help="Runs whose measures give the spread between minima: a quoted glob; repeatable."
        ),
    ] = None,
    rescalings: Annotated[int, typer.Option(min=0, max=1000, help="How often layers are rescaled.")] = 4,
    factor: Annotated[float, typer.Option(help="Largest factor of a rescaling.")] = 3.0,
    seeds: Annotated[int, typer.Option(min=0, max=1000, help="Train it again with so many other seeds.")] = 0,
    orders: Annotated[int, typer.Option(min=0, max=1000, help="And with so many other orders of batches.")] = 0,
    more_epochs: Annotated[
        list[int] | None, typer.Option(min=1, help="Train it so many epochs further; repeatable.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="last, best, or the name of one.")] = "last",
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Show how far each measure moves when something changes that should not matter."""
    from infomcr_cli.audit import AuditRequest
    from infomcr_cli.audit import audit as run_command

    runs, overrides = _runs_and_overrides(arguments)
    if len(runs) != 1:
        raise InputError("audit takes one run", received=" ".join(runs), advice="Others are named by --against.")
    request = AuditRequest(
        runs[0],
        overrides,
        tuple(against or ()),
        rescalings,
        factor,
        seeds,
        orders,
        tuple(more_epochs or ()),
        checkpoint,
        config_dir,
    )
    _finish(run_command(request, stderr), as_json)


@app.command(name="import")
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

    files, overrides = _words(arguments or [])
    request = ImportRequest(files, overrides, run_dir, settings or (), initial, table, config_dir)
    _finish(import_models(request, stderr), as_json)


@app.command()
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
    _finish(export_run(request, stderr), as_json)


@app.command(name="path")
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

    runs, overrides = _words(arguments)
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
    _continued(lambda: run_command(request, stderr), as_json)


@app.command()
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

    runs, overrides = _words(arguments or [])
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
    _continued(lambda: run_command(request, stderr), as_json)


@app.command()
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

    runs, overrides = _words(arguments)
    request = SpectrumRequest(
        runs, overrides, operator, probes, steps, width, samples, seed, checkpoint, out, force, config_dir
    )
    _continued(lambda: run_command(request, stderr), as_json)


def _continued(command: Callable[[], Result], as_json: bool) -> NoReturn:
    """Run a command that continues where it was stopped, and print its result."""
    from infomcr_cli.signals import stop_on_signal

    with stop_on_signal() as stopped:
        result = command()
    if stopped.number is not None:
        _print_error("stopped; the same command continues")
        raise typer.Exit(128 + stopped.number)
    _finish(result, as_json)


@app.command()
def judge(
    table: Annotated[Path, typer.Argument(readable=False, metavar="FILE.csv", help="One minimum a line.")],
    gap: Annotated[str, typer.Option(help="The column of the generalization gap.")],
    axes: Annotated[str, typer.Option(help="The columns of hyperparameters, separated by commas.")],
    measures: Annotated[
        str | None, typer.Option(help="The columns to judge; default: all numbers except scores, costs and indices.")
    ] = None,
    n_test: Annotated[
        int | None, typer.Option(help="Size of the test set, for the sign error; default: the column n_test.")
    ] = None,
    direction: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=lower|higher", help="Which values of a measure are better; may be repeated."),
    ] = None,
    max_train_loss: MaxTrainLoss = None,
    by_family: ByFamily = False,
    as_json: AsJson = False,
) -> None:
    """Rank the measures of an external CSV table."""
    from infomcr_cli.judge_file import JudgeResult
    from infomcr_cli.report.judge_table import judge_file

    ranking = judge_file(
        table,
        gap=gap,
        axes=_names(axes),
        measures=_names(measures) or None,
        n_test=n_test,
        directions=direction or (),
        max_train_loss=max_train_loss,
        by_family=by_family,
    )
    _finish(JudgeResult(ranking), as_json)


@app.command()
def measures(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Measures to show all about: formula, source, …")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the measures that eval knows, a line each, or show all about some of them."""
    from infomcr_cli.list_measures import list_measures

    _finish(list_measures(names or ()), as_json)


@app.command(name="config")
def explain(
    word: Annotated[
        str | None,
        typer.Argument(
            metavar="[GROUP|GROUP=CHOICE|SETTING]",
            help="Such as optimizer, optimizer=adam, measure.gamma or reg.beta.",
            autocompletion=complete_config,
        ),
    ] = None,
    config_dir: ConfigDir = None,
    as_json: AsJson = False,
) -> None:
    """Explain the settings of a run or a sweep: meaning, type, range, default and an example."""
    from infomcr_cli.explain_config import explain_config

    _finish(explain_config(word, config_dir), as_json)


@app.command()
def runs(
    conditions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONDITION]...",
            help="Only runs of which all hold: reg.name=on 'optimizer.l2>=1e-4'; = != < <= > >=, in quotes.",
            autocompletion=complete_override,
        ),
    ] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="NAME", help="A setting, measure or score to sort by; -NAME: descending.")
    ] = None,
    columns: Annotated[str | None, typer.Option(metavar="NAME,...", help="The columns to show.")] = None,
    csv: Annotated[Path | None, typer.Option(readable=False, help="Write the table to this file.")] = None,
    runs_dir: RunsDir = Path("runs"),
    repair: Annotated[bool, typer.Option("--repair", help="Close runs whose process is gone, in MLflow too.")] = False,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """List the runs of a folder and their states: all of them, or those with some settings, measures or states."""
    from infomcr_cli.list_runs import RunQuery, list_runs

    query = RunQuery(tuple(conditions or ()), sort, _names(columns), csv)
    _finish(list_runs(runs_dir, repair=repair, tracking_uri=tracking_uri, query=query), as_json)


@app.command()
def tag(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory.", autocompletion=complete_run)],
    tags: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME[=VALUE]]...", help="Tags; none: show those it has.")
    ] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Take a tag away; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tag a run; `infomcr runs tag.NAME=VALUE` finds it again."""
    from infomcr_cli.annotate import tag_run

    _finish(tag_run(run, tags or (), remove or ()), as_json)


@app.command()
def note(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run directory.", autocompletion=complete_run)],
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="The note, '' to remove it; default: show it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give a run a note, in place of the one it had."""
    from infomcr_cli.annotate import note_run

    _finish(note_run(run, text), as_json)


@app.command()
def delete(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run directories.", autocompletion=complete_run)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete them without a question.")] = False,
    tracking_uri: Annotated[
        str | None, typer.Option(help="The MLflow store that has them; default: each run's own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Move runs to the folder .trash beside them, and delete them in MLflow, where they can be restored too."""
    from infomcr_cli.delete_runs import RunToDelete, delete_runs

    if not yes and not sys.stdin.isatty():
        raise InputError("deleting runs needs a confirmation", received="no terminal", advice="Give --yes.")

    def confirm(going: Sequence[RunToDelete]) -> bool:
        return yes or _confirmed([one.line for one in going], "here and in MLflow")

    _finish(delete_runs(runs, confirm=confirm, tracking_uri=tracking_uri), as_json)


@app.command()
def sync(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN...", help="Run directories, quoted globs.", autocompletion=complete_run),
    ] = None,
    tracking_uri: Annotated[str | None, typer.Option(help="An MLflow store; default: each run's own.")] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete runs in MLflow whose directories you deleted, after a question.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete them without a question.")] = False,
    checkpoints: Annotated[
        UploadedCheckpoints | None, typer.Option(help="Upload these weights; default: as each run says.")
    ] = None,
    runs_dir: RunsDir = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """Write run directories to MLflow, in any store, as often as you like; renamed runs are renamed there."""
    from infomcr_cli.sync import PruneRequest
    from infomcr_cli.sync import sync as run_command

    if prune and not yes and not sys.stdin.isatty():
        raise InputError("deleting runs in MLflow needs a confirmation", received="no terminal", advice="Give --yes.")
    request = PruneRequest(lambda gone: yes or _is_confirmed(gone), runs_dir) if prune else None
    chosen = None if checkpoints is None else checkpoints.value
    _finish(run_command(runs or (), tracking_uri=tracking_uri, prune=request, checkpoints=chosen), as_json)


def _is_confirmed(gone: Sequence[Any]) -> bool:
    """Ask whether runs are to be deleted in MLflow."""
    return _confirmed([f"{run.name}  {run.directory} is gone" for run in gone], "in MLflow")


def _confirmed(lines: Sequence[str], where: str) -> bool:
    """Show what goes, a line for each run, and ask."""
    for line in lines:
        say(stderr, line)
    question = f"Delete {len(lines)} run{'s' if len(lines) > 1 else ''} {where}?"
    return typer.confirm(question, err=True)


@app.command()
def ui(
    runs_dir: RunsDir = Path("runs"),
    tracking_uri: TrackingUri = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
    opens: Annotated[bool, typer.Option("--open", help="Open the table of the latest runs in a browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """Browse the runs in the MLflow UI, on this machine only."""
    from infomcr_cli.ui import UiRequest
    from infomcr_cli.ui import ui as run_command

    raise typer.Exit(run_command(UiRequest(runs_dir, tracking_uri, port, opens, as_json), stderr))


def main() -> None:
    """Run the command line; bad input exits 2 with a message, never with a traceback."""
    open_streams()
    ensure_home()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    for handler in logging.root.handlers:
        handler.addFilter(RedactingFilter())
    code, spoilt = _exit_code(), _closed_output()
    sys.exit(code or spoilt)


def _exit_code() -> int:
    """Run the command and return how it ended, with one line on whatever was refused."""
    try:
        app()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except InputError as error:
        _complain(str(error))
        return 2
    except RunFailedError as error:
        _complain(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        return _refused(error)
    return 0


def _refused(error: OSError) -> int:
    """Say what the operating system refused: standard output, a path of the user's, or something of the machine."""
    if _closed_output():
        return 1
    reason = explained(error)
    if reason is None:
        raise error
    _complain(str(reason))
    return 2 if isinstance(reason, InputError) else 1


def _closed_output() -> int:
    """Write what is left of standard output; return 1 where it does not take it, said unless nobody reads it."""
    broken = close_streams()
    if broken is not None and not isinstance(broken, BrokenPipeError):
        _complain(f"standard output cannot be written ({broken.strerror})")
    return int(broken is not None)


def _runs_and_overrides(arguments: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A run is a path; whatever has a `=` and is no path that exists is an override."""
    runs, overrides = _words(arguments)
    if not runs:
        from infomcr_cli.runs.directory import where_runs_are

        raise InputError(
            "eval needs a run to measure", received=" ".join(arguments), advice=where_runs_are(Path("runs"))
        )
    return runs, overrides


def _words(arguments: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    overrides = tuple(word for word in arguments if "=" in word and not os.path.exists(word))
    return tuple(word for word in arguments if word not in overrides), overrides


def _names(listed: str | None) -> tuple[str, ...]:
    """The names in a list with commas; one that contains a comma is in double quotes."""
    import csv

    names = next(csv.reader([listed or ""], skipinitialspace=True), [])
    return tuple(name.strip() for name in names if name.strip())


def _print_config(config: Any, as_json: bool) -> None:
    from infomcr_cli.config.explained_yaml import to_explained_yaml
    from infomcr_cli.config.yaml_text import as_document, to_yaml

    if as_json:
        print_json(as_document(config))
        return
    text = to_explained_yaml(config)
    print(text if can_show(text) else to_yaml(config, escaped=True).decode(), end="")


def _finish(result: Result, as_json: bool, problem: str = "") -> NoReturn:
    """Print what a command returned, and its problem on standard error; exit with its code.

    Args:
        problem: one line, without secrets.
    """
    print_result(result, as_json=as_json)
    if problem:
        _print_error(problem)
    raise typer.Exit(result.exit_code)


def _complain(message: str) -> None:
    """Print one line on standard error, without secrets."""
    _print_error(redact(message))


def _print_error(line: str) -> None:
    say(stderr, f"infomcr: {line}")
