"""`infomcr sync 'runs/*'`: a quoted pattern names every run that it matches."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory
from infomcr_cli.sync import sync

NOWHERE = "http://127.0.0.1:9"


def test_a_quoted_pattern_names_every_run_that_it_matches(run: RunDirectory) -> None:
    shutil.copytree(run.path, run.path.with_name("second"))
    found = sync([str(run.path.parent / "*")], tracking_uri=NOWHERE)
    assert sorted(Path(one.run).name for one in found.runs) == sorted([run.path.name, "second"])


def test_a_run_whose_name_is_a_pattern_is_itself(run: RunDirectory) -> None:
    shutil.copytree(run.path, run.path.with_name("[a]"))
    found = sync([str(run.path.with_name("[a]"))], tracking_uri=NOWHERE)
    assert [Path(one.run).name for one in found.runs] == ["[a]"]


def test_a_pattern_that_matches_nothing_is_refused(run: RunDirectory) -> None:
    with pytest.raises(InputError, match="must be a directory"):
        sync([str(run.path.parent / "none-*")])
