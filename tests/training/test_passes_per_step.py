"""What a step is counted as, against the images that go through the network in it."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.training import train_step
from infomcr_cli.training.setup import make_regularizer
from tests.training import reference as ref

COUNTED = [
    "reg=off",
    "reg=on",
    "reg=on reg.share_pass=true",
    "reg=on reg.num_sub_batches=2",
    "reg=on reg.beta=0",
    "reg=sam",
    "reg=sam reg.num_sub_batches=4",
    "reg=sam reg.rho=0",
    "reg=gradient_norm",
    "reg=gradient_norm reg.alpha=0",
]


def passed(overrides: str, monkeypatch: pytest.MonkeyPatch) -> tuple[float, float]:
    """Return how often a step's images went forward through the network, and what the step is counted as."""
    config = compose_run(overrides.split()).reg
    model, (images, labels) = ref.network("mlp", norm="batch"), ref.batch(16)
    seen: list[int] = []
    call = type(model).call

    def counting(self: keras.Model, inputs: object, *args: object, **kwargs: object) -> object:
        seen.append(inputs.shape[0])  # type: ignore[attr-defined]
        return call(self, inputs, *args, **kwargs)

    monkeypatch.setattr(type(model), "call", counting)
    with ref.float64():
        train_step(model, keras.optimizers.SGD(0.1), images, labels, regularizer=make_regularizer(config))
    return sum(seen) / 16, config.passes


@pytest.mark.parametrize("overrides", COUNTED)
def test_passes_of_a_step_equal_counted_forward_passes(overrides: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each forward pass has its backward pass, so that counting the one counts both."""
    seen, counted = passed(overrides, monkeypatch)
    assert seen == counted


@pytest.mark.parametrize(
    ("overrides", "forward"), [("reg=fisher_trace", 2), ("reg=fisher_trace reg.share_pass=true", 1)]
)
def test_double_backward_pass_counts_as_two_more(overrides: Any, forward: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The derivative of a forward and backward pass costs about twice that pass: a reckoning, not a count."""
    seen, counted = passed(overrides, monkeypatch)
    assert seen == forward
    assert counted == seen + 2
