"""A pickle is data here: whatever would run, import or fill the memory is refused."""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import as_python2_wrote

from infomcr_cli.data.cifar_pickle import read_batch
from infomcr_cli.errors import InputError


class Runs:
    def __init__(self, call, *arguments) -> None:
        self.call = call, arguments

    def __reduce__(self):
        return self.call


def nested_twice(depth: int) -> bytes:
    """A tuple that holds itself twice, `depth` times over: 2^depth parts to whoever walks it."""
    return b"\x80\x02)" + b"q\x00h\x00\x86" * depth


# What leaves a tuple on top of the stack as it is, so that the place it is kept in was not written just after it.
UNCHANGED = {
    "another place": b"q\x01",
    "a state of nothing": b"Nb",
    "nothing appended": b"(e",
    "no items": b"(u",
    "a protocol": b"\x80\x02",
    "a frame": b"\x95" + bytes(8),
}


def shared_after(unchanged: bytes) -> bytes:
    return b"\x80\x04})" + (unchanged + b"q\x00h\x00\x86") * 60 + b"K\x01s."


def encoded_again(length: int, times: int) -> bytes:
    """A text of `length` and as many copies of it as bytes."""
    text = b"X" + length.to_bytes(4, "little") + b"a" * length + b"q\x00"
    return b"\x80\x02" + text + b"c_codecs\nencode\nq\x01U\x06latin1q\x02" + b"h\x01h\x00h\x02\x86R" * times + b"."


def hostile(tmp_path) -> dict[str, bytes]:
    trace = str(tmp_path / "trace")
    return {
        "os.system": pickle.dumps({b"data": Runs(os.system, f"touch {trace}")}),
        "eval": pickle.dumps({b"data": Runs(eval, f"open({trace!r}, 'w')")}),  # noqa: S307 -- nothing runs it
        "open": pickle.dumps({b"data": Runs(open, trace, "w")}, protocol=2),
        "os.system, protocol 0": b"cos\nsystem\n(S'touch " + trace.encode() + b"'\ntR.",
        "instance": b"(i__main__\nRuns\n.",
        "old instance": b"\x80\x02(c__main__\nRuns\no.",
        "new object": b"\x80\x02cbuiltins\nlist\n)\x81.",
        "persistent id": b"\x80\x02U\x01aQ.",
        "extension": b"\x80\x02\x82\x01.",
        "class of numpy": b"\x80\x02cnumpy\nload\nU\x01a\x85R.",
        "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
        "build on a list": b"\x80\x02]}b.",
        "shared tuples as key": b"\x80\x02}" + nested_twice(60)[2:] + b"K\x01s.",
        "shared tuples in a name": nested_twice(60) + b"U\x01a\x93.",
        "deep tuple": b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"K\x01s.",
        "one text encoded again and again": encoded_again(1_000_000, 200),
        "a place of the memo far away": b"\x80\x02}r\xff\xff\xff\x7f.",
        "a place of the memo a little too far": b"\x80\x02}r\x00\x20\x00\x00.",
        "a place far away among others": b"\x80\x04}\x94\x94r\xff\xff\xff\x3f.",
        "a million lists": b"\x80\x02}(" + b"]" * 1_200_000 + b"l.",
        **{f"shared tuples after {what}": shared_after(by) for what, by in UNCHANGED.items()},
        "nested tuples, as many as may be": b"\x80\x02}" + b")" + b"\x85" * 19_990 + b"K\x01s.",
        "a tuple kept by its number and used twice": b"\x80\x04})\x94(h\x00h\x00t.",
        "byte array of eight exabytes": b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\x0f.",
        "popped": b"\x80\x02}]0.",
        "doubled": b"\x80\x02}2.",
        "set of tuples": b"\x80\x04\x8f()\x90.",
        "a name given a state": b"\x80\x02}cnumpy\nndarray\n}U\x08__init__U\x01xsbU\x01as.",
        "dtype with a state of its own": b"\x80\x02cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNtb.",
        "codec that unpacks": b"\x80\x02c_codecs\ndecode\nU\x01xU\x04zlib\x86R.",
        "marks within marks": b"\x80\x02" + b"(" * 50_000 + b"t" * 50_000 + b".",
        "no end": as_python2_wrote({"labels": [1]})[:-1],
        "truncated": as_python2_wrote({"labels": [1] * 99})[:60],
        "length beyond the end": b"\x80\x02T\xff\xff\xff\x7fabc.",
        "an array that is no array": b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\n)Rs.",
        "empty": b"",
        "a list": pickle.dumps([1, 2]),
        "objects": pickle.dumps({b"data": np.array([{}], dtype=object)}, protocol=2),
        "shape too large": as_python2_wrote({"data": np.zeros((2, 3), np.uint8)}).replace(
            b"K\x02K\x03\x86", b"K\xffK\xff\x86"
        ),
    }


@pytest.mark.parametrize("name", list(hostile(Path("unused"))))
def test_a_hostile_or_damaged_pickle_is_refused_and_nothing_runs(tmp_path, name) -> None:
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="pickled dictionary of plain data"):
        read_batch(hostile(tmp_path)[name], name="data_batch_1")
    assert time.process_time() - start < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes
    assert not (tmp_path / "trace").exists()


def test_the_attack_succeeds_on_plain_pickle(tmp_path) -> None:
    """The truth against which the refusal counts: the same bytes do run in Python's own reader."""
    pickle.loads(hostile(tmp_path)["os.system"])  # noqa: S301
    assert (tmp_path / "trace").exists()


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_give_a_dictionary_or_an_input_error(data: bytes) -> None:
    with contextlib.suppress(InputError):
        assert isinstance(read_batch(b"\x80\x02" + data, name="x"), dict)


@given(st.integers(0, 10_000), st.integers(0, 255))
@settings(max_examples=100, deadline=None)
def test_any_flipped_byte_gives_a_dictionary_or_an_input_error(place: int, byte: int) -> None:
    data = bytearray(as_python2_wrote({"labels": [3, 300], "data": np.ones((2, 3), np.uint8), "names": ["a", "b"]}))
    data[place % len(data)] = byte
    with contextlib.suppress(InputError):
        assert isinstance(read_batch(bytes(data), name="x"), dict)


def test_column_order_and_wide_numbers_are_understood() -> None:
    array = np.asfortranarray(np.arange(12, dtype=np.int64).reshape(3, 4))
    got = read_batch(pickle.dumps({b"a": array, b"n": [2**40, True, None, -1]}, protocol=2), name="x")
    assert np.array_equal(got["a"], array)
    assert got["n"] == [2**40, True, None, -1]


def test_bytes_that_python_3_pickles_for_python_2_are_understood() -> None:
    """Each is a call of `_codecs.encode`, of which a file has as many as it has names."""
    names = [f"img_{i}.png".encode() for i in range(6000)]
    got = read_batch(pickle.dumps({b"data": np.ones((2, 3), np.uint8), b"filenames": names}, protocol=2), name="x")
    assert got["filenames"] == [name.decode() for name in names]
    assert got["data"].tolist() == [[1, 1, 1], [1, 1, 1]]
