"""Untrusted files: refused in a sentence, quickly, whatever they claim."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infomcr_cli.console.text import printable
from infomcr_cli.errors import InputError
from infomcr_cli.runs import Checkpoint, RunDirectory, list_checkpoints, load_checkpoint, save_checkpoint
from infomcr_cli.runs.io.safe_documents import parse_json, parse_yaml
from infomcr_cli.runs.io.tensors import decode_arrays, encode_arrays

RECORD = {"infomcr": json.dumps({"step": 1, "epoch": 1, "train_loss": None, "extra": {}})}


def plant(run: RunDirectory, content: bytes) -> None:
    """Put a file in place as a checkpoint, with a checksum that is right."""
    (run.checkpoints / "a.safetensors").write_bytes(content)
    line = f"{hashlib.sha256(content).hexdigest()}  a.safetensors\n"
    (run.checkpoints / "a.safetensors.sha256").write_text(line)


def forged(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(shape: Any, dtype: str = "F32", end: int = 0) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}


FORGERIES = {
    "empty": b"",
    "pickle": b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    "zip": b"PK\x03\x04" + b"\0" * 100,
    "endless header": struct.pack("<Q", 2**63) + b"{}",
    "header of a gigabyte": struct.pack("<Q", 2**30) + b"{}",
    "header that is no JSON": forged(b"__import__('os')"),
    "header as a list": forged([1]),
    "deep header": forged(b"[" * 100_000),
    "NaN in the header": forged(b'{"a": NaN}'),
    "no record": forged({"weights:a": entry([0])}),
    "shape of 2**62": forged({"__metadata__": RECORD, "weights:a": entry([2**62, 0])}),
    "shape that overflows": forged({"__metadata__": RECORD, "weights:a": entry([2**39, 2**39])}),
    "rank 65": forged({"__metadata__": RECORD, "weights:a": entry([1] * 65, end=4)}, b"\0" * 4),
    "negative shape": forged({"__metadata__": RECORD, "weights:a": entry([-1])}),
    "shape of words": forged({"__metadata__": RECORD, "weights:a": entry(["x"])}),
    "object type": forged({"__metadata__": RECORD, "weights:a": entry([1], "O", 8)}, b"\0" * 8),
    "offsets outside": forged({"__metadata__": RECORD, "weights:a": entry([250], end=1000)}),
    "offsets that overlap": forged(
        {"__metadata__": RECORD, "weights:a": entry([2], end=8), "weights:b": entry([2], end=8)}, b"\0" * 8
    ),
    "escape in a name": forged({"__metadata__": RECORD, "weights:\x1b[2J": entry([0])}),
    "record of words": forged({"__metadata__": {"infomcr": '{"step": "x"}'}}),
    "record with 1e999": forged({"__metadata__": {"infomcr": '{"step": 1, "epoch": 1, "train_loss": 1e999}'}}),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_checkpoint_with_a_right_checksum_is_refused(run: RunDirectory, name: str) -> None:
    plant(run, FORGERIES[name])
    began = time.process_time()
    with pytest.raises(InputError) as caught:
        load_checkpoint(run, "a")
    assert "\x1b" not in str(caught.value)
    assert time.process_time() - began < 1


def test_a_folder_in_place_of_a_checkpoint_is_skipped_and_leaves_no_file_open(run: RunDirectory) -> None:
    (run.checkpoints / "a.safetensors").mkdir()
    before = os.listdir("/proc/self/fd")
    assert all(list_checkpoints(run) == [] for _ in range(5))
    assert len(os.listdir("/proc/self/fd")) == len(before)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(InputError):
        decode_arrays(content, "a file")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_every_damage_is_found(run: RunDirectory, place: float, bit: int, cut: bool) -> None:
    path = save_checkpoint(run, "a", Checkpoint(1, 1, {"x": np.arange(50.0)}, {"m": np.ones(3)}, {}, 0.5))
    content = bytearray(path.read_bytes())
    where = int(place * len(content))
    if cut:
        del content[where:]
    else:
        content[where] ^= 1 << bit
    path.write_bytes(content)
    with pytest.raises(InputError, match="checkpoint a"):
        load_checkpoint(run, "a")


def test_any_printable_array_name_can_be_encoded() -> None:
    arrays = {"weights:group1/block1/conv1/kernel": np.ones(2), "optimizer:sgd/ünï": np.ones(1)}
    assert set(decode_arrays(encode_arrays(arrays, {}), "it")[0]) == set(arrays)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch /tmp/pwned']",
        "!!python/name:os.system",
        "a: &x [1]\nb: *x",
        "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]",
        "a: " + "[" * 5000,
        "\x00",
        "a: 'unclosed",
        "!custom x",
        "a: 1\n" * 300_000,
    ],
)
def test_untrusted_yaml_is_plain_or_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"config\.yaml"):
        parse_yaml(text.encode(), "config.yaml")


def test_untrusted_json_and_text_are_refused_in_a_sentence() -> None:
    for text in (
        "NaN",
        "[Infinity]",
        "[" * 100_000,
        '{"a": ' * 50 + "1" + "}" * 50,
        "1" * 5000,
        "1e999",
        b"\xff\xfe",
    ):
        with pytest.raises(InputError, match="it must be"):
            parse_json(text.encode() if isinstance(text, str) else text, "it")
    assert printable("a\x1b]8;;http://x\x07\u202e\n") == "a\ufffd]8;;http://x\ufffd\ufffd\ufffd"
    assert len(printable("x" * 9999)) == 501
