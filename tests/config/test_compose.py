"""Overrides become one validated run, and what is wrong with them is said in full."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.overrides import parse
from infomcr_cli.config.schema.run import _nearest_divisor
from infomcr_cli.config.search_path import group_choices, own_conf
from infomcr_cli.errors import InputError
from infomcr_cli.import_model import ImportRequest, _settings


def test_the_default_is_the_digits() -> None:
    config = compose_run([])
    assert (config.data.name, config.model.name, config.reg.name) == ("digits", "wrn", "off")


def test_a_bare_on_is_the_regularizer_and_not_a_boolean() -> None:
    config = compose_run(["reg=on"])
    assert config.reg.name == "on"
    assert config.choices["reg"] == "on"
    assert compose_run(["reg=off"]).choices["reg"] == "off"


@pytest.mark.parametrize("phases", ["111", "110", "101", "100", "011", "010", "001", "000"])
def test_phases_are_read_as_digits(phases: str) -> None:
    assert compose_run(["reg=on", f"reg.phases={phases}"]).reg.phases == phases  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model=wnr"], ["got 'wnr'", "Accepted:", "Did you mean 'wrn'?"]),
        (["data.bach_size=64"], ["'data.bach_size'", "batch_size", "Did you mean 'data.batch_size'?"]),
        (["data.batch_size=0"], ["data.batch_size must be at least 1; got 0"]),
        (["data.batch_size=x"], ["data.batch_size must be a whole number; got 'x'"]),
        (["reg=on", "reg.num_sub_batches=7"], ["must divide", "num_sub_batches=7, batch_size=64", "Try 8"]),
        (["reg=on", "reg.phases=012"], ["got '012'", "Accepted: 111, 110", "Did you mean"]),
        (["reg.beta=3"], ["It is a setting of reg=fisher_trace, reg=on."]),
        (["model.depth=27"], ["6n+4", "got 27", "Try 28"]),
        (["model.width=0.03"], ["model.width must be greater than 0.03125; got 0.03"]),
        (["model=vgg", "model.width=0.007"], ["model.width must be greater than 0.0078125; got 0.007"]),
        (["optimizer.learning_rate=1e999"], ["finite"]),
        (["precision=float33"], ["Did you mean 'float32'?"]),
        (["precision=bf16"], ["Did you mean 'mixed_bfloat16'?"]),
        (["device=cuda"], ["Did you mean 'gpu'?"]),
        (["reg=none"], ["Did you mean 'off'?"]),
        (["tracking=none"], ["Did you mean 'off'?"]),
        (["schedule=step"], ["Did you mean 'piecewise'?"]),
        (["lr=0.1"], ["Did you mean 'optimizer.learning_rate'?"]),
        (["optimizer.lr=0.1"], ["Did you mean 'optimizer.learning_rate'?"]),
        (["optimizer.wd=1e-4"], ["Did you mean 'optimizer.weight_decay'?"]),
        (["model.l2=1e-4"], ["Did you mean 'optimizer.l2'?"]),
        (["data.path=x"], ["Did you mean 'data.root'?"]),
        (["data.name=digist"], ["got 'digist'", "Did you mean 'digits'?"]),
        (["data.seeds=1"], ["Did you mean 'data.seed'?"]),
        (["sweep.name=a"], ["apply only to infomcr sweep"]),
        (["measure=gamma"], ["measure must be one of its choices", "'measure.names=[gamma]'"]),
        (["measure=[gamma,margin]"], ["'measure.names=[gamma,margin]'"]),
        (["measure=fats"], ["Did you mean 'fast'?"]),
        (["measure=[]"], ["measure must be one of its choices"]),
        (["reg=null"], ["reg must be one of its choices", "Accepted: fisher_trace"]),
        (["experiment=null"], ["experiment must be one of its choices", "demo"]),
        (["schedule=[piecewise,cosine]"], ["schedule must be one of its choices", "'[piecewise,cosine]'"]),
        (["=3"], ["KEY=VALUE", "got '=3'"]),
        (["+=3"], ["KEY=VALUE"]),
        (["+data=digits"], ["chosen without +; got '+data=digits'. Write data=digits."]),
        (["+experiment=demo"], ["chosen without +", "Write experiment=demo."]),
        (["++reg=on"], ["chosen without +", "Write reg=on."]),
        (["seed=null"], ["seed must be a whole number; got 'null'"]),
        (["model.widths=[8,16"], ["got 'model.widths=[8,16'. A bracket is not closed."]),
        (["seed=range(3"], ["A bracket is not closed."]),
        (["reg@foo=on"], ["cannot be composed"]),
        (["schedule.boundaries=[0.5,1.5]"], ["schedule.boundaries.1 must be at most 1.0; got 1.5"]),
        (["schedule.phases=[0.1]"], ["schedule.phases.1 must be given"]),
        (["schedule.boundaries=[0.6,0.3]"], ["schedule.boundaries must be increasing; got [0.6, 0.3]"]),
        (["runs_dir="], ["runs_dir must not be empty"]),
        (["data=image_folder"], ["data.root must be given"]),
        (["seed=1,2"], ["a run takes one value", "infomcr sweep"]),
        (["nonsense"], ["KEY=VALUE", "got 'nonsense'"]),
        (["+extra.key=1"], ["extra"]),
        (["dta=digits"], ["Did you mean 'data'?"]),
    ],
)
def test_a_mistake_is_answered_with_rule_value_and_way_out(overrides: list[str], said: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        compose_run(overrides)
    for words in said:
        assert words in str(caught.value)


@pytest.mark.parametrize("value", ["~/a(b", "a=b{c}", "x y(z)"])
def test_the_quoting_that_is_proposed_works(value: str) -> None:
    with pytest.raises(InputError) as caught:
        compose_run([f"data.root={value}"])
    proposal = str(caught.value).rsplit("In a shell write: ", 1)[1]
    import shlex

    assert compose_run(shlex.split(proposal)).data.root == value


@pytest.mark.parametrize("value", ["[a=b,c=d]", "[a b=c]"])
def test_the_quoting_that_is_proposed_for_a_list_can_be_parsed(value: str) -> None:
    import shlex

    with pytest.raises(InputError) as caught:
        parse([f"sweep.exclude={value}"])
    (proposed,) = shlex.split(str(caught.value).rsplit("In a shell write: ", 1)[1])
    (override,) = parse([proposed])
    assert [str(part) for part in override.value()] == value.strip("[]").replace("'", "").split(",")


def test_a_users_own_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "conf" / "reg"
    group.mkdir(parents=True)
    (group / "mine.yaml").write_text(
        'name: "on"\nnum_sub_batches: 2\nalpha: 1.0e-3\nbeta: 1.0\nshare_pass: false\nphases: "111"\n'
    )
    (group / "on.yaml").write_text(
        'name: "on"\nnum_sub_batches: 4\nalpha: 1.0e-3\nbeta: 1.0\nshare_pass: false\nphases: "111"\n'
    )
    monkeypatch.chdir(tmp_path)
    assert "mine" in group_choices(None)["reg"]
    assert compose_run(["reg=mine"]).reg.num_sub_batches == 2  # type: ignore[union-attr]
    assert compose_run(["reg=on"]).reg.num_sub_batches == 4  # type: ignore[union-attr]
    assert compose_run(["reg=off", "data=digits"]).reg.name == "off"


def test_a_value_that_is_not_utf8_is_named_in_few_words() -> None:
    for arguments in (["data=npz", "data.root=/x/caf\udce9.npz"], ["data=npz", "data.root='/x/caf\udce9.npz'"]):
        with pytest.raises(InputError, match=r"data\.root must be UTF-8 text; got") as caught:
            compose_run(arguments)
        assert len(str(caught.value)) < 200
        str(caught.value).encode()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("engine.jobs=abc", r"^engine\.jobs must be a whole number or one of its values; got 'abc'\. Accepted: auto"),
        ("measure.names=5", r"^measure\.names must be .*; got 5\."),
        ("engine.devices=abc", r"^engine\.devices must be .*; got 'abc'\."),
        ("schedule.epochs=abc", r"^schedule\.epochs must be a whole number; got 'abc'\."),
    ],
)
def test_a_misfit_names_the_setting_once_in_words_of_its_own(override: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        compose_run([override])
    assert len(str(caught.value).splitlines()) == 1
    assert not re.search(r"constrained|literal\[|tuple\[", str(caught.value))


def test_a_setting_that_a_preset_leaves_out_is_added_with_a_plus(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    text = (own_conf() / "data" / "npz.yaml").read_text().replace("scaling: standardised\n", "")
    (tmp_path / "data" / "mine.yaml").write_text(text.replace("order_seed: null\n", ""))
    given = ["data=mine", "data.root=a.npz"]
    for setting, name in (("order_seed=1", "order_seed"), ("scaling=raw", "scaling")):
        with pytest.raises(InputError, match=f"leaves out this setting.*Add it with \\+data.{setting}"):
            compose_run([*given, f"data.{setting}"], tmp_path)
        assert str(getattr(compose_run([*given, f"+data.{setting}"], tmp_path).data, name)) == setting.split("=")[1]
    assert _settings(ImportRequest(["a.keras"], given, config_dir=tmp_path), []).data.scaling == "raw"


def test_the_divisor_that_is_proposed_is_the_nearest_one() -> None:
    divisors = [one for one in range(1, 97) if 96 % one == 0]
    for parts in range(1, 100):
        assert _nearest_divisor(96, parts) == min(divisors, key=lambda one: (abs(one - parts), -one))
    assert _nearest_divisor(100_000_007, 50_000) == 1


BROKEN = {
    "a key twice": b"name: 'off'\nname: 'on'\n",
    "a tag": b"name: !!python/object:os.system x\n",
    "no YAML": b"name: [\n",
    "not UTF-8": b"name: caf\xe9\n",
    "a folder": None,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_preset_is_bad_input_and_one_that_is_not_chosen_is_none(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "reg" / "draft.yaml"
    file.parent.mkdir()
    file.mkdir() if content is None else file.write_bytes(content)
    with pytest.raises(InputError, match=r"reg must be one of its choices|cannot be composed"):
        compose_run(["reg=draft"], tmp_path)
    with pytest.raises(InputError, match=r"'reg\.betta'.*Did you mean 'reg\.beta'|got 'reg\.betta'"):
        compose_run(["reg=on", "reg.betta=1"], tmp_path)


def test_a_setting_of_another_preset_is_found_in_the_folder_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "reg").mkdir()
    (tmp_path / "reg" / "mine.yaml").write_text("name: 'on'\nshine: 1\n")
    with pytest.raises(InputError, match="It is a setting of reg=mine"):
        compose_run(["reg=off", "reg.shine=1"], tmp_path)


def test_a_folder_that_is_called_conf_by_chance_is_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "nginx.yaml").write_text("a: 1\n")
    monkeypatch.chdir(tmp_path)
    assert compose_run([]).data.name == "digits"


@pytest.mark.parametrize("experiment", [path.stem for path in sorted((own_conf() / "experiment").glob("*.yaml"))])
def test_every_experiment_composes(experiment: str) -> None:
    assert compose_run([f"experiment={experiment}", "data.root=/data"]).choices["experiment"] == experiment
