"""Answers for two and a few runs: paired where the records allow it, silent where the ranking answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_runs import config_with, evaluation, write_run

from infomcr_cli.compare import CompareRequest, compare
from infomcr_cli.report.comparison import Comparison
from infomcr_cli.report.tables import runs_table
from infomcr_cli.runs import RunDirectory
from infomcr_cli.runs.answers import Answers, pack_answers
from infomcr_cli.runs.checkpoint import Checkpoint, save_checkpoint

DRAWS = {"a": [-378.0, -370.0, -386.0, -380.0], "b": [-375.0, -368.0, -381.0, -378.0]}


def write(folder: Path, name: str, *, wrong: int, data: str | None = "digits", digest: str = "d", **extra: Any) -> None:
    """One run of 200 test images of which the first `wrong` are misclassified; gamma has four draws."""
    draws = extra.pop("draws", DRAWS.get(name, DRAWS["a"]))
    known = [draw for draw in draws if draw is not None]
    found = evaluation(0.0, {"gamma": float(np.mean(known))}, n_test=200, **extra.pop("evaluation", {}))
    found["measures"]["gamma"] |= {"draws": draws, "std_error": float(np.std(known, ddof=1) / len(known) ** 0.5)}
    found["test"]["accuracy"] = 1 - wrong / 200
    answers = pack_answers(digest, np.arange(200) >= wrong)
    assert answers is not None
    found["test_answers"] = answers.model_dump() if extra.pop("answers", True) else None
    path = write_run(folder / name, config_with(**{"optimizer__l2": ord(name[0]) / 1000, **extra}), {"last": found})
    if data:
        save_checkpoint(
            RunDirectory.open(path), "epoch-0003", Checkpoint(60, 3, {"w": np.zeros(1)}, extra={"data": data})
        )


def compared(folder: Path) -> Comparison:
    return compare(CompareRequest((str(folder),)))


def test_two_runs_are_compared_on_the_same_draws_and_images(tmp_path: Path) -> None:
    write(tmp_path, "a", wrong=4)
    write(tmp_path, "b", wrong=5)
    (answer,) = compared(tmp_path).answers
    differences = np.array(DRAWS["a"]) - DRAWS["b"]
    assert answer.gamma.difference == pytest.approx(differences.mean())
    assert answer.gamma.std_error == pytest.approx(differences.std(ddof=1) / 2)
    assert answer.gamma.method.startswith("paired on the same draws")
    assert answer.gamma.is_distinguishable
    assert answer.test_error.method == "paired on the same test images, McNemar"
    assert answer.test_error.p_value == 1.0
    assert "a is flatter (paired on the same draws" in answer.sentence
    assert "test error 2.0 ± 1.0 % against 2.5 ± 1.1 %: not distinguishable" in answer.sentence
    document = compared(tmp_path).to_dict()
    assert document["pairs"][0]["runs"] == ["a", "b"]
    assert document["pairs"][0]["gamma"]["distinguishable"] is True
    assert document["runs"][0]["std_error"]["test_error"] == pytest.approx((0.02 * 0.98 / 200) ** 0.5)


@pytest.mark.parametrize("change", [{"data": "other"}, {"data": None}, {"draws": [-375.0, -368.0]}])
def test_draws_of_other_images_are_not_paired(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path, "a", wrong=4)
    write(tmp_path, "b", wrong=4, **change)
    (answer,) = compared(tmp_path).answers
    assert answer.gamma.method == "unpaired, Welch's t"
    assert not answer.gamma.is_distinguishable
    assert "gamma differs by" in answer.sentence


@pytest.mark.parametrize("change", [{"digest": "e"}, {"answers": False}])
def test_errors_on_other_or_unknown_images_are_not_paired(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path, "a", wrong=2)
    write(tmp_path, "b", wrong=30, **change)
    (answer,) = compared(tmp_path).answers
    assert answer.test_error.method == "unpaired, Fisher's exact test"
    assert "a generalizes better (unpaired" in answer.sentence


def test_rank_deficient_draws_are_left_out_in_pairs(tmp_path: Path) -> None:
    write(tmp_path, "a", wrong=2, draws=[-378.0, None, -386.0, -380.0])
    write(tmp_path, "b", wrong=2)
    (answer,) = compared(tmp_path).answers
    assert answer.gamma.difference == pytest.approx(np.mean([-3.0, -5.0, -2.0]))


def test_gamma_of_two_conventions_is_not_compared(tmp_path: Path) -> None:
    write(tmp_path, "a", wrong=2)
    write(tmp_path, "b", wrong=2, evaluation={"convention": {"draws": 7}})
    (answer,) = compare(CompareRequest((str(tmp_path),), allow_mixed=True)).answers
    assert answer.gamma is None
    assert "gamma" not in answer.sentence


def test_settings_with_seeds_are_compared_over_seeds(tmp_path: Path) -> None:
    for seed in range(3):
        for name, shift, wrong in (("a", 0.0, 4), ("b", 30.0, 5)):
            draws = [draw + shift + seed for draw in DRAWS[name]]
            write(tmp_path, f"{name}{seed}", wrong=wrong + seed, seed=seed, draws=draws)
    (answer,) = compared(tmp_path).answers
    assert answer.gamma.method == answer.test_error.method == "over 3 and 3 seeds, Welch's t"
    assert answer.gamma.is_distinguishable
    assert not answer.test_error.is_distinguishable


def test_several_runs_are_compared_with_the_first_and_corrected(tmp_path: Path) -> None:
    for name in "abcd":
        write(tmp_path, name, wrong=ord(name) % 5)
    answers = compared(tmp_path).answers
    assert [(one.first, one.second) for one in answers] == [("a", "b"), ("a", "c"), ("a", "d")]
    assert all("corrected for 3 comparisons" in one.sentence for one in answers)


def test_one_run_or_many_settings_give_no_answer(tmp_path: Path) -> None:
    write(tmp_path, "a", wrong=2)
    assert compared(tmp_path).answers == ()
    for name in "bcdefgh":
        write(tmp_path, name, wrong=2)
    assert compared(tmp_path).answers == ()


def test_runs_without_answers_draws_or_errors_are_compared_as_far_as_possible(tmp_path: Path) -> None:
    for index in range(2):
        found = evaluation(0.1, {"gamma": -378.0 + 3 * index}, n_test=None)
        found["measures"]["gamma"]["std_error"] = 8.0
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 10), {"last": found})
    (answer,) = compared(tmp_path).answers
    assert answer.test_error is None
    assert answer.sentence.startswith("r0 and r1: gamma differs by 3 ± 11 nats: not distinguishable")


@pytest.mark.parametrize("damage", ["####", "AAAA", ""])
def test_damaged_answers_are_ignored(damage: str) -> None:
    assert len(Answers(digest="d", images=200, correct=damage).correct_images()) == 0


def test_packed_answers_are_those_that_were_given() -> None:
    for n in (1, 7, 8, 9, 200):
        correct = np.random.default_rng(n).random(n) < 0.5
        packed = pack_answers("d", correct)
        assert packed is not None
        np.testing.assert_array_equal(packed.correct_images(), correct)
    assert pack_answers("d", np.zeros(0, bool)) is None


def test_runs_above_the_training_loss_are_left_out_and_named(tmp_path: Path) -> None:
    for index, loss in enumerate((0.001, 0.01, 0.5, None)):
        found = evaluation(0.1 + index / 50, {"gamma": float(index)}, train_loss=loss or 0.0)
        found["train"]["loss"] = loss
        write_run(tmp_path / f"r{index}", config_with(optimizer__l2=index / 10), {"last": found})
    comparison = compare(CompareRequest((str(tmp_path),), max_train_loss=0.01, csv=tmp_path / "t.csv"))
    document = comparison.to_dict()
    assert document["n"] == 2
    assert document["set_apart"] == ["r2", "r3"]
    assert document["left_out"]["above_max_train_loss"] == 2
    assert any("2 rows with a training loss above 0.01" in note for note in comparison.notes)
    assert (tmp_path / "t.csv").read_text().count("False") == 2


def test_best_measure_of_each_family_is_named_if_there_are_enough_minima(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(16):
        gap = 0.1 + index / 50
        measures = {"gamma": gap, "fisher_trace": gap + 0.01 * rng.normal(), "spectral_norm": rng.normal(), "mine": 1.0}
        write_run(tmp_path / f"r{index:02}", config_with(optimizer__l2=index / 10), {"last": evaluation(gap, measures)})
    found = compare(CompareRequest((str(tmp_path),), by_family=True)).to_dict()["families"]
    assert found["volume"] == {"best": "gamma", "measures": ["gamma"]}
    assert found["curvature"]["best"] == "fisher_trace"
    assert found["other"]["measures"] == ["mine"]
    few = compare(CompareRequest(tuple(str(tmp_path / f"r{i:02}") for i in range(4)), by_family=True)).to_dict()
    assert few["families"]["volume"]["best"] is None
    assert compare(CompareRequest((str(tmp_path),))).to_dict()["families"] is None


@pytest.mark.parametrize(
    ("loss", "scale", "noted"), [(0.05, None, True), (0.019, None, False), (0.05, 0.04, False), (0.0, None, False)]
)
def test_runs_of_very_different_training_loss_are_noted_unless_logits_are_normalised(
    tmp_path: Path, loss: float, scale: float | None, noted: bool
) -> None:
    convention = {"convention": {"draw_size": 100, "logit_scale": scale}}
    write(tmp_path, "a", wrong=2, evaluation=convention)
    write(tmp_path, "b", wrong=2, evaluation={**convention, "train_loss": loss})
    found = [note for note in compared(tmp_path).notes if note.startswith("The training losses differ")]
    assert len(found) == noted
    if noted:
        assert "from 0.01 to 0.05 nats" in found[0]
        assert "about 69 nats" in found[0]  # 100 ln 2


def test_settings_with_seeds_are_called_by_what_differs(tmp_path: Path) -> None:
    for seed in range(2):
        for name in "ab":
            write(tmp_path, f"{name}{seed}", wrong=4 + seed, seed=seed)
    (answer,) = compared(tmp_path).answers
    assert answer.sentence.startswith("l2=0.097 and l2=0.098: gamma differs by")
    assert (answer.first, answer.second) == ("a0", "b0")


def test_two_runs_that_differ_in_the_seed_alone_are_compared(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        write(tmp_path, name, wrong=4, seed=seed, optimizer__l2=0.1)
    found = compared(tmp_path)
    assert [row[1] for row in runs_table(found).rows] == ["a", "b"]
    assert found.answers[0].sentence.startswith("a and b: gamma differs by")
    assert found.answers[0].gamma.method == "paired on the same draws, Student's t"


@pytest.mark.parametrize(
    ("decay", "seeds", "noted"), [((0.1, 0.2), 1, True), ((0.1, 0.1), 1, False), ((0.1, 0.2), 2, False)]
)
def test_answer_for_single_runs_is_said_to_be_none_for_their_settings(
    tmp_path: Path, decay: tuple[float, float], seeds: int, noted: bool
) -> None:
    for seed in range(seeds):
        for index, l2 in enumerate(decay):
            write(
                tmp_path,
                f"{'ab'[index]}{seed}",
                wrong=4,
                optimizer__l2=l2,
                seed=10 * seed + (decay[0] == decay[1]) * index,
            )
    found = compared(tmp_path)
    assert len(found.answers) == 1
    assert any("not for their settings" in note for note in found.notes) is noted


def test_equal_seeds_of_whole_images_are_not_distinguishable(tmp_path: Path) -> None:
    for seed in range(2):
        for name, wrong in (("a", 5), ("b", 6)):
            write(tmp_path, f"{name}{seed}", wrong=wrong, seed=seed)
    (answer,) = compared(tmp_path).answers
    assert answer.test_error.std_error == pytest.approx((1 / 12) ** 0.5 / 200)
    assert not answer.test_error.is_distinguishable


def test_a_single_run_beside_settings_of_several_seeds_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a", wrong=2)
    for seed in range(2):
        write(tmp_path, f"b{seed}", wrong=2 + seed, seed=seed)
        write(tmp_path, f"c{seed}", wrong=4 + seed, seed=seed)
    comparison = compared(tmp_path)
    assert comparison.answers == ()
    assert any("No conclusion on a beside" in note for note in comparison.notes)
    write(tmp_path, "a1", wrong=3, seed=1)
    again = compared(tmp_path)
    assert len(again.answers) == 2
    assert not any("No conclusion" in note for note in again.notes)
