"""From overrides to jobs: Hydra's sweep syntax, exclusions, identities, ten thousand of them."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.exclude import parse_exclusions
from infomcr_cli.config.grid import expand
from infomcr_cli.config.sweep_settings import split_arguments
from infomcr_cli.engine.plan import plan
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, finished, new_status, write_status
from infomcr_cli.runs.identity import identity


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def overrides(*arguments: str, exclude: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [point.overrides for point in expand(arguments, None, parse_exclusions(exclude))]


def test_every_combination_once_the_last_axis_fastest() -> None:
    found = overrides("reg=on,off", "model=wrn", "seed=range(3)")
    wanted = [(r, "model=wrn", s) for r, s in itertools.product(("reg=on", "reg=off"), ("seed=0", "seed=1", "seed=2"))]
    assert found == wanted


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("seed=3,1,2", ["3", "1", "2"]),
        ("seed=range(0,6,2)", ["0", "2", "4"]),
        ("seed=choice(5,7)", ["5", "7"]),
        ("seed=sort(3,1,2)", ["1", "2", "3"]),
        ("schedule=glob(c*)", ["constant", "cosine"]),
        ("schedule=glob(*,exclude=c*)", ["piecewise"]),
        ("model.widths=[4,8],[8,16]", ["[4,8]", "[8,16]"]),
        ("optimizer.learning_rate=1e-1,0.2", ["0.1", "0.2"]),
        ("model.widths=null,[4,8]", ["null", "[4,8]"]),
    ],
)
def test_hydra_syntax(axis: str, values: list[str]) -> None:
    key = axis.partition("=")[0]
    assert overrides(axis) == [(f"{key}={value}",) for value in values]


@pytest.mark.parametrize(
    "arguments",
    [
        ["reg=on,off", "data.batch_size=32,64", "seed=range(2)"],
        ["experiment=demo", "model.widths=[4,8],null", "optimizer.learning_rate=1,0.1"],
        ["schedule=glob(*)", "schedule.epochs=3,4", "reg=on", "reg.phases=111,'011'"],
        ["tracking.experiment='a b'", "data.root=null,'x,y'", "optimizer.nesterov=true,false"],
    ],
)
def test_setting_plain_values_gives_what_hydra_composes(arguments: list[str]) -> None:
    for point in expand(arguments):
        assert point.config == compose_run(point.overrides)


def test_a_value_that_follows_from_a_swept_one_follows(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    (folder / "measure").mkdir(parents=True)
    text = "defaults: [fast, _self_]\nbatch_size: ${data.batch_size}\n"
    (folder / "measure" / "tied.yaml").write_text(text)
    points = expand(["measure=tied", "data.batch_size=32,64"], folder)
    assert [point.config.measure.batch_size for point in points] == [32, 64]


def test_what_is_excluded_is_neither_composed_nor_checked() -> None:
    grid = ("reg=on,off", "data.batch_size=20,64", "seed=0,1")
    with pytest.raises(InputError, match=r"num_sub_batches must divide"):
        overrides(*grid)
    found = overrides(*grid, exclude=("reg=on data.batch_size=20", "seed=1 reg=off"))
    assert ("reg=off", "data.batch_size=20", "seed=0") in found
    assert len(found) == 8 - 2 - 2


def test_exclusions_may_name_unswept_settings_and_globs() -> None:
    assert len(overrides("schedule=glob(*)", exclude=("schedule.factor=1.0",))) == 2
    assert len(overrides("schedule=glob(*)", exclude=("schedule=glob(c*)",))) == 1
    assert len(overrides("schedule=glob(*)", "seed=range(4)", exclude=("schedule=cosine seed=range(1,4)",))) == 9


def test_a_subset_that_leaves_no_image_is_refused() -> None:
    with pytest.raises(InputError, match="leaves out every combination"):
        overrides("seed=0,1", exclude=("seed=0,1",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["reg=on,of"], "reg must be one of its choices.*'of'.*Did you mean 'off'"),
        (["data.batch_sise=1,2"], "batch_sise.*Did you mean"),
        (["seed=0,1", "seed=2"], "given only once"),
        (["seed=interval(0,1)"], "needs a list of values"),
        (["seed=1,-1"], "seed must be at least 0"),
        (["measure=fast,standard"], "one measure for all its jobs"),
        (["engine.jobs=1,2"], "one engine for all its jobs"),
        (["seed=range(1000)", "data.batch_size=range(1,1000)"], "at most 100,000"),
        (["model=glob(xyz*)"], "model must have a value"),
    ],
)
def test_bad_grids_are_explained(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=rf"(?s){message}"):
        expand(arguments)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("sweep.exlude=[]", "exclude"),
        ("sweep.evaluate=maybe", "true or false"),
        ("sweep.name='a/b'", "letters, digits"),
        ("sweep.name=..", "of its own"),
    ],
)
def test_bad_settings_of_a_sweep_are_explained(argument: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_arguments([argument])


def test_settings_of_a_sweep_are_not_recorded_in_its_runs() -> None:
    arguments = split_arguments(["seed=0,1", 'sweep.exclude="seed=1"', "sweep.compare=false"])
    assert arguments.overrides == ("seed=0,1",)
    assert arguments.sweep.exclude == ("seed=1",)
    assert not arguments.sweep.compare


def test_engine_settings_leave_the_identity_alone() -> None:
    plain = identity(compose_run([]))
    assert identity(compose_run(["engine=ray", "engine.timeout=5", "engine.memory=2GB", "engine.jobs=3"])) == plain


def test_equal_combinations_make_one_job_and_jobs_of_one_identity_are_refused() -> None:
    assert len(plan(expand(["seed=1,1,2"]))) == 2
    with pytest.raises(InputError, match="must differ in settings that change the weights"):
        plan(expand(["device=auto,cpu"]))


def test_a_run_of_the_same_identity_is_found_whatever_its_name() -> None:
    first, second = plan(expand(["seed=0,1"]))
    assert (first.state, second.state) == (None, None)
    run = RunDirectory.create("runs/any-name", config=b"{}\n", overrides=[], status=new_status(first.identity))
    write_status(run, finished(new_status(first.identity), State.FINISHED))
    again, _ = plan(expand(["seed=0,1"]))
    assert (again.state, again.run) == (State.FINISHED, run.path)
    assert again.is_done(evaluate=False)
    assert not again.is_done(evaluate=True)


def test_the_finished_one_of_several_is_taken() -> None:
    (job,) = plan(expand(["seed=0"]))
    for name, state in (("a", State.KILLED), ("b", State.FINISHED), ("c", State.FAILED)):
        run = RunDirectory.create(f"runs/{name}", config=b"{}\n", overrides=[], status=new_status(job.identity))
        write_status(run, finished(new_status(job.identity), state))
    assert plan(expand(["seed=0"]))[0].run.name == "b"


def test_ten_thousand_jobs_are_planned_within_ten_seconds_of_work() -> None:
    began = time.process_time()
    jobs = plan(
        expand(
            [
                "reg=on,off",
                "augment=none,standard",
                "seed=range(250)",
                "optimizer.learning_rate=0.1,0.05",
                "data.batch_size=16,32,64,128,256",
            ]
        )
    )
    assert len({job.identity for job in jobs}) == 10_000
    assert time.process_time() - began < 10


MANDATORY = [
    (["data=npz", "data.root=a.npz,b.npz"], "data.root", ["a.npz", "b.npz"]),
    (["model=builder", "model.builder=nets:f,nets:g"], "model.builder", ["nets:f", "nets:g"]),
    (["model.builder=nets:f,nets:g", "model=builder", "seed=0"], "model.builder", ["nets:f", "nets:g"]),
    (["data=npz,image_folder", "data.root=a,b", "data.batch_size=8"], "data.root", ["a", "b", "a", "b"]),
    (["data=npz", "data.root='a b,c.npz','d'"], "data.root", ["a b,c.npz", "d"]),
    (["experiment=open", "data.root=a,b"], "data.root", ["a", "b"]),
    (["experiment=open", "data.root=a", "data.seed=range(2)"], "data.seed", [0, 1]),
    (["experiment=open,closed", "data.root=a,b"], "data.root", ["a", "b", "a", "b"]),
    (["data=mine", "data.batch_size=16,32", "data.root=null,x"], "data.batch_size", [16, 16, 32, 32]),
    (["data=mine,digits", "data.batch_size=16,32"], "data.batch_size", [16, 32, 16, 32]),
]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of configuration in which settings have no default."""
    folder = tmp_path / "own"
    for group, name, text in (
        ("experiment", "open", "# @package _global_\ndefaults:\n  - override /data: npz\n"),
        ("experiment", "closed", "# @package _global_\noptimizer:\n  momentum: 0.5\n"),
        ("data", "mine", "defaults: [digits, _self_]\nbatch_size: ???\n"),
    ):
        (folder / group).mkdir(parents=True, exist_ok=True)
        (folder / group / f"{name}.yaml").write_text(text)
    return folder


def value_of(config: object, setting: str) -> object:
    for name in setting.split("."):
        config = getattr(config, name)
    return config


@pytest.mark.parametrize(("arguments", "setting", "values"), MANDATORY)
def test_the_axis_of_a_setting_without_a_default_gives_it(
    own: Path, arguments: list[str], setting: str, values: list[object]
) -> None:
    points = expand(arguments, own)
    assert [value_of(point.config, setting) for point in points] == values
    assert [point.config for point in points] == [compose_run(point.overrides, own) for point in points]


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["data=npz", "seed=0,1"], "data.root"),
        (["data=digits,npz", "seed=0,1"], "data.root"),
        (["experiment=open", "data.batch_size=16,32"], "data.root"),
    ],
)
def test_a_setting_without_a_default_that_no_axis_gives_is_still_required(
    own: Path, arguments: list[str], missing: str
) -> None:
    with pytest.raises(InputError, match=f"{missing} must be given"):
        expand(arguments, own)
