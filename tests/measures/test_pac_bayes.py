"""PAC-Bayes bounds against loops over weights and against finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tolerances import ROUNDING, STOCHASTIC

from infomcr_cli.errors import InputError
from infomcr_cli.measures.library.pac_bayes import bound, complexity, magnitude_complexity

SIGMA, COUNT = 0.03, 5000


def weights():
    rng = np.random.default_rng(0)
    return rng.standard_normal(40), 0.3 * rng.standard_normal(40)  # w, w⁰


@pytest.mark.parametrize("from_start", [True, False])
def test_bound_of_equal_noise_agrees_with_its_formula(from_start):
    w, start = weights()
    squared = sum((a - b) ** 2 if from_start else a**2 for a, b in zip(w, start, strict=True))
    truth = math.sqrt((squared / (4 * SIGMA**2) + math.log(COUNT / SIGMA) + 10) / COUNT)
    found, _ = bound(lambda s: complexity(s, squared_length=squared, count=COUNT), SIGMA, None, COUNT)
    assert found == pytest.approx(truth, rel=ROUNDING)


@pytest.mark.parametrize("from_start", [True, False])
def test_bound_of_magnitude_aware_noise_agrees_with_a_loop_over_weights(from_start):
    w, start = weights()
    squared = sum((a - b) ** 2 if from_start else a**2 for a, b in zip(w, start, strict=True))
    above = 1e-6 + (SIGMA**2 + 1) * squared / len(w)
    logs = sum(math.log(above / (1e-6 + SIGMA**2 * (a - b) ** 2)) for a, b in zip(w, start, strict=True))
    truth = math.sqrt((logs / 4 + math.log(COUNT / SIGMA) + 10) / COUNT)

    def of(sigma):
        return magnitude_complexity(sigma, squared_length=squared, moved=w - start, count=COUNT)

    assert bound(of, SIGMA, None, COUNT)[0] == pytest.approx(truth, rel=ROUNDING)


def test_standard_error_of_a_bound_is_its_slope_times_that_of_sigma():
    def of(sigma):
        return complexity(sigma, squared_length=3.0, count=COUNT)

    value, error = bound(of, SIGMA, 0.01 * SIGMA, COUNT)
    rise = bound(of, SIGMA * 1.01, None, COUNT)[0] - bound(of, SIGMA * 0.99, None, COUNT)[0]
    assert error == pytest.approx(abs(rise) / 2, rel=STOCHASTIC)
    assert 0 < error < value


def test_flatter_minimum_has_a_lower_bound():
    of = [bound(lambda s: complexity(s, squared_length=3.0, count=COUNT), s, None, COUNT)[0] for s in (0.01, 0.1)]
    assert of[0] > of[1]


def test_negative_complexity_is_refused():
    """Weights that hardly have a length but have moved far: no bound of the source."""
    moved = np.full(1000, 5.0)
    with pytest.raises(InputError, match="negative"):
        bound(lambda s: magnitude_complexity(s, squared_length=1e-8, moved=moved, count=10), 1.0, None, 10)
