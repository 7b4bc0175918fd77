"""`infomcr config sweep` explains what a sweep is besides its runs; `infomcr config engine` what carries it out."""

from __future__ import annotations

import json

import pytest

from infomcr_cli.config.reference import settings
from infomcr_cli.config.schema.sweep import SweepConfig
from infomcr_cli.config.sweep_settings import split_arguments
from tests.conftest import CommandLine


def entries(command_line: CommandLine, word: str) -> dict[str, dict]:
    answer = command_line("config", word, "--json")
    assert answer.code == 0, answer.err
    return {entry["name"]: entry for entry in json.loads(answer.out)["settings"]}


def test_settings_of_a_sweep_have_meaning_type_default_and_an_example_that_is_taken(command_line: CommandLine) -> None:
    found = entries(command_line, "sweep")
    assert found.keys() == {f"sweep.{name}" for name in SweepConfig.model_fields}
    plain = split_arguments(()).sweep
    for name, entry in found.items():
        assert entry["meaning"]
        assert entry["type"]
        default = getattr(plain, name.removeprefix("sweep."))
        given = entry["defaults"]["sweep"]
        assert default in (given, (given,), () if given == [] else given), name
        search = ["sweep.search=optuna"] if name != "sweep.search" else []
        if "…" not in entry["example"]:  # a text of the user's own
            assert split_arguments([*search, entry["example"]])


def test_settings_of_the_engines_say_which_engine_has_them(command_line: CommandLine) -> None:
    found = entries(command_line, "engine")
    assert found.keys() == {one.name for one in settings() if one.name.startswith("engine.")}
    assert found["engine.array_parallelism"]["only_with"] == ["slurm"]
    assert found["engine.jobs"]["only_with"] == ["local", "ray"]
    assert found["engine.retries"]["defaults"].keys() == {"local", "ray", "slurm"}


def test_one_setting_of_a_sweep_is_a_card(command_line: CommandLine) -> None:
    answer = command_line("config", "sweep.pruner")
    assert "median" in answer.out
    assert "example" in answer.out


@pytest.mark.parametrize(
    ("word", "said"),
    [("sweep.trails", "Did you mean 'trials'?"), ("sweeep", "Did you mean 'sweep'?")],
)
def test_a_mistyped_setting_of_a_sweep_leads_to_the_nearest(command_line: CommandLine, word: str, said: str) -> None:
    answer = command_line("config", word)
    assert answer.code == 2
    assert said in answer.err
