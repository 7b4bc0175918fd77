"""`infomcr config` explains every setting, and what it says is true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.reference import Setting, settings, settings_of
from infomcr_cli.config.search_path import group_choices
from infomcr_cli.errors import InputError
from infomcr_cli.explain_config import explain_config
from tests.conftest import CommandLine

CHECKED = ("optimizer", "reg", "augment")


def value(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = getattr(config, part)
    return config


def test_without_a_word_the_groups_and_their_choices_are_listed(command_line: CommandLine) -> None:
    document = json.loads(command_line("config", "--json").out)
    assert {group: entry["choices"] for group, entry in document["groups"].items()} == group_choices(None)
    assert document["groups"]["optimizer"]["default"] == "sgd"
    assert {"seed", "precision", "device"} <= {entry["name"] for entry in document["settings"]}


@pytest.mark.parametrize("group", [group for group in group_choices(None) if group != "experiment"])
def test_every_setting_of_a_group_has_a_type_and_an_example(group: str) -> None:
    for entry in explain_config(group).to_dict()["settings"]:
        assert entry["type"]
        assert entry["example"].startswith(f"{entry['name']}=")
        assert entry["defaults"], entry["name"]


def test_defaults_are_those_of_a_run() -> None:
    for choice in ("sgd", "adam", "muon"):
        config = compose_run([f"optimizer={choice}"])
        for entry in explain_config(f"optimizer={choice}").to_dict()["settings"]:
            default = entry["defaults"][choice]
            found = value(config, entry["name"])
            assert found == (tuple(default) if isinstance(default, list) else default), entry["name"]


def numbers_beyond(one: Setting) -> list[str]:
    """Values that a stated range forbids."""
    beyond = {">": 0, "≥": -1, "<": 0, "≤": 1}  # what is added to the bound
    found = []
    for part in one.range.split(", ") if one.range else []:
        symbol, _, bound = part.partition(" ")
        found.append(f"{one.name}={float(bound) + beyond[symbol]:g}")
    return found


@pytest.mark.parametrize("choice", [f"{group}={name}" for group in CHECKED for name in group_choices(None)[group]])
def test_ranges_are_those_that_the_schema_keeps_and_examples_are_taken(choice: str) -> None:
    group, _, name = choice.partition("=")
    entries = {entry["name"]: entry for entry in explain_config(choice).to_dict()["settings"]}
    for one in settings_of(group, name):
        together = ["optimizer.use_ema=true"] if one.name.startswith("optimizer.ema_") else []
        batch = ["data.batch_size=120"] if one.name == "reg.num_sub_batches" else []
        compose_run([choice, *together, *batch, entries[one.name]["example"]])
        for wrong in numbers_beyond(one):
            with pytest.raises(InputError):
                compose_run([choice, *together, wrong])


def test_a_setting_is_a_card(command_line: CommandLine) -> None:
    out = command_line("config", "optimizer.weight_decay").out
    assert "number ≥ 0, or null" in out
    assert "adamw 0.004" in out
    assert "example" in out


def test_what_differs_with_the_choice_is_said_for_each() -> None:
    meaning = {one.name: one.meaning for one in settings()}
    assert "on: α, size of the probing step" in meaning["reg.alpha"]
    assert "gradient_norm: α = λ/r" in meaning["reg.alpha"]
    assert {one.name: one.of for one in settings()}["optimizer.momentum"] == ("sgd", "muon")


def test_a_part_of_a_group_can_be_requested() -> None:
    names = [one.name for one in explain_config("measure.gamma").settings]
    assert "measure.gamma.draws" in names
    assert all(name.startswith("measure.gamma.") for name in names)


def test_an_experiment_shows_its_file(command_line: CommandLine) -> None:
    assert "defaults:" in command_line("config", "experiment=demo").out


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("lr", "Did you mean 'optimizer.learning_rate'?"),
        ("optimiser", "Did you mean 'optimizer'?"),
        ("optimizer=adma", "Did you mean 'adam'?"),
        ("reg.bta", "Did you mean 'reg.beta'?"),
        ("seed=1", "this setting is not a group and has no choices"),
    ],
)
def test_a_name_that_does_not_exist_leads_to_the_nearest(command_line: CommandLine, word: str, said: str) -> None:
    answer = command_line("config", word)
    assert answer.code == 2
    assert said in answer.err


def test_a_file_of_the_user_s_own_without_a_list_of_defaults_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("defaults: 5\n")
    assert explain_config(None, tmp_path).chosen == {}


def test_tables_fit_eighty_columns(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for word in ("optimizer", "model", "data", "measure"):
        assert max(map(len, command_line("config", word).out.splitlines())) <= 80


def test_a_setting_of_a_word_or_a_number_names_both(command_line: CommandLine) -> None:
    assert "whole number ≥ 1, ≤ 100000, or auto" in command_line("config", "engine.jobs").out
    assert "whole number ≥ 1, ≤ 1e+07, or text" in command_line("config", "engine.time").out
    assert "true | false" in command_line("config", "deterministic").out
