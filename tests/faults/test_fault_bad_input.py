"""Whatever is typed: exit 2 with the rule, the value and the way out; never a traceback, never a run left behind."""

from __future__ import annotations

import contextlib
import json
import os
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli import Answer, infomcr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infomcr_cli.runs import RunDirectory, new_status

pytestmark = pytest.mark.faults

CASES = {"quick": 20, "thorough": 240}
GROUPS = ("data", "model", "augment", "optimizer", "schedule", "reg", "measure", "tracking", "engine")
NUMBERS = (
    "data.batch_size",
    "data.train_size",
    "data.label_noise",
    "model.depth",
    "model.width",
    "optimizer.learning_rate",
    "optimizer.momentum",
    "schedule.epochs",
    "schedule.eval_every",
    "schedule.checkpoint_every",
    "seed",
    "measure.gamma.draws",
    "measure.gamma.memory",
)
BAD_VALUES = (
    "-1",
    "0.5.5",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "x",
    "''",
    "[]",
    "{}",
    "true",
    "-0.1",
    "[1,2",
    "0x10",
    "~",
    "null:",
    "9" * 40,
)
WORDS = st.text(string.ascii_letters + string.digits + "_.=,[]{}()'\"~@:+-!$%&*\\ äΩ\x1b\n", min_size=1, max_size=30)
RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)

mistaken_choice = st.builds(
    "{}={}".format, st.sampled_from(GROUPS), st.text(string.ascii_lowercase, min_size=1, max_size=8).map("x".__add__)
)
mistaken_value = st.builds("{}={}".format, st.sampled_from(NUMBERS), st.sampled_from(BAD_VALUES))
mistaken_key = st.builds(
    "{}.{}=1".format, st.sampled_from(GROUPS), st.text(string.ascii_lowercase, min_size=1, max_size=12).map("z".__add__)
)
anything = WORDS.map("q".__add__)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("typed")
    before = os.environ.get("INFOMCR_STATE")
    os.environ["INFOMCR_STATE"] = str(place.parent / "state")
    yield place
    if before is not None:
        os.environ["INFOMCR_STATE"] = before


def assert_refused(answer: Answer, folder: Path, arguments: object) -> None:
    assert answer.code == 2, (arguments, answer)
    assert answer.out == ""
    assert "Traceback" not in answer.err, (arguments, answer.err)
    assert len(answer.err.strip()) > 20
    assert "\x1b" not in answer.err, (arguments, answer.err)
    assert os.listdir(folder) == [], (arguments, os.listdir(folder))


@pytest.fixture(params=["quick", pytest.param("thorough", marks=pytest.mark.slow)])
def cases(request: pytest.FixtureRequest) -> int:
    return CASES[request.param]


def test_mistaken_overrides(folder: Path, cases: int, observed: Callable[..., None]) -> None:
    tried = 0

    @settings(RELAXED, max_examples=cases)
    @given(st.one_of(mistaken_choice, mistaken_value, mistaken_key))
    def check(override: str) -> None:
        nonlocal tried
        tried += 1
        assert_refused(infomcr(["train", override], folder), folder, override)

    check()
    observed("bad input: overrides", bad_inputs=tried)


def test_anything_at_all_on_the_command_line(folder: Path, cases: int, observed: Callable[..., None]) -> None:
    tried = 0
    verbs = st.sampled_from(("train", "eval", "compare", "judge", "sync", "runs", "sweep"))

    @settings(RELAXED, max_examples=cases)
    @given(verbs, st.lists(anything, min_size=1, max_size=3))
    def check(verb: str, words: list[str]) -> None:
        nonlocal tried
        tried += 1
        assert_refused(infomcr([verb, *words], folder), folder, (verb, words))

    check()
    observed("bad input: command lines", bad_inputs=tried)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


