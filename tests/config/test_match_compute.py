"""Equal compute: the passes of a schedule against a loop over its steps, and the epochs that match them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tolerances import CLOSED_FORM

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.compute import matched, mean_passes, passes_until
from infomcr_cli.config.grid import expand
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.engine.plan import plan
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import recorded_run
from infomcr_cli.runs.identity import identity
from infomcr_cli.runs.io.safe_documents import parse_yaml
from infomcr_cli.training.schedule import Schedule

PAPER = ("experiment=wrn_cifar10_paper", "data.root=/data")
MATCHED = "schedule.match_compute=true"
REGS = ("off", "on", "sam", "gradient_norm", "fisher_trace")


def counted(config: RunConfig, steps_per_epoch: int, until: int | None = None) -> float:
    """Passes of a run, step by step as the loop asks its schedule."""
    table = Schedule(config.schedule, steps_per_epoch, getattr(config.reg, "phases", None))
    steps = range(table.steps if until is None else until)
    return sum(config.reg.passes if table.is_regularized(step) else 1.0 for step in steps)


@pytest.mark.parametrize("phases", ["111", "110", "101", "100", "011", "010", "001", "000"])
@pytest.mark.parametrize("shares", [(0.3, 0.6), (0.0, 1.0), (0.5, 0.5), (0.9, 0.2), (0.333, 0.777)])
def test_passes_are_those_of_a_loop_over_the_steps(phases: str, shares: tuple[float, float]) -> None:
    config = compose_run(["reg=on", f"reg.phases={phases}", f"schedule.phases=[{shares[0]},{shares[1]}]"])
    steps = config.schedule.epochs * 7
    for until in (0, 1, 41, 42, 43, 70, 83, 84, 85, steps - 1, steps):
        assert passes_until(until, steps, config.reg, config.schedule) == counted(config, 7, until)


@pytest.mark.parametrize("reg", REGS)
def test_the_mean_is_that_of_the_whole_schedule(reg: str) -> None:
    config = compose_run([f"reg={reg}", "schedule.epochs=10"])
    assert mean_passes(config.reg, config.schedule) == pytest.approx(counted(config, 10) / 100, abs=CLOSED_FORM)


@pytest.mark.parametrize(("reg", "epochs"), [("on", 200), ("off", 480), ("sam", 240), ("gradient_norm", 240)])
def test_the_study_at_equal_compute(reg: str, epochs: int) -> None:
    """390 steps an epoch: 78,000 + 2 · 54,600 passes, whoever makes them."""
    config = compose_run([*PAPER, f"reg={reg}", MATCHED])
    assert config.schedule.epochs == epochs
    assert counted(config, 390) == counted(compose_run([*PAPER, "reg=on"]), 390) == 187_200


@given(
    st.sampled_from(REGS),
    st.integers(1, 60),
    st.sampled_from(["piecewise", "cosine", "constant"]),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_no_whole_number_of_epochs_comes_closer(reg: str, epochs: int, name: str, shares: tuple[float, float]) -> None:
    schedule = _BASES[name].schedule.model_copy(update={"epochs": epochs, "phases": shares, "warmup_epochs": 2.0})
    reference_config, own = _REGS["on"], _REGS[reg]
    found = matched(schedule, own, reference_config)
    wanted = epochs * mean_passes(reference_config, schedule)
    a_step = mean_passes(own, schedule)
    assert abs(found.epochs * a_step - wanted) <= 0.5 * a_step + 1e-9
    assert found.warmup_epochs / found.epochs == pytest.approx(2 / epochs, abs=CLOSED_FORM)
    assert (found.boundaries, found.phases) == (schedule.boundaries, schedule.phases)


_BASES = {name: compose_run([f"schedule={name}"]) for name in ("piecewise", "cosine", "constant")}
_REGS: dict[str, Any] = {reg: compose_run([f"reg={reg}"]).reg for reg in REGS}


def test_a_sub_batch_that_stands_for_the_main_pass_is_not_counted_twice() -> None:
    share = compose_run([*PAPER, "reg.share_pass=true", MATCHED])
    assert share.schedule.epochs == round(200 * 2.4 / 1.7)
    idle = compose_run([*PAPER, "reg.beta=0", MATCHED])
    assert idle.schedule.epochs == 480


def test_compute_is_matched_to_the_users_own_regularizer_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "reg").mkdir()
    own = compose_run(["reg=on"]).reg.model_dump(mode="json") | {"phases": "111", "share_pass": True}
    (tmp_path / "reg" / "on.yaml").write_text(yaml.safe_dump(own))
    assert compose_run(["schedule.epochs=10", MATCHED], tmp_path).schedule.epochs == 20
    (tmp_path / "reg" / "on.yaml").write_text(yaml.safe_dump(own | {"beta": -1}))
    with pytest.raises(InputError, match=r"reg\.beta must be at least 0"):
        compose_run([MATCHED], tmp_path)


def test_what_results_is_recorded_and_makes_the_identity() -> None:
    plain, equal = compose_run([*PAPER, "reg=off"]), compose_run([*PAPER, "reg=off", MATCHED])
    assert identity(equal) != identity(plain)
    assert identity(equal) == identity(compose_run([*PAPER, "reg=off", "schedule.epochs=480"]))
    again = recorded_run(parse_yaml(to_yaml(equal), "config.yaml"))
    assert again == equal  # and is not stretched once more


def test_a_run_recorded_before_there_was_the_setting_is_read_and_keeps_its_identity() -> None:
    settings = parse_yaml(to_yaml(compose_run([])), "config.yaml")
    del settings["schedule"]["match_compute"]
    assert identity(recorded_run(settings)) == identity(compose_run([]))


def test_a_sweep_asks_for_on_off_and_equal_compute_in_one_line() -> None:
    points = expand([*PAPER[:1], "data=digits", "reg=on,off", "schedule.match_compute=false,true"])
    assert [point.config.schedule.epochs for point in points] == [200, 200, 200, 480]
    assert [point.config for point in points] == [compose_run(point.overrides) for point in points]
    assert [job.config.schedule.epochs for job in plan(points)] == [200, 200, 480]


@pytest.mark.parametrize("recorded", ["false", "true"])
def test_a_run_that_exists_is_not_matched_afterwards(recorded: str) -> None:
    settings = parse_yaml(to_yaml(compose_run([f"schedule.match_compute={recorded}"])), "config.yaml")
    other = {"false": "true", "true": "false"}[recorded]
    assert recorded_run(settings, [f"schedule.match_compute={recorded}"]) == recorded_run(settings)
    with pytest.raises(InputError, match=f"cannot be changed after a run has started; got '{other}'"):
        recorded_run(settings, [f"schedule.match_compute={other}"])


def test_not_one_epoch_is_refused() -> None:
    config = compose_run(["reg=sam", "schedule.epochs=1"])
    with pytest.raises(InputError, match=r"at least one epoch; got .*schedule\.epochs=1 at 1 passes a step, 4 with"):
        matched(config.schedule, compose_run(["reg=fisher_trace", "reg.phases=111"]).reg, compose_run([]).reg)
