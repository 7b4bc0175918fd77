"""Align the channels of one network with those of another by weight matching.

A network whose channels are permuted computes the same function, so two minima can be far apart in weights only because
their channels have another order. Weight matching searches for the permutations π of the second network
that bring it closest to the first one:

    argmax_π Σ ⟨w_A, π(w_B)⟩   over all trainable weights, which is argmin_π ‖w_A − π(w_B)‖²

One group of channels after another takes its best permutation given those of the others, a linear assignment, until
none changes. Source: Ainsworth et al., 2023, arXiv:2209.04836, algorithm 1.

It is a local search, so it is started twice: from no permutation, as in the source; and from one in which each group,
from the input on, was matched by only those weights whose other axes were matched before. The second finds a permuted
copy of the same network exactly. The closer result counts.

| symbol | meaning | shape |
| --- | --- | --- |
| p | permutation of a group: channel i takes the weights of channel p_i | [n] |
| M | M_ij = Σ ⟨weights of channel i of the first, of channel j of the second⟩ | [n, n] |
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.alignment_channels import ChannelGroup, ChannelPlace, Indices

Array = NDArray[np.float64]
Arrays = Mapping[str, Any]
MOST_SWEEPS = 200  # over all groups; a few dozen suffice
SMALLEST_GAIN = 1e-12  # of the similarity, relative: less is rounding


@dataclass(frozen=True)
class Alignment:
    """Permutations that bring a network closer to another one.

    Args:
        groups:       of channels.
        permutations: of each group, [n].
        sweeps:       over all groups until none changed.
        before:       ‖w_A − w_B‖ over all trainable weights.
        after:        ‖w_A − π(w_B)‖.
    """

    groups: tuple[ChannelGroup, ...]
    permutations: tuple[Indices, ...]
    sweeps: int
    before: float
    after: float

    @property
    def channels(self) -> int:
        """Number of channels in all groups."""
        return sum(group.size for group in self.groups)

    @property
    def moved(self) -> int:
        """Number of channels that change places."""
        return sum(int((p != np.arange(len(p))).sum()) for p in self.permutations)

    def permuted(self, weights: Arrays) -> dict[str, Any]:
        """Return weights and moving statistics by name with their channels permuted."""
        return permuted(weights, self.groups, self.permutations)


def align(
    first: Arrays,
    second: Arrays,
    groups: Sequence[ChannelGroup],
    *,
    trainable: Collection[str],
    seed: int = 0,
    on_sweep: Callable[[], None] = lambda: None,
) -> Alignment:
    """Return the alignment of a network with another one.

    Args:
        first:     A, weights by name; it stays as it is.
        second:    B, of the same network.
        groups:    of channels, see `channel_groups`.
        trainable: names of the weights that are matched; moving statistics are permuted with them.
        seed:      of the order in which groups are visited.
        on_sweep:  is called after each sweep, as the search may take minutes.

    Raises:
        InputError: a weight is NaN or infinite.
    """
    if not all(np.isfinite(_exact(weights[name])).all() for weights in (first, second) for name in trainable):
        raise InputError("channels are aligned by weights that are finite", received="NaN or infinity")
    matching = _Matching(first, second, groups, trainable)
    starts = (matching.unpermuted(), matching.from_the_input_on())
    found = [matching.improved(start, np.random.default_rng(seed), on_sweep) for start in starts]
    best, sweeps = max(found, key=lambda one: matching.similarity(one[0]))
    after = permuted(second, groups, best)
    return Alignment(
        tuple(groups),
        tuple(best),
        sweeps,
        distance(first, second, trainable),
        distance(first, after, trainable),
    )


def permuted(weights: Arrays, groups: Sequence[ChannelGroup], permutations: Sequence[Indices]) -> dict[str, Any]:
    """Return weights by name of which channel i of a group has those that channel p_i had."""
    changed = dict(weights)
    for group, permutation in zip(groups, permutations, strict=True):
        for place in group.places:
            changed[place.weight] = _moved(np.asarray(changed[place.weight]), place, permutation)
    return changed


def distance(first: Arrays, second: Arrays, names: Collection[str]) -> float:
    """Return ‖w_A − w_B‖₂ over some weights by name."""
    return float(np.sqrt(sum(np.sum((_exact(first[name]) - _exact(second[name])) ** 2) for name in names)))


def _exact(array: Any) -> Array:
    return np.asarray(array, np.float64)


def _moved(array: Any, place: ChannelPlace, permutation: Indices) -> Any:
    order = np.arange(array.shape[place.axis])  # entries that belong to other channels stay where they are
    order[place.indices] = place.indices[:, permutation]  # [copies, n]: all copies of a channel move alike
    return array.take(order, place.axis)


class _Matching:
    """The search for permutations of one pair of networks."""

    def __init__(self, first: Arrays, second: Arrays, groups: Sequence[ChannelGroup], trainable: Collection[str]):
        self._first = {name: _exact(first[name]) for name in trainable}
        self._second = {name: _exact(second[name]) for name in trainable}
        self._groups = groups
        self._matched = [[place for place in group.places if place.weight in self._first] for group in groups]
        self._by_weight: dict[str, list[tuple[int, ChannelPlace]]] = {name: [] for name in trainable}
        for number, places in enumerate(self._matched):
            for place in places:
                self._by_weight[place.weight].append((number, place))

    def unpermuted(self) -> list[Indices]:
        return [np.arange(group.size) for group in self._groups]

    def from_the_input_on(self) -> list[Indices]:
        """Match each group by the weights whose other axes hold no group that is still to be matched."""
        permutations = self.unpermuted()
        for number in range(len(self._groups)):
            ready = [place for place in self._matched[number] if self._is_ready(number, place)]
            if ready:
                permutations[number] = self._best(ready, permutations)
        return permutations

    def improved(
        self, permutations: list[Indices], rng: np.random.Generator, on_sweep: Callable[[], None]
    ) -> tuple[list[Indices], int]:
        """Return permutations that no group alone can improve, and the number of sweeps."""
        sweeps, is_changed = 0, True
        while is_changed and sweeps < MOST_SWEEPS:
            changes = [self._improve(number, permutations) for number in rng.permutation(len(self._groups)).tolist()]
            is_changed = any(changes)
            sweeps += 1
            on_sweep()
        return permutations, sweeps

    def similarity(self, permutations: Sequence[Indices], names: Collection[str] | None = None) -> float:
        """Return Σ ⟨w_A, π(w_B)⟩ over some weights, or all."""
        chosen = self._first if names is None else names
        return sum(float(np.vdot(self._first[name], self._permuted(name, permutations))) for name in chosen)

    def _improve(self, number: int, permutations: list[Indices]) -> bool:
        if not self._matched[number]:
            return False  # all weights of the group are frozen
        names = {place.weight for place in self._matched[number]}
        before = self.similarity(permutations, names)
        new = self._best(self._matched[number], permutations)
        changed = [*permutations[:number], new, *permutations[number + 1 :]]
        # A weight with the group on both axes is not linear in its permutation, so the new one may be worse.
        if self.similarity(changed, names) <= before + SMALLEST_GAIN * abs(before):
            return False
        permutations[number] = new
        return True

    def _best(self, places: Sequence[ChannelPlace], permutations: Sequence[Indices]) -> Indices:
        """Return the permutation with the greatest Σ_i M_{i, p_i}."""
        # Σ_i M_{i, p_i} is linear in the permutation: M [n, n] summed over weights is all that decides.
        products = np.sum([self._products(place, permutations) for place in places], axis=0)
        rows, columns = linear_sum_assignment(products, maximize=True)
        return np.asarray(columns[np.argsort(rows)], np.int64)

    def _products(self, place: ChannelPlace, permutations: Sequence[Indices]) -> Array:
        """Return M of one weight, [n, n]; its other axes are permuted as they are now."""
        second = self._permuted(place.weight, permutations, except_axis=place.axis)
        # Along this axis the second is not permuted: M_ij belongs to its channel j, wherever p has put it.
        a, b = (_rows(array, place) for array in (self._first[place.weight], second))
        return a @ b.T

    def _permuted(self, name: str, permutations: Sequence[Indices], except_axis: int | None = None) -> Array:
        array = self._second[name]
        for number, place in self._by_weight[name]:
            if place.axis != except_axis:
                array = _moved(array, place, permutations[number])
        return array

    def _is_ready(self, number: int, place: ChannelPlace) -> bool:
        others = self._by_weight[place.weight]
        return all(other < number for other, one in others if one.axis != place.axis)


def _rows(array: Array, place: ChannelPlace) -> Array:
    """Return the weights of each channel as a row, [n, copies · rest]."""
    entries = np.moveaxis(array, place.axis, 0)[place.indices]  # [copies, n, rest]
    return np.moveaxis(entries, 1, 0).reshape(place.indices.shape[1], -1)
