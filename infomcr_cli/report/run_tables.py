"""The tables of the report on a single run: what it is, its settings, scores, measures, evaluations, environment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infomcr_cli.config.reference import settings as known_settings
from infomcr_cli.console.redaction import redact
from infomcr_cli.console.text import printable
from infomcr_cli.report.conventions import convention_text
from infomcr_cli.report.evaluated_run import GAPS, UNIT, EvaluatedRun
from infomcr_cli.report.page_tables import MOST_CHARACTERS, Cell, PageTable, folder_link, mlflow_cell
from infomcr_cli.report.run_report import RunReport
from infomcr_cli.report.tables import NONE, format_number, in_full, with_error
from infomcr_cli.runs.code_changes import PATCH
from infomcr_cli.runs.measures_file import Evaluation, MeasureRecord

GAMMA = "gamma"
_FILES = ("config.yaml", "overrides.yaml", "metrics.jsonl", "measures.json", "status.json", "environment.json", PATCH)
_Rows = Sequence[Sequence[str]]


def facts_table(report: RunReport) -> PageTable:
    """Return what was trained, on what, when, at what cost."""
    config, status = report.compared.config, report.status
    evaluation = report.evaluated.evaluation if report.evaluated else None
    sizes = [f"{n:,} {what} images" for n, what in _sizes(evaluation)]
    found = {
        "network": _choice(config, "model", ("depth", "width", "widths", "norm", "activation")) + _weights(evaluation),
        "data": ", ".join((_choice(config, "data", ("batch_size", "label_noise")), *sizes)),
        "augmentation": _choice(config, "augment", ("flip", "padding", "cutout", "mixup")),
        "optimizer": _choice(config, "optimizer", ("learning_rate", "momentum", "l2", "weight_decay")),
        "schedule": _choice(config, "schedule", ("epochs", "boundaries", "factor", "stop_at_train_loss")),
        "regularizer": _choice(config, "reg", ("alpha", "beta", "num_sub_batches", "phases", "rho")),
    }
    if report.is_imported:
        found = {"network": f"imported from {shown_value(config.get('imported.file'))}", "data": found["data"]}
        found |= {"imported": _date(status.started)}
    else:
        compute = None if report.evaluated is None else report.evaluated.compute
        found |= {
            "seed": shown_value(config.get("seed")),
            "came to": f"epoch {status.epoch}, step {status.step:,}",
            "began": _date(status.started),
            "ended": _date(status.ended) + _duration(status.started, status.ended),
            "compute": "" if compute is None else f"{format_number(compute.epochs)} {UNIT}",
        }
    facts = found | {
        "of a sweep, as": printable(status.label or ""),
        "tags": report.noted.tags_text,
        "note": report.noted.note,
    }
    rows = [(Cell(name), Cell(text)) for name, text in facts.items() if text not in ("", NONE)]
    return PageTable("run", "The run", ("what", "value"), rows, is_list=True)


def scores_table(report: RunReport) -> PageTable:
    """Return loss and error on both splits and the gaps, errors with their binomial standard errors."""
    run = report.evaluated
    if run is None:
        return PageTable("scores", "Scores and gaps", (), ())
    found = run.evaluation
    rows = [
        (name, format_number(one.loss, 4), _percent(None if one.accuracy is None else 1 - one.accuracy, error), size)
        for name, one, error, size in (
            ("training", found.train, _train_error(run), _count(found.n_train)),
            ("test", found.test, run.gap_std_error("test_error"), _count(found.n_test)),
        )
    ]
    gap = (
        "gap: test minus training",
        format_number(found.gap.loss, 4),
        _percent(found.gap.error, run.gap_std_error("error")),
    )
    caption = (
        f"Of the checkpoint {report.checkpoint}, step {found.step}. ±: the binomial standard error. A gap near 0 means "
        "that the network does equally well on new images and on its training images."
    )
    head = ("split", "cross-entropy, nats", "error, %", "images")
    return _table("scores", "Scores and gaps", head, [*rows, (*gap, "")], caption)


def measures_table(report: RunReport) -> PageTable:
    """Return each measure with its standard error, interval, unit, direction and what it says."""
    from infomcr_cli.measures.base import chosen_measures
    from infomcr_cli.measures.families import FAMILIES

    about = {one.name: (FAMILIES[one.family], one.formula) for one in chosen_measures()}  # what it measures, formula
    measures = report.evaluated.evaluation.measures if report.evaluated else {}
    ordered = sorted(measures, key=lambda name: name != GAMMA)
    rows = [_measure_row(name, measures[name], about.get(name)) for name in ordered]
    caption = (
        "±: the standard error over draws; values without one have no sampling error. Better: which values are "
        "expected to generalize better. A single value means little: compare it with runs on the same data, measured "
        "with the same settings."
    )
    head = ("measure", "value", "95 % interval", "unit", "better", "what it measures", "formula")
    return _table("measures", "Measures", head, rows, caption)


def _measure_row(name: str, one: MeasureRecord, about: tuple[str, str] | None) -> tuple[str, ...]:
    value = f"none: {one.reason}" if one.reason else in_full(one.value, one.std_error)
    interval = " to ".join(format_number(bound, 4) for bound in one.interval or ())
    says, formula = about or ("", "")
    return (name, value, interval, one.unit or "", one.direction or "", says, formula)


def evaluations_table(report: RunReport) -> PageTable:
    """Return a line for each evaluated checkpoint, by step; numbers of gamma in another convention have a star."""
    wanted = None if report.evaluated is None else _convention(report.evaluated.evaluation)
    found = sorted(report.compared.evaluations.items(), key=lambda item: (item[1].step or 0, item[0]))
    rows = [
        (
            name,
            _count(one.step),
            _count(one.epoch),
            format_number(one.train.loss, 4),
            _percent(None if one.test.accuracy is None else 1 - one.test.accuracy, None),
            _percent(one.gap.error, None),
            _gamma(one) + ("*" if _gamma(one) != NONE and wanted not in (None, _convention(one)) else ""),
        )
        for name, one in found
    ]
    caption = (
        "*: measured with different settings; do not compare." if any(row[-1].endswith("*") for row in rows) else ""
    )
    head = ("checkpoint", "step", "epoch", "training loss, nats", "test error, %", f"{GAPS['error']}, %", "gamma, nats")
    return _table("evaluations", "Evaluated checkpoints", head, rows, caption)


def settings_tables(report: RunReport) -> list[PageTable]:
    """Return the settings that make the weights, with their meaning, and all others."""
    meanings = {one.name: one.meaning for one in known_settings()}
    given = {one.lstrip("+").partition("=")[0] for one in report.overrides}
    given |= {f"{one}.name" for one in given}  # reg=on sets reg.name
    weights = report.settings
    head = ("setting", "value", "meaning")
    caption = "•: given on the command line." if given else ""

    def rows(settings: Mapping[str, Any]) -> list[tuple[str, ...]]:
        return [
            (f"{name} •" if name in given else name, shown_value(value), meanings.get(name, ""))
            for name, value in settings.items()
        ]

    others = {name: value for name, value in report.compared.config.items() if name not in weights}
    return [
        _table("settings", "Settings that determine the weights", head, rows(weights), caption),
        _table("other-settings", "Other settings", head, rows(others), caption),
    ]


def environment_table(report: RunReport) -> PageTable:
    """Return versions, commit and device."""
    found = report.environment
    packages = found.get("packages")
    versions = {f"{name} (version)": value for name, value in packages.items()} if isinstance(packages, dict) else {}
    rows = [
        (printable(str(name), 100), shown_value(value))
        for name, value in {**found, **versions}.items()
        if name != "packages" and value not in (None, [])
    ]
    return _table("environment", "Environment", ("what", "value"), rows)


def links_table(report: RunReport, place: Path | None) -> PageTable:
    """Return links to the run's folder, its files and its page in MLflow; `place` is the folder of the page.

    Without a place, as for a page in MLflow, the links are absolute.
    """
    folder = f"{folder_link(report.compared, place).rstrip('/')}/"
    rows = [[Cell("folder"), Cell(report.run.name, folder)]]
    rows += [[Cell("file"), Cell(name, folder + name)] for name in _FILES if (report.run.path / name).is_file()]
    mlflow = mlflow_cell(report.compared)
    rows += [[Cell("MLflow"), mlflow]] if mlflow.address else []
    caption = "The link to MLflow works while `infomcr ui` is running." if mlflow.address else ""
    return PageTable("links", "Files and links", ("what", "link"), rows, caption, is_list=True)


def how_to_read_gamma(report: RunReport) -> list[str]:
    """Return what the run's gamma is and what may be compared with it, in sentences; nothing if it has none."""
    run = report.evaluated
    record = run.evaluation.measures.get(GAMMA) if run else None
    if record is None or record.value is None:
        return []
    draws = record.numbers("draws")
    convention = record.convention if isinstance(record.convention, dict) else {}
    size = convention.get("draw_size")
    mean = f"the mean of {len(draws)} draws of {size} training images" if draws and size else "a mean"
    shown = with_error(record.value, record.std_error)
    sentences = [
        f"gamma is {shown} nats, {mean}: half the log-determinant of the Gram matrix of the samples' gradients. "
        "Lower is flatter: the weights can change more before the losses of these samples do.",
    ]
    if deficient := [one for one in draws if one is None]:
        sentences.append(f"{len(deficient)} draws are rank-deficient and excluded from the mean.")
    if convention:
        said = ", ".join(
            f"{shown_value(name)} {shown_value(value)}" for name, value in convention.items() if value is not None
        )
        sentences.append(f"Compare it only with values measured in the same way ({said}), on the same data.")
    return sentences


