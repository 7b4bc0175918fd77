"""R-hat and effective sample size against closed forms of known processes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from tolerances import AUTODIFF, CLOSED_FORM, ROUNDING, SINGLE

from infomcr_cli.measures.markov_chains import effective_sample_size, split_rhat

# φ, arviz.rhat(x, method="split") and arviz.ess(x, method="mean") of ArviZ 0.23.4, x = autoregressive(φ, 4, 400).
ARVIZ = [
    (-0.3, 0.9988532994871498, 2890.607567873156),
    (0.6, 1.0082059018909835, 492.77805871756215),
    (0.9, 1.0557932132761731, 99.184005989759),
]


def autoregressive(phi: float, chains: int, length: int, seed: int = 0) -> np.ndarray:
    """x_t = φ x_{t-1} + noise, stationary from the start."""
    noise = np.random.default_rng(seed).standard_normal((chains, length + 500))
    return lfilter([1.0], [1.0, -phi], noise, axis=1)[:, 500:]


@pytest.mark.parametrize("phi", [-0.3, 0.0, 0.5, 0.9])
def test_effective_sample_size_of_an_autoregressive_process_has_a_closed_form(phi):
    found = effective_sample_size(autoregressive(phi, 4, 50_000))
    assert found == pytest.approx(4 * 50_000 * (1 - phi) / (1 + phi), rel=0.06)


def test_split_rhat_is_that_of_its_definition():
    x = np.random.default_rng(1).standard_normal((3, 10)) + np.arange(3)[:, None]
    halves = [half for chain in x for half in (chain[:5], chain[5:])]
    within = np.mean([np.sum((half - half.mean()) ** 2) / 4 for half in halves])
    means = [half.mean() for half in halves]
    between = 5 * np.sum((means - np.mean(means)) ** 2) / 5
    assert split_rhat(x) == pytest.approx(np.sqrt((4 / 5 * within + between / 5) / within), rel=ROUNDING)


def test_rhat_is_near_one_for_chains_that_agree_and_large_for_others():
    x = autoregressive(0.5, 4, 2000)
    assert split_rhat(x) == pytest.approx(1.0, abs=0.01)
    assert split_rhat(x + 3 * np.arange(4)[:, None]) > 1.5


def test_rhat_sees_a_common_drift_that_whole_chains_would_hide():
    x = np.random.default_rng(2).standard_normal((4, 100)) + np.linspace(0, 5, 100)
    assert split_rhat(x) > 1.4


def test_rhat_and_effective_size_do_not_change_with_unit_and_origin():
    x = autoregressive(0.7, 4, 200)
    assert split_rhat(1e-6 * x + 5) == pytest.approx(split_rhat(x), rel=SINGLE)
    assert effective_sample_size(1e-6 * x + 5) == pytest.approx(effective_sample_size(x), rel=AUTODIFF)


def test_constant_chains_have_converged():
    x = np.full((4, 20), 0.25)
    assert split_rhat(x) == 1.0
    assert effective_sample_size(x) == 80


def test_chains_that_do_not_move_but_differ_have_not_converged():
    assert split_rhat(np.repeat([[0.0], [1.0]], 10, axis=1)) == np.inf


@pytest.mark.parametrize(("phi", "rhat", "size"), ARVIZ)
def test_both_are_those_that_arviz_gave(phi, rhat, size):
    x = autoregressive(phi, 4, 400)
    assert split_rhat(x) == pytest.approx(rhat, rel=CLOSED_FORM)
    assert effective_sample_size(x) == pytest.approx(size, rel=CLOSED_FORM)


@pytest.mark.parametrize("phi", [-0.8, 0.2, 0.6])
def test_both_are_those_of_arviz(phi):
    """Skipped unless ArviZ is installed: `python -m venv v && v/bin/pip install 'arviz<1' -e '.[test]'`."""
    arviz = pytest.importorskip("arviz")
    x = autoregressive(phi, 4, 300)
    assert split_rhat(x) == pytest.approx(float(arviz.rhat(x, method="split")), rel=CLOSED_FORM)
    assert effective_sample_size(x) == pytest.approx(float(arviz.ess(x, method="mean")), rel=CLOSED_FORM)
