"""Many draws at once: what is compiled serves all of them, and each is reported as it is done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data.dataset import Dataset, Split
from infomcr_cli.measures import GramEngine
from infomcr_cli.measures.context import MeasureContext
from infomcr_cli.measures.draws import gram_draws
from infomcr_cli.measures.gram.compiled import CompiledPasses
from tests.measures.reference import perceptron, samples

DRAWS, DRAW_SIZE = 100, 10


def draws(count: int) -> Iterator[tuple[Any, Any]]:
    images, labels = samples((4,), count=count * DRAW_SIZE)
    return iter([(images[k : k + DRAW_SIZE], labels[k : k + DRAW_SIZE]) for k in range(0, len(labels), DRAW_SIZE)])


def processor_seconds(count: int) -> float:
    """Of so many draws, compilation and data included."""
    began = time.process_time()
    engine = GramEngine(perceptron())
    assert len([engine(*draw) for draw in draws(count)]) == count
    return time.process_time() - began


def test_a_hundred_draws_take_at_most_25_times_the_time_of_one() -> None:
    processor_seconds(1)  # what TensorFlow does once in a process
    assert processor_seconds(DRAWS) <= DRAWS / 4 * processor_seconds(1)  # 100 times, if each draw compiled anew


def context(*settings: str, **others: Any) -> MeasureContext:
    """A network with 120 images, twelve draws."""
    split = Split(*samples((4,), count=120))
    dataset = Dataset("random", split, split, ("a", "b", "c"), (0.0,), (1.0,), True, "random")
    sizes = ("measure.gamma.draws=12", f"measure.gamma.draw_size={DRAW_SIZE}", "measure.gamma.precision=float64")
    return MeasureContext(perceptron(), dataset, compose_run([*sizes, *settings]).measure, **others)


def test_draws_share_what_is_compiled_and_none_is_fetched_that_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, fetched = [], []
    compile_passes, standardise = CompiledPasses.__init__, Dataset.standardise
    monkeypatch.setattr(CompiledPasses, "__init__", lambda *a: compiled.append(1) or compile_passes(*a))
    monkeypatch.setattr(Dataset, "standardise", lambda *a: fetched.append(1) or standardise(*a))
    found = gram_draws(context("measure.gamma.target_se=1000"))
    assert sum(one.numbers["gamma"] is not None for one in found) == 10  # a deficient draw does not count
    assert found[-1].numbers["gamma"] is not None
    assert (len(fetched), len(compiled)) == (len(found), 1)


def test_each_draw_is_reported_when_it_is_done() -> None:
    parts: list[tuple[int, int, str]] = []
    assert len(gram_draws(context(on_part=lambda *part: parts.append(part)))) == 12
    assert parts == [(number, 12, "draws") for number in range(1, 13)]
