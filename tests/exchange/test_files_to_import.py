"""Which files are meant, and which settings belong to each."""

from __future__ import annotations

from pathlib import Path

import pytest

from infomcr_cli.errors import InputError
from infomcr_cli.exchange.sources import find_sources


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("a.keras", "b.keras", "c d.weights.h5", "a-before.keras", "e.safetensors"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_paths_and_globs_name_each_file_once(nets: Path) -> None:
    found = find_sources(["b.keras", "?.keras", "c d.weights.h5"], [])
    assert [source.file.name for source in found] == ["b.keras", "a.keras", "c d.weights.h5"]
    assert [source.run_name for source in found] == ["b", "a", "c_d"]


@pytest.mark.parametrize("setting", ["n" * 101 + "=1", "note=" + "x" * 1001])
def test_a_setting_that_no_run_can_record_is_refused_before_a_file_is_read(nets: Path, setting: str) -> None:
    name, _, value = setting.partition("=")
    (nets / "t.csv").write_text(f"file,{name}\na.keras,{value}\n")
    for given in ((["a.keras"], [setting], None), ([], [], nets / "t.csv")):
        with pytest.raises(InputError, match="a recorded setting must have a name of at most 100 letters"):
            find_sources(given[0], given[1], table=given[2])


def test_values_are_numbers_and_booleans_where_they_spell_them(nets: Path) -> None:
    given = ["rate=1e-3", "width=8", "flip=True", "data.source=mnist", "note=a=b", "version=1_0", "big=1e999"]
    (source,) = find_sources(["a.keras"], given)
    assert source.settings == {
        "rate": 0.001,
        "width": 8,
        "flip": True,
        "data.source": "mnist",
        "note": "a=b",
        "version": "1_0",
        "big": "1e999",
    }


def test_a_table_gives_settings_and_weights_before_training(nets: Path) -> None:
    lines = ["\ufefffile,rate,initial,seed", "a.keras,0.1,a-before.keras,", "b.keras,0.2,,7", ""]
    (nets / "t.csv").write_text("\n".join(lines))
    first, second = find_sources([], ["rate=9", "width=3"], table=nets / "t.csv")
    assert first.settings == {"rate": 0.1, "width": 3}
    assert first.initial is not None
    assert first.initial.name == "a-before.keras"
    assert second.settings == {"rate": 0.2, "width": 3, "seed": 7}
    (only,) = find_sources(["b.keras"], [], table=nets / "t.csv")
    assert only.settings == {"rate": 0.2, "seed": 7}


WRONG = {
    "no file": ([], [], None, "import needs a model file"),
    "a missing file": (["none.keras"], [], None, "must exist"),
    "a pattern of nothing": (["x*.keras"], [], None, "match a file"),
    "a legacy file": (["old.h5"], [], None, "save it anew"),
    "a setting without a value": (["a.keras"], ["rate"], None, "NAME=VALUE"),
    "a setting without a name": (["a.keras"], ["=3"], None, "NAME=VALUE"),
    "a table without files": ([], [], "name,rate\nx,1\n", "a column 'file'"),
    "a column twice": ([], [], "file,rate,rate\na.keras,1,2\n", "unique column names"),
    "a line too long": ([], [], "file,rate\na.keras,1,2\n", "match the header"),
    "a line without a file": ([], [], "file,rate\n,1\n", "name a file"),
    "a network as the weights before": ([], [], "file,initial\nc d.weights.h5,a.keras\n", "a kind that goes with it"),
    "tensors as the weights before": ([], [], "file,initial\na.keras,e.safetensors\n", "a kind that goes with it"),
    "two lines for a file": ([], [], "file,rate\na.keras,1\n./a.keras,2\n", "one line for each file"),
    "a file that the table lacks": (["b.keras"], [], "file,rate\na.keras,1\n", "a line for each file"),
    "a missing file in the table": ([], [], "file\nnone.keras\n", "must exist"),
    "a column that is no name": ([], [], "file,a b\na.keras,1\n", "name of a setting"),
    "an empty table": ([], [], "", "with a head"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_meant_is_refused_with_the_reason(nets: Path, name: str) -> None:
    files, settings, table, rule = WRONG[name]
    (nets / "old.h5").write_bytes(b"")
    if table is not None:
        (nets / "t.csv").write_text(table)
    with pytest.raises(InputError, match=rule):
        find_sources(files, settings, table=None if table is None else nets / "t.csv")
