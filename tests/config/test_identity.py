"""A run's identity is what makes its weights: nothing less, nothing more."""

from __future__ import annotations

import os

import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.errors import InputError
from infomcr_cli.experiment.recorded_settings import differences, recorded_run, resumed_run
from infomcr_cli.runs.identity import identity
from infomcr_cli.runs.io.safe_documents import parse_yaml

BASE = compose_run(["reg=on"])


@pytest.mark.parametrize(
    "override",
    [
        "data.batch_size=32",
        "data.train_size=100",
        "data.label_noise=0.1",
        "model.depth=10",
        "augment=standard",
        "optimizer.learning_rate=0.05",
        "optimizer=adam",
        "optimizer.weight_decay=0.1",
        "optimizer.label_smoothing=0.1",
        "optimizer.global_clipnorm=1.0",
        "optimizer.use_ema=true",
        "schedule.epochs=3",
        "schedule=cosine",
        "reg.beta=1.0",
        "reg=off",
        "seed=1",
        "precision=mixed_bfloat16",
    ],
)
def test_what_makes_the_weights_is_part_of_it(override: str) -> None:
    other = compose_run(["reg=on", override])
    assert identity(other) != identity(BASE)
    assert differences(BASE, other)


@pytest.mark.parametrize(
    "override",
    [
        "tracking=off",
        "tracking.experiment=x",
        "tracking.tensorboard=true",
        "device=cpu",
        "data.root=/somewhere",
        "data.cache=/somewhere",
        "schedule.eval_every=5",
        "schedule.checkpoint_every=5",
        "schedule.keep_checkpoints=2",
        "measure=fast",
        "runs_dir=elsewhere",
        "deterministic=false",
    ],
)
def test_what_does_not_is_none(override: str) -> None:
    other = compose_run(["reg=on", override])
    assert identity(other) == identity(BASE)
    assert not differences(BASE, other)


def test_it_survives_being_written_and_read() -> None:
    again = recorded_run(parse_yaml(to_yaml(BASE), "config.yaml"))
    assert again == BASE
    assert identity(again) == identity(BASE)


def test_a_setting_of_another_version_is_that_of_the_file() -> None:
    settings = parse_yaml(to_yaml(BASE), "config.yaml")
    with pytest.raises(InputError, match=r"config\.yaml of the run: future .*got 3.*Another version"):
        recorded_run({**settings, "future": 3}, ["measure.gamma.draws=2"])


def test_measures_newer_than_a_run_can_be_set_for_it() -> None:
    settings = parse_yaml(to_yaml(BASE), "config.yaml")
    for name in ("laplace", "confidence", "early_epochs"):
        del settings["measure"][name]
    assert recorded_run(settings) == BASE
    changed = recorded_run(settings, ["measure.laplace.prior_precision=0.5", "measure.early_epochs=2"])
    assert (changed.measure.laplace.prior_precision, changed.measure.early_epochs) == (0.5, 2)


def test_resuming_may_change_what_is_no_part_of_it() -> None:
    settings = parse_yaml(to_yaml(BASE), "config.yaml")
    resumed = resumed_run(settings, ["tracking=off", "schedule.eval_every=7"], None, "runs/a")
    assert (resumed.tracking.name, resumed.schedule.eval_every) == ("off", 7)


def test_resuming_with_other_weights_in_mind_shows_the_difference_and_the_way_out() -> None:
    settings = parse_yaml(to_yaml(BASE), "config.yaml")
    with pytest.raises(InputError) as caught:
        resumed_run(settings, ["seed=5", "data.batch_size=32"], None, "runs/a")
    message = str(caught.value)
    assert "seed: 0 → 5" in message
    assert "data.batch_size: 64 → 32" in message
    assert "infomcr train start=runs/a seed=5 data.batch_size=32" in message


