"""Which grid a mean is summed on, tensor by tensor: a pure function of the frozen manifest, and no coarser than what it keeps.

    one grid for a tensor            the usual case: one sum. Weights are multiplied in after the rounding, in the sum itself,
                                     where its 53 bits have room for them; where not, before
    one grid, and a finer one        where values are spread too far, or updates are too many, for the first: two sums, one read
    a grid for each element          where even that is not enough, because somebody sent a giant; and for every float64 tensor:
                                     one more read of the updates, for the largest exponent of each element

The first is enough when it is as fine as the **level** of the median update (`muster.wire.spread`), for the bits that the
model's dtype has: then all but one in a thousand elements come out as if they had been summed exactly and rounded once. The
level is that of the median, so that fewer than half of the updates can neither make it coarser than what the others need,
nor hide what they need. An update that is out of scale costs the round time, and no precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from muster.aggregation.exact import addend_bits, grid_bits
from muster.aggregation.manifest import Entry, Manifest
from muster.wire.gate import ZERO_EXPONENT
from muster.wire.magnitudes import MagnitudeTable, Numbers
from muster.wire.spread import NO_LEVEL
from muster.wire.tensors import Schema

MANTISSA = {"F64": 53, "F32": 24, "F16": 11}
"""Bits that the float dtypes of a model have."""

SLACK = 2
"""Bits by which a grid may be coarser than the level asks: its rounding errors are mostly far below half a step, and those of
many updates partly cancel each other."""

NUMBER_BITS = 7
"""Bits of the largest number of an int8 update."""

COLUMN = 18
"""How far the level of a bell curve lies below its largest values: what one element of many updates is like, more or less."""


@dataclass(frozen=True, slots=True)
class Averaged:
    """What is averaged: sum(weight * clip * update) / sum(weight). `clips` are 1 where an update is not clipped."""

    entries: tuple[Entry, ...]
    weights: tuple[int, ...]
    clips: tuple[float, ...]

    @classmethod
    def of(cls, manifest: Manifest, entries: Sequence[Entry], weights: Sequence[int]) -> Averaged:
        """Some updates of a manifest, with positive integer weights, clipped as it says.

        Weights are taken in lowest terms: it is the same mean, and equal claims, however large, cost no bits.
        """
        common = math.gcd(*weights)
        lowest = tuple(weight // common for weight in weights)
        return cls(tuple(entries), lowest, tuple(manifest.factor(entry) for entry in entries))

    def __getitem__(self, some: slice) -> Averaged:
        return Averaged(self.entries[some], self.weights[some], self.clips[some])

    @property
    def factors(self) -> tuple[float, ...]:
        """Weight times clip of each update, rounded once: with the update's values, it is what the rule says."""
        return tuple(weight * clip for weight, clip in zip(self.weights, self.clips, strict=True))

    @property
    def total_weight(self) -> int:
        """Sum of all weights."""
        return sum(self.weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What one tensor is summed on."""

    bits: int | None
    """k, of a grid of 2**-k; None: each element has its own."""
    room: int
    """Bits that a grid has below the largest addend."""
    limbs: int = 1
    """1, or 2: what is left over goes on a second grid."""
    weighted: bool = False
    """Whether the weights are multiplied in after the rounding."""
    lost: int = 0
    """Bits by which the finest grid is nevertheless too coarse for the median update."""

    @property
    def finer(self) -> int:
        """Bits by which the second grid is finer: fewer where what int8 scales leave over is multiplied by their numbers."""
        return self.room if self.bits is None else self.room - NUMBER_BITS


Grids = Sequence[Grid | None]
"""The grid of each tensor of the schema; None of a counter."""


def shift(factor: float) -> int:
    """The smallest s with factor <= 2**s, of a positive factor."""
    fraction, exponent = math.frexp(factor)
    return exponent - (fraction == 0.5)


def grids(averaged: Averaged, schema: Schema) -> Grids:
    """The grids of a mean.

    Raises:
        SumOutOfRange: a tensor's sum cannot be exact.
    """
    quantised = np.array([entry.encoding == "int8" for entry in averaged.entries])
    kinds = [kind for kind in (quantised, ~quantised) if kind.any()]
    return _grids(averaged, schema, len(averaged.entries), lambda levels: min(_median(levels[kind]) for kind in kinds))


def coarsest(averaged: Averaged, schema: Schema, count: int) -> Grids:
    """The grids that the mean of `count` of these updates may need, whichever they are, of equal weights: what is made of any
    choice takes no more memory.

    Raises:
        SumOutOfRange: a tensor's sum could not be exact.
    """
    found = _grids(averaged, schema, count, lambda levels: int(levels.min()))
    return [replace(grid, limbs=2) if grid is not None and grid.bits is None else grid for grid in found]


def _grids(averaged: Averaged, schema: Schema, count: int, typical: Callable[[Numbers], int]) -> Grids:
    floats = [spec.dtype for spec in schema if spec.is_float]
    table = MagnitudeTable([entry.magnitudes for entry in averaged.entries], len(floats))
    after, before = _Shifts.of(averaged.clips), _Shifts.of(averaged.factors)
    total = averaged.total_weight if count == len(averaged.entries) else count
    measured = []
    for group in range(len(table)):
        column = table.column(group)
        measured.append((*after.measured(*column, typical), total, *before.measured(*column, typical), count))
    found = iter([_grid(dtype, *measured[group]) for dtype, group in zip(floats, table.groups, strict=True)])
    return [next(found) if spec.is_float else None for spec in schema]


@dataclass(frozen=True, slots=True)
class _Shifts:
    """By how much factors move exponents: at most up to, and at least."""

    most: Numbers
    least: Numbers

    @classmethod
    def of(cls, factors: Sequence[float]) -> _Shifts:
        return cls(np.array([shift(f) for f in factors]), np.array([math.frexp(f)[1] - 1 for f in factors]))

    def measured(self, exponents: Numbers, levels: Numbers, typical: Callable[[Numbers], int]) -> tuple[int, int]:
        """Of factor * update: the largest exponent, and the level."""
        there = exponents != ZERO_EXPONENT
        largest = int(np.where(there, exponents + self.most, ZERO_EXPONENT).max())
        return largest, typical(np.where(there, levels + self.least, NO_LEVEL))


def _median(levels: Numbers) -> int:
    """The (lower) median level, of those updates that are not all zero."""
    there = np.sort(levels[levels != NO_LEVEL])
    return int(there[(there.size - 1) // 2]) if there.size else NO_LEVEL


def limbs_of(dtype: str, count: int) -> int:
    """How many limbs the sum of so many addends needs on a grid of its own."""
    return 1 if addend_bits(count) - COLUMN >= MANTISSA[dtype] - SLACK else 2


def _grid(dtype: str, exponent: int, level: int, total: int, weighted_exponent: int, weighted_level: int, count: int) -> Grid:
    """The first grid that is fine enough: of so many updates without their weights, or with them."""
    mantissa, after, before = MANTISSA[dtype], addend_bits(total), addend_bits(count)
    k = grid_bits(weighted_exponent, count)
    if weighted_exponent == ZERO_EXPONENT:
        return Grid(bits=k, room=before)
    if dtype != "F64":
        for limbs in (1, 2):
            less = NUMBER_BITS * (limbs - 1)
            if level + after * limbs - less - exponent >= mantissa - SLACK:
                return Grid(bits=grid_bits(exponent, total), room=after, limbs=limbs, weighted=True)
            if weighted_level + before * limbs - less - weighted_exponent >= mantissa - SLACK:
                return Grid(bits=k, room=before, limbs=limbs)
    limbs = limbs_of(dtype, count)
    return Grid(bits=None, room=before, limbs=limbs, lost=max(0, mantissa - SLACK - (limbs * before - COLUMN)))
