"""Sizes in bytes: every form that people type, one message for what is none, a record that reads as it was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infomcr_cli.config.byte_size import bytes_of, shown
from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.engine.limits import limits_of, slots_of
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import recorded_run
from infomcr_cli.runs.identity import identity

SETTINGS = ("engine.memory", "measure.gamma.memory")


def size_of(setting: str, value: str) -> int:
    config = compose_run([f"{setting}={value}"])
    size = config.engine.memory if setting == "engine.memory" else config.measure.gamma.memory
    assert size is not None
    return int(size)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512MB", 512 * 10**6),
        ("2GB", 2 * 10**9),
        ("2gb", 2 * 10**9),
        ("2G", 2 * 10**9),
        ("2GiB", 2 * 2**30),
        ("1.5 GB", 1_500_000_000),
        ("'1.5 GB'", 1_500_000_000),
        ("640MiB", 640 * 2**20),
        ("1TB", 10**12),
        ("3000000000", 3 * 10**9),
        ("3e9", 3 * 10**9),
    ],
)
def test_a_size_is_read_as_people_write_it(setting: str, text: str, size: int) -> None:
    assert size_of(setting, text) == size


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    "text", ["0MB", "0", "0.0GB", "-1GB", "-5", "lots", "2XB", "GB", "2.5", "true", "[1]", "1bit", "9" * 40]
)
def test_what_is_no_positive_size_is_refused_with_the_form_that_is_accepted(setting: str, text: str) -> None:
    with pytest.raises(InputError, match=rf"{setting} must be a positive size such as 500MB or 2GiB; got"):
        compose_run([f"{setting}={text}"])


def test_the_engine_of_gamma_reads_the_same_sizes() -> None:
    assert [bytes_of(x) for x in ("2GB", "1.5 MB", 100, 1e9)] == [2 * 10**9, 1_500_000, 100, 10**9]
    for wrong in ("lots", "0MB", 0, -1, float("inf"), True):
        with pytest.raises(InputError, match="memory must be a positive size"):
            bytes_of(wrong)


@given(st.integers(1, 2**53))
def test_a_size_is_shown_as_a_text_that_reads_as_exactly_it(size: int) -> None:
    assert bytes_of(shown(size)) == size


@pytest.mark.parametrize("text", ["2GB", "500MB", "2GiB", "640MiB", "1500MB", "7TB", "1KiB", "1001B"])
def test_a_recorded_size_stays_readable(text: str) -> None:
    config = compose_run([f"engine.memory={text}", f"measure.gamma.memory={text}"])
    recorded = yaml.safe_load(to_yaml(config))
    assert (recorded["engine"]["memory"], recorded["measure"]["gamma"]["memory"]) == (text, text)
    assert recorded_run(recorded) == config


def test_a_run_that_was_recorded_with_a_size_of_another_spelling_is_still_read() -> None:
    recorded = yaml.safe_load(to_yaml(compose_run([])))
    recorded["engine"]["memory"], recorded["measure"]["gamma"]["memory"] = "1.5 GB", "0.5GB"
    config = recorded_run(recorded)
    assert (config.engine.memory, config.measure.gamma.memory) == (1_500_000_000, 500_000_000)


def test_sizes_are_no_part_of_a_run_s_identity() -> None:
    plain = identity(compose_run([]))
    assert plain == "0101a0133a5579c9255afeefacb8c9eb4b429c207dee97677963677bfd7817ac"
    assert identity(compose_run(["engine.memory=2GiB", "measure.gamma.memory=64MB"])) == plain


def test_jobs_share_the_machine_by_the_size_that_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Memory:
        available = 8 * 10**9

    monkeypatch.setattr("infomcr_cli.engine.limits.psutil.virtual_memory", Memory)
    monkeypatch.setattr("infomcr_cli.engine.limits.os.sched_getaffinity", lambda pid: range(100))
    monkeypatch.setattr("infomcr_cli.engine.gpus.visible_gpus", lambda: ())
    engine = compose_run(["engine.memory=2G"]).engine
    assert limits_of(engine).memory == 2 * 10**9
    assert slots_of(engine, 100).count == 4  # type: ignore[arg-type]