@pytest.mark.parametrize("override", ["~reg", "~data.seed", "data.root='${oc.env:HOME}/x'"])
def test_a_setting_of_a_run_that_exists_is_neither_deleted_nor_referred_to(override: str) -> None:
    settings = parse_yaml(to_yaml(compose_run([])), "config.yaml")
    with pytest.raises(InputError, match="settings of a run that exists"):
        resumed_run(settings, [override], None, "runs/a")


def test_a_password_in_a_uri_is_not_written() -> None:
    config = compose_run(["tracking.uri='http://me:hunter2@127.0.0.1:5000'"])
    assert b"hunter2" not in to_yaml(config)


OWN = ("data=npz", "data.root=a.npz", "model=builder", "model.builder=nets:net", "+model.settings.width=3")


@pytest.mark.parametrize(
    "overrides",
    [
        OWN,
        OWN[::-1],
        ("data=npz", "data.root=elsewhere.npz"),
        ("data.root=elsewhere.npz", "data=npz", "data.cache=null"),
        ("model=builder", "model.builder=nets:net", "+model.settings.width=3"),
    ],
)
def test_a_group_that_is_chosen_again_takes_what_has_no_default_from_the_same_command(
    overrides: tuple[str, ...],
) -> None:
    settings = parse_yaml(to_yaml(compose_run(OWN)), "config.yaml")
    resumed = resumed_run(settings, overrides, None, "runs/a")
    assert identity(resumed) == identity(compose_run(OWN))
    given = [text.partition("=")[2] for text in overrides if text.startswith("data.root=")]
    assert resumed.data.root == (os.path.abspath(given[0]) if given else "a.npz")


@pytest.mark.parametrize("overrides", [("data=npz",), ("model=builder", "data.root=b.npz")])
def test_a_group_that_is_chosen_again_without_what_has_no_default_is_refused(overrides: tuple[str, ...]) -> None:
    settings = parse_yaml(to_yaml(compose_run(OWN)), "config.yaml")
    with pytest.raises(InputError, match=r"must be given"):
        recorded_run(settings, overrides)


def test_an_experiment_is_not_chosen_for_a_run_that_exists() -> None:
    with pytest.raises(
        InputError, match="an experiment cannot be changed after a run has started; got 'experiment=demo'"
    ):
        recorded_run(parse_yaml(to_yaml(BASE), "config.yaml"), ["experiment=demo"])


# As recorded by version 0.1.0: a run must be found again by a sweep, and be resumed, by every later version.
IDENTITIES = {
    (): "0101a0133a5579c9255afeefacb8c9eb4b429c207dee97677963677bfd7817ac",
    ("reg=on",): "de94f4e2dc3308a1cad0df3b7aac01e397d164734e039bbeba5dbb10f61c1ce5",
    (
        "optimizer.learning_rate=0.05",
        "schedule=cosine",
        "data.batch_size=32",
    ): "bd067e9c920ed08604d7de55c4d5e87ee464ff48a25e3d930d1eba6871823edb",
    ("experiment=study_small",): "11f9b4b50e225567a531ec8840a470ab443f1acdfcde56f9d2ff887cca57b46b",
}


@pytest.mark.parametrize("overrides", IDENTITIES)
def test_identities_of_earlier_runs_stay(overrides: tuple[str, ...]) -> None:
    assert identity(compose_run(overrides)) == IDENTITIES[overrides]


def test_a_run_recorded_before_a_setting_existed_can_be_given_it() -> None:
    settings = parse_yaml(to_yaml(BASE), "config.yaml")
    for group, name in (("optimizer", "weight_decay"), ("optimizer", "use_ema"), ("tracking", "tensorboard")):
        del settings[group][name]
    assert identity(recorded_run(settings)) == identity(BASE)
    assert resumed_run(settings, ["tracking.tensorboard=true"], None, "runs/a").tracking.tensorboard
    with pytest.raises(InputError, match=r"optimizer\.weight_decay: None → 0\.1"):
        resumed_run(settings, ["optimizer.weight_decay=0.1"], None, "runs/a")
