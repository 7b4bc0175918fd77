"""Check names of MLflow experiments: which of them MLflow accepts."""

from __future__ import annotations

from infomcr_cli.console.text import printable

DEFAULT_EXPERIMENT = "infomcr"
MAX_EXPERIMENT = 500  # characters, MLflow's own limit


def experiment_misfit(name: str) -> str | None:
    """Return the rule that the name of an experiment breaks, as "must …"; None if MLflow accepts the name."""
    if not name.strip():
        return "must be a name, not empty"
    if len(name) > MAX_EXPERIMENT:
        return f"must have at most {MAX_EXPERIMENT} characters, not {len(name)}"
    if name != name.strip():
        return "must not begin or end with a blank"
    if printable(name, MAX_EXPERIMENT) != name:
        return "must be free of control characters"
    return None


def fitting_experiment(recorded: object) -> str:
    """Return the experiment that a run directory names, changed if MLflow would not accept the name."""
    name = str(recorded or DEFAULT_EXPERIMENT)
    if experiment_misfit(name) is None:
        return name
    return printable(name, MAX_EXPERIMENT)[:MAX_EXPERIMENT].strip() or DEFAULT_EXPERIMENT
