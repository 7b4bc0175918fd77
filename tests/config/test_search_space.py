"""The space of a search, in Hydra's sweep syntax."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from tolerances import CLOSED_FORM

from infomcr_cli.config.grid import expand
from infomcr_cli.config.overrides import parse
from infomcr_cli.config.search_space import Numbers, search_space
from infomcr_cli.config.sweep_settings import split_arguments
from infomcr_cli.errors import InputError
from tests.tolerances import ROUNDING


@pytest.mark.parametrize(
    ("override", "numbers"),
    [
        ("optimizer.learning_rate=interval(0.01,0.5)", Numbers(0.01, 0.5)),
        ("optimizer.learning_rate=tag(log,interval(1e-3,1))", Numbers(0.001, 1.0, log=True)),
        ("model.width=int(interval(1,4))", Numbers(1, 4, whole=True)),
        ("model.width=tag(int,log,interval(1,64))", Numbers(1, 64, whole=True, log=True)),
        ("model.depth=interval(10.5,28)", Numbers(11, 28, whole=True)),  # it takes whole numbers only
        ("seed=range(3)", Numbers(0, 2, whole=True, step=1)),  # the end is no value, as in any sweep
        ("model.depth=range(10,29,6)", Numbers(10, 28, whole=True, step=6)),
        ("model.depth=range(28,9,-6)", Numbers(10, 28, whole=True, step=6)),
        ("seed=shuffle(range(3))", Numbers(0, 2, whole=True, step=1)),
        ("optimizer.momentum=range(0.1,0.5,0.1)", Numbers(0.1, 0.4, step=0.1)),
    ],
)
def test_numbers_of_a_space(override: str, numbers: Numbers) -> None:
    (searched,) = search_space([override]).searched.values()
    assert searched.numbers == numbers


RANGES = ["0,10", "10,0,-3", "0,0.9,0.3", "0,0.7,0.1", "1,2,0.25", "5,4.5,-0.125", "0,0.3,0.1"]


@pytest.mark.parametrize("ends", RANGES)
def test_the_ends_of_a_range_are_those_of_its_values(ends: str) -> None:
    override = f"optimizer.learning_rate=range({ends})"
    values = [float(value) for value in parse([override])[0].value().range()]
    numbers = search_space([override]).searched["optimizer.learning_rate"].numbers
    assert numbers is not None
    assert (numbers.low, numbers.high) == pytest.approx((min(values), max(values)), rel=ROUNDING, abs=ROUNDING)


def test_a_range_of_any_length_is_a_space() -> None:
    numbers = search_space(["seed=range(0,1000000000)"]).searched["seed"].numbers
    assert numbers == Numbers(0, 999_999_999, whole=True, step=1)


@pytest.mark.parametrize(
    ("override", "texts"),
    [
        ("reg=off,on", ("off", "on")),
        ("reg=choice(off,on)", ("off", "on")),
        ("data.batch_size=shuffle(16,8,32)", ("16", "8", "32")),  # the order is that of the command, each time
        ("model.widths=[8,16],[8,32]", ("[8,16]", "[8,32]")),
        ("optimizer=glob(adam*)", ("adam", "adamw")),
        ("data.batch_size=tag(log,choice(16,32))", ("16", "32")),
    ],
)
def test_choices_of_a_space(override: str, texts: tuple[str, ...]) -> None:
    space = search_space([override])
    (searched,) = space.searched.values()
    assert searched.numbers is None
    assert searched.texts == texts
    assert space.combinations == len(texts)


def test_a_proposal_is_the_run_that_its_overrides_spell() -> None:
    space = search_space(
        ["optimizer.learning_rate=tag(log,interval(0.01,0.5))", "reg=off,on", "seed=range(2)", "schedule.epochs=3"]
    )
    assert space.fixed == ("schedule.epochs=3",)
    assert space.combinations is None
    values = {"optimizer.learning_rate": 0.123457, "reg": "on", "seed": 1}
    point = space.point(values)
    assert point is not None
    assert point.overrides == ("optimizer.learning_rate=0.123457", "reg=on", "seed=1", "schedule.epochs=3")
    assert expand(point.overrides)[0].config == point.config
    assert space.spelled(values) == point.overrides[:3]


def test_every_choice_and_every_bound_is_probed() -> None:
    space = search_space(["optimizer.learning_rate=interval(0.01,0.5)", "reg=off,on,sam"])
    probed = [(point.config.optimizer.learning_rate, point.config.reg.name) for point in space.probes()]
    assert probed == [(0.01, "off"), (0.5, "off"), (0.01, "on"), (0.01, "sam")]


@pytest.mark.parametrize("step", ["0.1", "0.0333333333", "0.01234567890123", "0.007"])
def test_optuna_accepts_every_value_of_a_range(step: str) -> None:
    (searched,) = search_space([f"optimizer.learning_rate=range(0.01,0.5,{step})"]).searched.values()
    numbers = searched.numbers
    assert numbers is not None
    optuna = FloatDistribution(numbers.low, numbers.high, step=numbers.step)
    values = np.arange(0.01, 0.5, float(step))
    assert optuna.high == numbers.high == pytest.approx(values[-1], rel=CLOSED_FORM)
    for value in values:
        assert numbers.nearest(value) == pytest.approx(value, rel=CLOSED_FORM)
        assert optuna._contains(optuna.to_internal_repr(numbers.nearest(value)))


def test_a_proposed_number_has_few_digits_and_stays_within_its_bounds() -> None:
    assert Numbers(0.01, 0.5).nearest(0.123456789) == 0.123457
    assert Numbers(1 / 3, 2 / 3).nearest(1 / 3) == 1 / 3  # rounded down it would be below the bound
    assert Numbers(1, 4, whole=True).nearest(3) == 3
    assert Numbers(0.1, 0.5, step=0.1).nearest(0.1 + 2 * 0.1) == 0.3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.learning_rate=interval(0.5,0.1)", "an interval must be increasing"),
        ("optimizer.learning_rate=tag(log,interval(0,0.1))", "a lower bound above 0"),
        ("model.depth=interval(10.2,10.8)", "must contain an integer"),
        ("optimizer.learning_rte=interval(0.1,0.2)", "Did you mean 'optimizer.learning_rate'"),
        ("reg=off,onn", "Did you mean 'on'"),
        ("engine.jobs=int(interval(1,2))", "one engine for all its jobs"),
        ("optimizer.momentum=interval(0.5,1.5)", "optimizer.momentum must be"),
        ("seed=1", "needs at least one setting"),
    ],
)
def test_what_cannot_be_searched_is_refused(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        list(search_space([override]).probes())


def test_an_interval_without_a_search_names_the_way_out() -> None:
    with pytest.raises(InputError, match=r"An interval is searched: add sweep\.search=optuna"):
        expand(["optimizer.learning_rate=interval(0.01,0.5)"])


def test_settings_of_a_search_are_lists_where_lists_are_meant() -> None:
    sweep = split_arguments(["sweep.search=optuna", "sweep.objective=validation_error,gamma"]).sweep
    assert sweep.objective == ("validation_error", "gamma")
    sweep = split_arguments(["sweep.search=optuna", "sweep.objective=gamma", "sweep.directions=maximize"]).sweep
    assert (sweep.objective, sweep.directions) == (("gamma",), ("maximize",))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sweep.trials=5"], r"sweep\.trials is a setting of a search.*Add sweep\.search=optuna"),
        (["sweep.search=optna"], r"sweep\.search|search must be one of its values.*'optuna'"),
        (["sweep.search=optuna", "sweep.trails=5"], r"Did you mean 'trials'"),
        (["sweep.search=optuna", "sweep.directions=up"], r"minimize, maximize"),
        (["sweep.search=optuna", "sweep.trials=0"], r"trials must be at least 1"),
        (["sweep.search=optuna", "sweep.sampler=tpr"], r"Did you mean 'tpe'"),
    ],
)
def test_wrong_settings_of_a_search_are_explained(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_arguments(overrides)