def _table(name: str, title: str, head: Sequence[str], rows: _Rows, caption: str = "") -> PageTable:
    return PageTable(name, title, head, [[Cell(text) for text in row] for row in rows], caption)


def _choice(config: Mapping[str, Any], group: str, settings: Sequence[str]) -> str:
    """Return the choice of a group with some of its settings, such as sgd: learning_rate 0.1, momentum 0.9."""
    name = config.get(f"{group}.name")
    off: tuple[Any, ...] = (None, False, 0, 0.0, [], "")
    found = [f"{one} {shown_value(value)}" for one in settings if (value := config.get(f"{group}.{one}")) not in off]
    return shown_value(name) + (f" ({', '.join(found)})" if found and name is not None else "")


def _weights(evaluation: Evaluation | None) -> str:
    count = evaluation.measures.get("parameter_count") if evaluation else None
    return f", {count.value:,.0f} trainable weights" if count is not None and count.value is not None else ""


def _sizes(evaluation: Evaluation | None) -> list[tuple[int, str]]:
    pairs = ((evaluation.n_train, "training"), (evaluation.n_test, "test")) if evaluation else ()
    return [(n, what) for n, what in pairs if n is not None]


def _train_error(run: EvaluatedRun) -> float | None:
    """Return the binomial standard error of the training error: what the gap's has beyond the test error's."""
    both, test = run.gap_std_error("error"), run.gap_std_error("test_error")
    return None if both is None or test is None else max(0.0, both**2 - test**2) ** 0.5


def _percent(value: float | None, error: float | None) -> str:
    return with_error(None if value is None else 100 * value, None if error is None else 100 * error)


def _gamma(one: Evaluation) -> str:
    found = one.measures.get(GAMMA)
    return NONE if found is None else with_error(found.value, found.std_error)


def _convention(one: Evaluation) -> str | None:
    found = one.measures.get(GAMMA)
    return None if found is None else convention_text(found.convention)


def _count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _date(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(started: float | None, ended: float | None) -> str:
    if started is None or ended is None or ended < started:
        return ""
    minutes, seconds = divmod(round(ended - started), 60)
    hours, minutes = divmod(minutes, 60)
    return f", after {hours}:{minutes:02}:{seconds:02}" if hours else f", after {minutes}:{seconds:02} minutes"


def shown_value(value: Any) -> str:
    """Return a value of a run's file as text that is safe to print and without secrets; a dash for none."""
    if value is None:
        return NONE
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list | tuple):
        return printable(redact(", ".join(map(str, value))), MOST_CHARACTERS)
    return printable(redact(value if isinstance(value, str) else json.dumps(value, default=str)), MOST_CHARACTERS)
