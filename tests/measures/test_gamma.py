"""Log-volume, rank and norms of a Gram matrix."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from tolerances import CLOSED_FORM, ITERATED, ROUNDING

from infomcr_cli.measures import gamma as formulas
from infomcr_cli.measures.gamma import SingularGramError, log_volume


def rows(n: int = 12, width: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width))


def test_log_volume_of_a_diagonal_matrix() -> None:
    assert log_volume(np.diag([4.0, 9.0])) == pytest.approx(np.log(6), rel=1e-14)


def test_log_volume_is_the_sum_of_log_singular_values() -> None:
    j = rows()
    assert log_volume(j @ j.T) == pytest.approx(np.log(np.linalg.svd(j, compute_uv=False)).sum(), rel=CLOSED_FORM)


def test_scaling_the_jacobian_adds_n_ln_c() -> None:
    j = rows()
    assert log_volume(49 * j @ j.T) == pytest.approx(log_volume(j @ j.T) + 12 * np.log(7), rel=ROUNDING)


def test_log_volume_is_invariant_to_sample_order_and_weight_rotation() -> None:
    j = rows()
    rotation = np.linalg.qr(rows(40, 40, 1))[0]
    mixed = j[np.random.default_rng(2).permutation(12)] @ rotation
    assert log_volume(mixed @ mixed.T) == pytest.approx(log_volume(j @ j.T), rel=CLOSED_FORM)


def test_rows_over_fifteen_orders_of_magnitude_agree_with_extended_precision() -> None:
    j = rows() * np.logspace(-12, 3, 12)[:, None]
    with mpmath.workdps(60):
        exact = mpmath.matrix(j.tolist())
        truth = float(mpmath.log(mpmath.det(exact * exact.T)) / 2)
    assert log_volume(j @ j.T) == pytest.approx(truth, rel=ITERATED)


@pytest.mark.parametrize("damage", ["duplicate", "zero"])
def test_deficient_gram_matrix_raises_with_its_rank(damage: str) -> None:
    j = rows()
    j[3] = j[5] if damage == "duplicate" else 0.0
    gram = j @ j.T
    assert formulas.rank(formulas.unit_diagonal(gram)[0]) == 11
    with pytest.raises(SingularGramError, match="rank=11"):
        log_volume(gram)


def test_splitting_off_the_lengths_and_back_is_the_identity() -> None:
    j = rows() * np.logspace(-12, 3, 12)[:, None]
    gram = j @ j.T
    np.testing.assert_allclose(formulas.rescaled(*formulas.unit_diagonal(gram)), gram, rtol=ROUNDING)


def test_norms_against_the_eigenvalues_of_the_fisher_matrix() -> None:
    j = rows()
    fisher = np.linalg.eigvalsh(j.T @ j / 12)
    assert formulas.fisher_trace(j @ j.T) == pytest.approx(fisher.sum(), rel=CLOSED_FORM)
    assert formulas.spectral_norm(j @ j.T) == pytest.approx(fisher.max(), rel=CLOSED_FORM)
    assert formulas.frobenius_norm(j @ j.T) == pytest.approx(np.linalg.norm(fisher), rel=CLOSED_FORM)


def test_effective_rank_of_known_spectra() -> None:
    assert formulas.effective_rank(np.eye(7)) == pytest.approx(7, rel=ROUNDING)
    assert formulas.effective_rank(np.diag([1.0, 0, 0])) == pytest.approx(1, rel=ROUNDING)
    assert formulas.effective_rank(np.zeros((3, 3))) == 0


def test_not_finite_or_not_square_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        log_volume(np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="square"):
        log_volume(np.ones((2, 3)))
