"""Spectral densities by stochastic Lanczos quadrature.

| symbol | meaning | shape |
| --- | --- | --- |
| A | a symmetric operator, known by its products with vectors | [n, n] |
| v | a probe: entries ±1/√n, so that E vᵀf(A)v = tr f(A) / n | [n] |
| T = Vᵀ A V | tridiagonal matrix of m Lanczos steps from v, V orthogonal | [m, m] |
| θ_k, τ_k | nodes and weights: eigenvalues of T, squared first entries of its eigenvectors; Σ τ_k = 1 | [m] |
| φ(t) | Σ_k τ_k N(t; θ_k, σ²), mean over probes: the density of the eigenvalues, smoothed by a Gaussian of width σ | |

The quadrature of one probe is exact for polynomials of degree up to 2m - 1. Each new Lanczos vector is orthogonalised
twice against all before it: without that, eigenvalues that have converged come back as copies.

Source: Lin, Saad & Yang, SIAM Review 2016, arXiv:1308.5467; Ghorbani, Krishnan & Xiao, ICML 2019, arXiv:1901.10159.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.errors import InputError

Array = NDArray[np.float64]
Product = Callable[[Array], Array]
WIDTH = 0.01  # default of σ, as a share of the range of all nodes
GRID = 1001  # places at which a density is given, or as many as lie σ/4 apart
NARROWEST = 2e-4  # σ, as a share of the range of all nodes: the grid has at most 20,049 places
TAIL = 6.0  # widths that the grid goes beyond the outermost nodes
END = 1e-10  # a Lanczos vector this short, beside the largest coefficient, is zero but for rounding


class Quadrature(NamedTuple):
    """Nodes and weights of one probe.

    Args:
        nodes:   θ, ascending, [m].
        weights: τ, not negative, sum 1, [m].
    """

    nodes: Array
    weights: Array


class Density(NamedTuple):
    """A smoothed density on a grid.

    Args:
        grid:      eigenvalues t, [p], p at least `GRID`.
        value:     φ(t), for one eigenvalue in all: its integral is 1, [p].
        std_error: of φ(t) over the probes, [p]; NaN with one probe.
    """

    grid: Array
    value: Array
    std_error: Array


def probe(size: int, seed: int, index: int) -> Array:
    """Return probe number `index`: random signs, of length 1, [size]."""
    signs = np.random.default_rng([seed, index]).choice([-1.0, 1.0], size)
    return np.asarray(signs / np.sqrt(size))


def lanczos_quadrature(product: Product, start: Array, steps: int) -> Quadrature:
    """Return the quadrature of A in the state `start`, by at most `steps` products.

    It has fewer nodes if the Krylov space ends before: it is then exact.

    Args:
        product: v -> A v, [n] -> [n].
        start:   of length 1, [n].

    Raises:
        InputError: a product is not finite.

    Examples:
        >>> found = lanczos_quadrature(lambda v: np.array([1.0, 3.0]) * v, np.array([0.6, 0.8]), steps=5)
        >>> found.nodes.round(6).tolist(), found.weights.round(6).tolist()
        ([1.0, 3.0], [0.36, 0.64])
    """
    from scipy.linalg import eigh_tridiagonal

    diagonal, beside = lanczos(product, start, steps)
    nodes, vectors = eigh_tridiagonal(diagonal, beside)
    # Column k of [m, m] is the eigenvector of θ_k; its first entry is its part in the start vector.
    return Quadrature(np.asarray(nodes, np.float64), np.asarray(vectors[0], np.float64) ** 2)


def lanczos(product: Product, start: Array, steps: int) -> tuple[Array, Array]:
    """Return the diagonal [m] of T and the one beside it [m - 1], with full reorthogonalisation, twice."""
    steps = min(steps, len(start))
    basis = np.zeros((steps, len(start)))  # Vᵀ
    basis[0] = start
    diagonal, beside = [], list[float]()
    for step in range(steps):
        image = product(basis[step])
        diagonal.append(float(basis[step] @ image))
        known = basis[: step + 1]  # [step + 1, n]
        for _ in range(2):
            image = image - known.T @ (known @ image)
        length = float(np.linalg.norm(image))
        if not np.isfinite(length):
            raise InputError("a spectrum needs finite matrix-vector products", received=f"a length of {length}")
        if step + 1 == steps or length <= END * max(map(abs, (*diagonal, *beside))):
            break
        beside.append(length)
        basis[step + 1] = image / length
    return np.array(diagonal), np.array(beside)


def width_of(quadratures: list[Quadrature], wanted: float | None = None) -> float:
    """Return σ: the requested width, or 1 % of the range of all nodes, but not too narrow for the grid.

    Args:
        quadratures: of several operators if they are shown together.
    """
    low, high = _range(quadratures)
    reach = (high - low) or abs(high) or 1.0
    return WIDTH * reach if wanted is None else max(wanted, NARROWEST * reach)


def smoothed(quadratures: list[Quadrature], width: float) -> Density:
    """Return the density that the quadratures of some probes give, with its standard error.

    Args:
        width: σ, in units of the eigenvalues.
    """
    low, high = _range(quadratures)
    # Four points for each σ.
    places = max(GRID, round(4 * ((high - low) / width + 2 * TAIL)) + 1)
    grid = np.linspace(low - TAIL * width, high + TAIL * width, places)
    curves = []
    for one in quadratures:
        away = (grid[:, None] - one.nodes) / width  # [p, m]
        curves.append(np.exp(-0.5 * away**2) @ one.weights / (width * np.sqrt(2 * np.pi)))
    each = np.stack(curves)  # [probes, p]
    return Density(grid, each.mean(axis=0), standard_error(each))


def _range(quadratures: list[Quadrature]) -> tuple[float, float]:
    return min(float(one.nodes.min()) for one in quadratures), max(float(one.nodes.max()) for one in quadratures)


def moment(quadratures: list[Quadrature], power: int, size: int) -> tuple[float, float]:
    """Return an estimate of tr A^power and its standard error over the probes (NaN for a single probe)."""
    # tr A^p = n E vᵀA^p v, [probes].
    each = np.array([size * float(one.weights @ one.nodes**power) for one in quadratures])
    return float(each.mean()), float(standard_error(each))


def standard_error(each: Array) -> Array:
    """Return the standard error of the mean over the first axis; NaN of a single one."""
    if len(each) < 2:
        return np.full(each.shape[1:], np.nan)
    return np.asarray(each.std(axis=0, ddof=1) / np.sqrt(len(each)))
