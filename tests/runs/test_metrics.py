"""metrics.jsonl: each step once, exact numbers, no trace of a kill."""

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infomcr_cli.errors import InputError
from infomcr_cli.runs import MetricsLine, MetricsLog, RunDirectory
from infomcr_cli.runs.metrics import RewrittenError, decode_line, encode_line


def fill(log: MetricsLog, steps: range) -> None:
    for step in steps:
        log.append(step, step // 10, {"train/loss": 1 / (step + 3)}, {"time": 1e9 + step})


def test_metrics_are_read_in_the_order_in_which_they_were_written(run: RunDirectory) -> None:
    log = MetricsLog(run)
    fill(log, range(5))
    assert [line.step for line in log.read()] == list(range(5))
    assert log.read()[2].values == {"train/loss": 1 / 5}
    assert log.read()[2].timing == {"time": 1e9 + 2}


def test_truncation_leaves_the_bytes_of_an_unbroken_run(run: RunDirectory) -> None:
    log = MetricsLog(run)
    fill(log, range(10))
    unbroken = run.metrics.read_bytes()
    with open(run.metrics, "ab") as file:
        file.write(b'{"step": 10, "epo')
    assert log.truncate_after(6) == 4
    fill(log, range(7, 10))
    assert run.metrics.read_bytes() == unbroken


def test_the_metrics_of_an_epoch_without_a_checkpoint_are_written_again(run: RunDirectory) -> None:
    """A signal at an epoch's last step leaves a checkpoint before its line; the resumed run writes it, and dies."""
    log = MetricsLog(run)
    for epoch in range(1, 4):
        log.append(4 * epoch, epoch, {"train/loss": 1.0}, {"time": 1e9})
    assert log.truncate_after(12, 2) == 1
    assert [line.epoch for line in log.read()] == [1, 2]
    assert log.truncate_after(8, 2) == 0


def test_a_torn_last_line_is_left_out_and_dropped(run: RunDirectory) -> None:
    log = MetricsLog(run)
    fill(log, range(3))
    whole = run.metrics.read_bytes()
    for cut in range(1, 20):
        run.metrics.write_bytes(whole[:-cut])
        assert [line.step for line in log.read()] == [0, 1]
        log.truncate_after(99)
        assert run.metrics.read_bytes() == whole[: whole.rindex(b"\n", 0, -1) + 1]


def test_reading_on_in_a_rewritten_metrics_file_is_refused(run: RunDirectory) -> None:
    log = MetricsLog(run)
    fill(log, range(6))
    lines, offset = log.read_from(0)
    assert (len(lines), log.read_from(offset)) == (6, ([], offset))
    log.truncate_after(2)
    with pytest.raises(RewrittenError):
        log.read_from(offset)
    for step in range(3, 9):
        log.append(step, 0, {"train/loss": 1.0}, {"time": 1e9 + step / 7})
    with pytest.raises(RewrittenError):
        log.read_from(offset)
    assert [line.step for line in log.read_from(0)[0]] == list(range(9))


def test_infinite_and_nan_metrics_survive_the_round_trip(run: RunDirectory) -> None:
    log = MetricsLog(run)
    log.append(0, 0, {"nan": math.nan, "up": math.inf, "down": -math.inf}, {})
    record = json.loads(run.metrics.read_text(), parse_constant=lambda name: pytest.fail(name))
    assert (record["nan"], record["up"], record["down"]) == ("NaN", "Infinity", "-Infinity")
    values = log.read()[0].values
    assert math.isnan(values["nan"])
    assert (values["up"], values["down"]) == (math.inf, -math.inf)


@given(st.floats(), st.integers(0, 10**15), st.integers(0, 10**6))
def test_numbers_survive_bit_for_bit(value: float, step: int, epoch: int) -> None:
    line = decode_line(encode_line(MetricsLine(step, epoch, {"x": value})), "a line")
    assert (line.step, line.epoch) == (step, epoch)
    assert math.isnan(value) or struct.pack("<d", line.values["x"]) == struct.pack("<d", value)


@pytest.mark.parametrize("name", ["step", "timing", "a\nb", "", "ä", "[red]", "x" * 300])
def test_unusable_names_are_refused(run: RunDirectory, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        MetricsLog(run).append(0, 0, {name: 1.0}, {})


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"{}",
        b'{"step": -1, "epoch": 0}',
        b'{"step": true, "epoch": 0}',
        b'{"step": 1, "epoch": 0, "x": NaN}',
        b'{"step": 1, "epoch": 0, "x": []}',
        b'{"step": 1, "epoch": 0, "\\u001b[31m": 1}',
        b'{"step": 1, "epoch": 0, "x": ' + b"9" * 5000 + b"}",
        b'{"step": 1, "epoch": 0, "timing": [' + b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_an_untrusted_line_is_refused_in_a_sentence(run: RunDirectory, line: bytes) -> None:
    run.metrics.write_bytes(line + b"\n")
    with pytest.raises(InputError, match=r"line 1 of metrics\.jsonl"):
        MetricsLog(run).read()
