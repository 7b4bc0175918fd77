"""Derive from a network's graph of layers which channels can be permuted without changing its function.

Every channel of every tensor has a slot. A convolution or dense layer makes new slots for its outputs; a sum ties the
slots of its terms, so that a residual stream has one permutation; a concatenation puts slots side by side. Each axis of
a weight goes with slots. Two slots can be exchanged if they are in the same places of the same axes. These classes are
the groups of channels, each with one permutation.

| symbol | meaning |
| --- | --- |
| slot | an integer for a channel; tied slots have one root |
| copy | an axis may hold a slot several times: a flattened image holds each channel once for each pixel |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from infomcr_cli.measures.layer_graph import Edge, layer_graph
from infomcr_cli.models import named_weights

Indices = NDArray[np.int64]
ZERO = -1  # a channel that is 0 for every image, such as those that `pad` adds; it may stand for any other such channel


@dataclass(frozen=True)
class ChannelPlace:
    """Where the channels of a group stand in a weight.

    Args:
        weight:  its name.
        axis:    of the weight.
        indices: entry of the axis for each copy and channel, [copies, n].
    """

    weight: str
    axis: int
    indices: Indices


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that can take each other's places.

    Args:
        size:   n, at least 2.
        places: in weights and moving statistics.
    """

    size: int
    places: tuple[ChannelPlace, ...]


@dataclass(frozen=True)
class Channels:
    """The slots of a tensor.

    Args:
        axis:  of the channels, the batch included.
        slots: of each channel, [C].
    """

    axis: int
    slots: Indices


@dataclass(frozen=True)
class WeightAxis:
    """An axis of a weight and the slots that it goes with, [length]."""

    variable: keras.Variable
    axis: int
    slots: Indices


class ChannelSlots:
    """The slots of a network: which are tied, which are fixed, and which axes belong to them."""

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._fixed: list[Indices] = []
        self._axes: dict[tuple[int, int], WeightAxis] = {}
        self._parted: list[tuple[Indices, Indices]] = []

    def fresh(self, count: int) -> Indices:
        """Return new slots."""
        first = len(self._parents)
        self._parents += range(first, first + count)
        return np.arange(first, first + count)

    def fix(self, slots: Indices) -> Indices:
        """Fix slots, such as classes and the channels of images."""
        self._fixed.append(slots[slots != ZERO])
        return slots

    def tie(self, one: Indices, other: Indices) -> Indices:
        """Tie slots in pairs, and return them; a channel that is always 0 is tied to nothing."""
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            if ZERO not in (a, b):
                self._parents[self._root(a)] = self._root(b)
        return np.where(one == ZERO, other, one)

    def part(self, slots: Indices, parts: Indices) -> None:
        """Let slots be exchanged only within parts, as those of a group norm."""
        self._parted.append((slots, parts))

    def along(self, channels: Channels | None, edge: Edge, axis: int) -> Indices:
        """Return the slots of a tensor's axis, fixed if they are not known channels."""
        if channels is None or channels.axis != axis:
            return self.fix(self.fresh(int(edge.shape[axis] or 0)))
        # To weights and operations a channel of zeros is one like any other: it has a slot of its own, which is fixed.
        fixed = self.fix(self.fresh(len(channels.slots)))
        return np.where(channels.slots == ZERO, fixed, channels.slots)

    def bind(self, variable: keras.Variable, axis: int, slots: Indices | None = None) -> Indices:
        """Let an axis of a weight go with slots, or with new ones; a layer that is called again ties them."""
        axis %= len(variable.shape)
        known = self._axes.get((id(variable), axis))
        if known is None:
            made = self.fresh(int(variable.shape[axis])) if slots is None else slots
            known = self._axes[id(variable), axis] = WeightAxis(variable, axis, made)
        return known.slots if slots is None else self.tie(known.slots, slots)

    def groups(self, names: dict[int, str]) -> list[ChannelGroup]:
        """Return the classes of two or more slots that are in the same places, in the order of their first weights.

        Args:
            names: of variables by their identities.
        """
        axes = [(one, self._roots(one.slots)) for one in self._axes.values()]
        fixed = {int(slot) for slots in self._fixed for slot in self._roots(slots)}
        found: dict[int, list[tuple[int, int]]] = {}  # slot → (axis, copy) in order
        where: dict[tuple[int, int, int], int] = {}  # (axis, copy, slot) → entry
        for number, (_, slots) in enumerate(axes):
            for entry, copy, slot in _copies(slots):
                if slot not in fixed:
                    found.setdefault(slot, []).append((number, copy))
                    where[number, copy, slot] = entry
        # Slots with the same axes, copies and parts are exchangeable.
        marks = self._marks()
        classes: dict[Any, list[int]] = {}
        for slot, signature in found.items():
            classes.setdefault((tuple(signature), tuple(marks.get(slot, ()))), []).append(slot)
        named = [(names[id(one.variable)], one.axis) for one, _ in axes]
        return [
            ChannelGroup(len(slots), tuple(_places(signature, slots, named, where)))
            for (signature, _), slots in classes.items()
            if len(slots) > 1
        ]

    def _marks(self) -> dict[int, list[tuple[int, int]]]:
        marks: dict[int, list[tuple[int, int]]] = {}
        for number, (slots, parts) in enumerate(self._parted):
            for slot, part in zip(self._roots(slots).tolist(), parts.tolist(), strict=True):
                marks.setdefault(slot, []).append((number, part))
        return marks

    def _root(self, slot: int) -> int:
        while self._parents[slot] != slot:
            self._parents[slot] = slot = self._parents[self._parents[slot]]  # halves the path for later searches
        return slot

    def _roots(self, slots: Indices) -> Indices:
        return np.array([self._root(slot) for slot in slots.tolist()], np.int64)


def channel_groups(model: keras.Model) -> list[ChannelGroup]:
    """Return the groups of channels that can be permuted, those near the input first.

    Raises:
        InputError: a layer has no rule, as a grouped convolution; it is named.
    """
    from infomcr_cli.landscapes.alignment_rules import outputs_of

    graph, slots = layer_graph(model), ChannelSlots()
    known: dict[int, Channels | None] = {}
    for call in graph.calls:
        made = outputs_of(slots, call, [known.get(id(edge)) for edge in call.inputs])
        known |= {id(edge): made for edge in call.outputs}
    for edge in graph.outputs:  # the classes have an order that all networks share
        channels = known.get(id(edge))
        if channels is not None:
            slots.fix(channels.slots)
    return slots.groups({id(variable): name for name, variable in named_weights(model).items()})


def _copies(slots: Indices) -> Iterator[tuple[int, int, int]]:
    """Yield the entry of each slot of an axis, and how many entries of the same slot are before it."""
    seen: dict[int, int] = {}
    for entry, slot in enumerate(slots.tolist()):
        copy = seen[slot] = seen.get(slot, -1) + 1
        yield entry, copy, slot


def _places(
    signature: Sequence[tuple[int, int]],
    slots: Sequence[int],
    named: Sequence[tuple[str, int]],
    where: dict[tuple[int, int, int], int],
) -> Iterator[ChannelPlace]:
    # Each axis once, in order; a slot may be on it several times.
    for number in dict.fromkeys(number for number, _ in signature):
        copies = [copy for one, copy in signature if one == number]
        # [copies, n]
        indices = np.array([[where[number, copy, slot] for slot in slots] for copy in copies], np.int64)
        yield ChannelPlace(*named[number], indices)
