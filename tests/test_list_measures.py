"""`infomcr measures`: complete, short, and quick."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.measures.base import SUITES, chosen_measures
from infomcr_cli.measures.families import CHANGES, FAMILIES
from infomcr_cli.measures.work import GRAM_ROW, format_duration, gram_passes, no_passes, work_in, work_of


def test_measures_lists_the_registry(command_line):
    answer = command_line("measures")
    assert answer.code == 0
    assert all(f"{measure.name}  " in answer.out for measure in chosen_measures())


def test_measures_are_a_table_of_a_line_each_in_eighty_columns(command_line, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = command_line("measures").out.splitlines()
    assert max(map(len, lines)) <= 80
    for measure in chosen_measures():
        (line,) = [line for line in lines if line.split(" ")[0] == measure.name]
        assert measure.direction in line
        assert f" {measure.suite} " in f"{line} "
    assert len(lines) < len(chosen_measures()) + 12


def test_a_suite_is_listed_and_cannot_stand_in_a_list(command_line):
    listed = json.loads(command_line("measures", "fast", "--json").out)["measures"]
    assert [one["name"] for one in listed] == [one.name for one in chosen_measures("fast")]
    answer = command_line("train", "measure.names=[fast,sharpness]")
    assert (answer.code, "a suite cannot stand in a list of measures; got 'fast'" in answer.err) == (2, True)


def test_a_measure_that_is_named_gets_its_card(command_line):
    out = command_line("measures", "gamma").out
    assert "formula: ½ ln det G" in out
    assert "sharpness  " not in out
    whole = json.loads(command_line("measures", "--json").out)["measures"]
    assert json.loads(command_line("measures", "sharpness", "gamma", "--json").out)["measures"] == [
        entry for entry in whole if entry["name"] in ("gamma", "sharpness")
    ]
    wrong = command_line("measures", "gama")
    assert wrong.code == 2
    assert "Did you mean 'gamma'?" in wrong.err


def test_each_card_is_whole_and_fits_a_hundred_columns(command_line, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    names = [measure.name for measure in chosen_measures()]
    out = command_line("measures", *names).out
    assert max(map(len, out.splitlines())) <= 100
    assert not any(line != line.rstrip() for line in out.splitlines())
    cards = [" ".join(card.split()) for card in re.split(r"\n(?=\S)", out)]
    entries = json.loads(command_line("measures", "--json").out)["measures"]
    for entry, card in zip(entries, cards[: len(entries)], strict=True):
        assert card.startswith(f"{entry['name']} {entry['unit']}, {entry['direction']} is better [{entry['suite']}]")
        for key in ("formula", "source", "family", "cost"):
            assert f"{key}: {' '.join(entry[key].split())}" in card
        assert f"batch norm: {entry['batch_norm']}" in card
        for key in ("invariance", "needs", "settings"):
            assert not entry[key] or f"{key}: {', '.join(entry[key])}" in card


def test_measures_as_json_holds_what_a_reader_needs(command_line):
    entries = json.loads(command_line("measures", "--json").out)["measures"]
    assert [entry["name"] for entry in entries] == [measure.name for measure in chosen_measures()]
    for entry in entries:
        assert all(entry[key] for key in ("formula", "source", "family", "unit", "cost", "batch_norm", "suites"))
        assert entry["direction"] in ("lower", "higher")
        assert entry["family"] in FAMILIES
        assert set(entry["invariance"]) <= CHANGES.keys()


def test_each_suite_has_gamma_and_a_configuration_of_its_name(command_line):
    from infomcr_cli.config.compose import compose_run

    for name in SUITES:
        names = [measure.name for measure in chosen_measures(compose_run([f"measure={name}"]).measure.names)]
        assert names[0] == "gamma"
        assert set(names) == {one.name for one in chosen_measures() if name in one.suites}


def test_free_suite_takes_no_more_than_a_forward_and_a_backward_pass_beside_the_draws():
    from infomcr_cli.config.compose import compose_run

    config = compose_run(["measure=free"]).measure
    for measure in chosen_measures("free"):
        assert measure.passes is gram_passes or work_in(measure.passes, config).passes <= config.samples * GRAM_ROW, (
            measure.name
        )


def test_free_suite_holds_the_norms_of_layers_and_no_noise_scale_or_hessian():
    free = {measure.name for measure in chosen_measures("free")}
    assert {"frobenius_over_spectral", "spectral_distance_product", "spectral_product", "spectral_distance"} <= free
    assert not {"takeuchi", "pac_bayes_origin", "noise_scale", "hessian_trace", "basin_volume"} & free


def test_the_measures_of_the_gradients_at_true_labels_say_that_they_are_of_the_empirical_fisher():
    cards = {measure.name: f"{measure.formula} {measure.source}" for measure in chosen_measures()}
    for name in ("fisher_trace", "spectral_norm", "frobenius_norm"):
        assert "empirical Fisher" in cards[name]
        assert "true labels" in cards[name]
        assert "arXiv:1905.12558" in cards[name]
    assert "2012.14193" not in cards["fisher_trace"]  # its labels are drawn by the network


def test_every_setting_that_a_measure_names_exists():
    def known(record, prefix=""):
        for name, field in record.model_fields.items():
            yield prefix + name
            if hasattr(field.annotation, "model_fields"):
                yield from known(field.annotation, f"{prefix}{name}.")

    settings = set(known(MeasureConfig))
    assert {name for measure in chosen_measures() for name in measure.settings} <= settings


def test_the_forecast_knows_every_measure_that_passes_over_the_samples():
    without = {measure.name for measure in chosen_measures() if measure.passes is no_passes}
    assert without == {
        "train_loss",
        "margin",
        "parameter_count",
        "distance_from_initialization",
        "frobenius_product",
        "frobenius_product_over_margin",
        "path_norm",
        "power_law_alpha",
        "weighted_alpha",
        "path_norm_over_margin",
        "inverse_margin_squared",
        "parameter_norm",
        "frobenius_distance",
        "train_confidence",
        "train_entropy",
        "train_calibration_error",
        "steps_to_target",
        "sum_of_train_losses",
    }


def test_the_forecast_grows_with_the_chosen_measures(command_line):
    from infomcr_cli.config.compose import compose_run

    config = compose_run(["measure=all"]).measure
    chosen = [["margin"], ["margin", "sharpness"], ["margin", "sharpness", "gamma"]]
    few, more, most = (work_of(chosen_measures(names), config).passes for names in chosen)
    assert few < more < most
    assert (format_duration(12), format_duration(600), format_duration(7200)) == ("12 s", "10 min", "2.0 h")


def test_order_of_the_measures_does_not_depend_on_which_was_imported_first():
    script = "import infomcr_cli.measures.library.{0}; from infomcr_cli.measures.base import chosen_measures;"
    script += "print([measure.name for measure in chosen_measures()])"
    orders = {
        subprocess.run([sys.executable, "-c", script.format(first)], check=True, capture_output=True).stdout
        for first in ("confidence", "takeuchi")
    }
    assert orders == {f"{[measure.name for measure in chosen_measures()]}\n".encode()}