def test_run_directories_with_anything_in_them(tmp_path: Path, cases: int, observed: Callable[..., None]) -> None:
    run = RunDirectory.create(tmp_path / "r" / "a", config=b"seed: 0\n", overrides=[], status=new_status("ab"))
    kept = {name: (run.path / name).read_bytes() for name in ("config.yaml", "status.json")}
    tried = 0

    @settings(RELAXED, max_examples=cases)
    @given(
        st.sampled_from(("config.yaml", "status.json")),
        st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()) | WORDS.map(str.encode),
        st.sampled_from((("eval",), ("train", "--resume"), ("compare", "--no-tracking"))),
    )
    def check(name: str, content: bytes, verb: tuple[str, ...]) -> None:
        nonlocal tried
        tried += 1
        (run.path / name).write_bytes(content)
        answer = infomcr([*verb, str(run.path)], tmp_path)
        (run.path / name).write_bytes(kept[name])
        assert answer.code in (1, 2) or verb[0] == "compare", (name, content, answer)
        assert "Traceback" not in answer.err, (name, content, answer.err)
        assert "\x1b" not in answer.text

    check()
    observed("bad input: run directories", bad_inputs=tried)


def test_the_schema_takes_nothing_that_is_no_run(cases: int, observed: Callable[..., None]) -> None:
    from infomcr_cli.config.compose import compose_run, validate
    from infomcr_cli.errors import InputError

    whole, tried = compose_run(["tracking=off"]).model_dump(mode="json"), 0

    @settings(RELAXED, max_examples=2 * cases)
    @given(st.sampled_from(sorted(whole)), json_values)
    def check(group: str, value: object) -> None:
        nonlocal tried
        tried += 1
        with contextlib.suppress(InputError):
            accepted = validate({**whole, group: value})
            assert accepted.model_dump(mode="json") == {**whole, group: accepted.model_dump(mode="json")[group]}

    check()
    observed("bad input: schema", bad_inputs=tried)


def test_data_folders_and_archives_with_anything_in_them(
    tmp_path: Path, folder: Path, cases: int, observed: Callable[..., None]
) -> None:
    tried, root = 0, tmp_path / "data"
    names = st.sampled_from(("train/a/1.jpg", "test/a/1.png", "batches.meta", "data_batch_1", "train", "x.tar.gz"))

    @settings(RELAXED, max_examples=cases)
    @given(
        st.dictionaries(names, st.binary(max_size=40), max_size=3),
        st.sampled_from(("cifar10", "image_folder")),
        st.booleans(),
    )
    def check(files: dict[str, bytes], source: str, archive: bool) -> None:
        nonlocal tried
        tried += 1
        place = root / str(tried)
        for name, content in files.items():
            if not (place / name).exists() and not any(p.is_file() for p in (place / name).parents):
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(content)
        given_root = place / "x.tar.gz" if archive else place
        arguments = [
            "train",
            f"data={source}",
            f"data.root={given_root}",
            f"data.cache={tmp_path}/cache",
            "tracking=off",
        ]
        assert_refused(infomcr(arguments, folder), folder, (files, source, archive))

    check()
    observed("bad input: data", bad_inputs=tried)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "model=wnr"], "wrn"),
        (["train", "data.bach_size=64"], "batch_size"),
        (["train", "data.batch_size=0"], "at least 1"),
        (["train", "reg=on", "reg.num_sub_batches=7"], "divide"),
        (["train", "schedule.match_compute=true", "schedule.stop_at_train_loss=0.1"], "early stopping"),
        (["train", "tracking.uri=htp://x"], "tracking.uri"),
        (["train", "--resume", "nowhere"], "run"),
        (["eval", "nowhere"], "run"),
        (["compare", "nowhere"], "nowhere"),
        (["sync", "nowhere"], "run"),
        (["runs", "--runs-dir", "nowhere"], "nowhere"),
        (["train", "--run-dir", "/proc/x/y"], "cannot be created"),
    ],
)
def test_known_mistakes_get_their_way_out(folder: Path, arguments: list[str], said: str) -> None:
    answer = infomcr(arguments, folder)
    assert_refused(answer, folder, arguments)
    assert said in answer.err
