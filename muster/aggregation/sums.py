"""Exact sums of many updates, of a range of elements: a small algebra with one law.

    for any split of the updates, `merge(sums(a), sums(b)) == sums(a + b)`, to the last bit

The same law holds for `Peaks`, the largest exponent of each element, from which a grid of its own is taken (`grids`).

What is added up is factor * x, element by element in float64, rounded to the grid of its sum. All that is element-wise, and
float64 is the same on every CPU; the sums of what is on a grid are exact. Of an `int8` update on a tensor's one grid it is the
scales that are rounded: a whole number times a multiple of the grid is one too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from muster.aggregation.exact import F64, anchor, anchors, finer, left_over, quotient, round_to_grid, split
from muster.aggregation.grids import Averaged, Grids, shift
from muster.aggregation.plan import Result
from muster.aggregation.ranges import slices
from muster.aggregation.reading import GROUP, Group
from muster.aggregation.threads import Share, shares, side_by_side
from muster.wire.arrays import Array
from muster.wire.encodings import BLOCK, blocks
from muster.wire.tensors import Schema
from muster.wire.values import Values

SCRATCH_BYTES = 4 << 20
"""What a thread works with: a copy of some elements as float64, so small that it stays in cache, made once."""

ROW = 64 * BLOCK
"""Elements of one update that are worked on at a time."""

Work = Callable[[int, int, F64], None]
"""Does a tensor's elements from the first number, which begins a block, up to the second, with some memory."""


class _Shared:
    """Shares out the elements of some tensors among the threads."""

    def __init__(self) -> None:
        self._scratch: list[F64] = []

    def run(self, works: Sequence[tuple[int, Work]]) -> None:
        """Do each work, which has so many elements."""
        portions = shares([count for count, _ in works])
        while len(self._scratch) < len(portions):
            self._scratch.append(np.empty(SCRATCH_BYTES // 8))

        def do(portion: Share, scratch: F64) -> None:
            for number, low, high in portion:
                works[number][1](low, high, scratch)

        side_by_side([partial(do, portion, scratch) for portion, scratch in zip(portions, self._scratch, strict=False)])


class Sums:
    """Exact sums over a range of elements: float64 of float tensors, the largest delta as int64 of counters.

    `peaks` are the exponents of those tensors that have a grid for each element (`Peaks.exponents`).
    """

    def __init__(self, *, schema: Schema, start: int, stop: int, grids: Grids, peaks: Result | None = None) -> None:
        lowest = np.iinfo(np.int64).min
        self._pieces = slices(schema, start, stop)
        self._wide = [schema[piece.tensor].dtype == "F64" for piece in self._pieces]
        self._grids = [grids[piece.tensor] for piece in self._pieces]
        self._shared = _Shared()
        self.tensors: dict[str, Array] = {}
        """By name: flat, or two rows where there are two limbs; of a tensor that lies only partly in the range, that part."""
        self._anchors: list[float | F64] = []
        for piece, grid in zip(self._pieces, self._grids, strict=True):
            name = schema[piece.tensor].name
            if grid is None:
                self.tensors[name] = np.full(len(piece), lowest, np.int64)
                self._anchors.append(0.0)
                continue
            self.tensors[name] = np.zeros(len(piece) if grid.limbs == 1 else (2, len(piece)))
            if grid.bits is not None:
                self._anchors.append(anchor(grid.bits))
            else:  # without peaks nothing is added here, only merged
                self._anchors.append(anchors(peaks[name], grid.room) if peaks else 0.0)

    def add(self, group: Group, averaged: Averaged) -> None:
        """Count some updates, with their weights and clips; all float values are finite."""
        factors = averaged.factors
        works: list[tuple[int, Work]] = []
        for number, (total, grid) in enumerate(zip(self.tensors.values(), self._grids, strict=True)):
            several = [values[number] for _, values in group]
            if grid is None:
                for counter in several:
                    np.maximum(total, counter.raw, out=total)
                continue
            limbs = [total] if grid.limbs == 1 else [total[0], total[1]]
            before, after = (averaged.clips, averaged.weights) if grid.weighted else (factors, [1] * len(factors))
            rows = _Rows(
                limbs=limbs,
                values=several,
                factors=before,
                weights=after,
                anchor=self._anchors[number],
                finer=grid.finer,
                wide=self._wide[number],
            )
            works.append((limbs[0].size, rows.add))
        self._shared.run(works)

    def merge(self, others: Iterable[Result]) -> None:
        """Count everything that other sums counted."""
        for other in others:
            for name, total in self.tensors.items():
                if total.dtype.kind == "i":
                    np.maximum(total, other[name], out=total)
                else:
                    total += other[name]
            del other  # before the next one is read

    def over(self, total_weight: int) -> Result:
        """The mean: one division at the end, in the place of the sums."""
        for name, total in self.tensors.items():
            if total.ndim == 2:
                self.tensors[name] = quotient(total[0], total[1], total_weight)
            elif total.dtype.kind == "f":
                total /= total_weight
        return self.tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """One tensor of several updates, with what they are multiplied by before and after they are rounded (integers), the sums
    (limbs) that they belong to, and C of the first grid.
    """

    limbs: Sequence[Array]
    values: Sequence[Values]
    factors: Sequence[float]
    weights: Sequence[int]
    anchor: float | F64
    finer: int
    wide: bool
    """Whether products are kept beyond their 53 bits."""

    def add(self, low: int, high: int, scratch: F64) -> None:
        """Add the elements from `low`, which begins a block, up to `high` of all updates to the sums.

        Rounding makes every addend and every partial sum a whole number of grid steps below 2**53, so it does not matter how a
        matrix product orders them.
        """
        scaled = [number for number, values in enumerate(self.values) if values.scales is not None]
        quantised = scaled if isinstance(self.anchor, float) else []
        floats = [number for number in range(len(self.values)) if number not in quantised]
        for chosen, add in ((floats, self._add_floats), (quantised, self._add_quantised)):
            together = min(GROUP, len(chosen)) or 1
            width = scratch.size // self._memory(together) // BLOCK * BLOCK
            for some in (chosen[first : first + together] for first in range(0, len(chosen), together)):
                add(some, low, high, width, scratch)

    def _memory(self, updates: int) -> int:
        """Rows of memory that so many updates need: with two limbs what is rounded lies beside what it leaves over."""
        return updates if len(self.limbs) == 1 else 2 * updates + 2

    def _add_floats(self, chosen: Sequence[int], low: int, high: int, width: int, scratch: F64) -> None:
        weights = np.array([self.weights[number] for number in chosen], np.float64)
        for start in range(low, high, width):
            stop = min(start + width, high)
            rows = scratch[: self._memory(len(chosen)) * (stop - start)].reshape(self._memory(len(chosen)), -1)
            block, rounded, spare = rows[: len(chosen)], rows[len(chosen) : -2], rows[-2:]
            for row, number in zip(block, chosen, strict=True):
                self.values[number].into(row, start)
                if self.factors[number] != 1.0:
                    row *= self.factors[number]
            c = self.anchor if isinstance(self.anchor, float) else self.anchor[start:stop]
            if len(self.limbs) == 1:
                round_to_grid(block, c)
            else:
                np.add(block, c, out=rounded)
                rounded -= c
                if self.wide:
                    for row, near, number in zip(block, rounded, chosen, strict=True):
                        x = self.values[number].plain(start, stop)
                        if x is None or x.dtype != np.float64:
                            x = spare[0]
                            self.values[number].into(x, start)
                        left_over(x, self.factors[number], near, spare[1], row)
                else:
                    block -= rounded
                round_to_grid(block, finer(c, self.finer))
                self.limbs[0][start:stop] += weights @ rounded
            self.limbs[-1][start:stop] += weights @ block

    def _add_quantised(self, chosen: Sequence[int], low: int, high: int, width: int, scratch: F64) -> None:
        """Of each block of elements: the factor times the scale, rounded, of each update, times its numbers."""
        raws = [self.values[number].raw for number in chosen]
        known = [scales for number in chosen if (scales := self.values[number].scales) is not None]
        factors, weights = (np.array([some[number] for number in chosen]) for some in (self.factors, self.weights))
        scales = np.array([one[low // BLOCK : blocks(high)] for one in known], np.float64) * factors[:, None]
        limbs = [scales]
        if len(self.limbs) == 1:
            round_to_grid(scales, self.anchor)
        else:
            limbs = [np.empty_like(scales), scales]
            split(scales, self.anchor, self.finer, limbs[0])
        columns = [np.ascontiguousarray((limb * weights[:, None]).T) for limb in limbs]
        for start in range(low, high, width):
            stop = min(start + width, high)
            block = scratch[: len(chosen) * (stop - start)].reshape(len(chosen), -1)
            for row, raw in zip(block, raws, strict=True):
                np.copyto(row, raw[start:stop])
            for total, column in zip(self.limbs, columns, strict=True):
                _add_products(column[(start - low) // BLOCK :], block, total[start:stop])


def _add_products(scales: F64, block: F64, total: Array) -> None:
    """Add to the total, for each `BLOCK` of columns, that block's scales (a row of them) times its numbers."""
    count, width = block.shape
    whole = width // BLOCK
    if whole:
        numbers = block[:, : whole * BLOCK].reshape(count, whole, BLOCK).transpose(1, 0, 2)
        total[: whole * BLOCK] += np.matmul(scales[:whole, None, :], numbers).reshape(-1)
    if whole * BLOCK < width:
        total[whole * BLOCK :] += scales[whole] @ block[:, whole * BLOCK :]


class Peaks:
    """The largest exponent of factor * x over some updates, for each element of the tensors that need it.

    Only bits are compared: those of |x| without its sign are ordered like its size, and a factor of at most 2**s adds s to the
    exponent. So a peak may be one too large, and never too small. Of a tensor that is no wider than float32, what is smaller
    than 2**-126 counts as that.
    """

    def __init__(self, *, schema: Schema, start: int, stop: int, grids: Grids, averaged: Averaged) -> None:
        self._pieces = slices(schema, start, stop)
        shifts = [shift(factor) for factor in averaged.factors]
        self._least = max(min(shifts), max(shifts) - 256)  # no exponent becomes negative, and none needs more than nine bits
        self._shared = _Shared()
        self._bits: list[_Bits | None] = []
        self._names = [schema[piece.tensor].name for piece in self._pieces]
        for piece in self._pieces:
            grid = grids[piece.tensor]
            wanted = grid is not None and grid.bits is None
            self._bits.append(_Bits(len(piece), schema[piece.tensor].dtype == "F64") if wanted else None)

    def add(self, group: Group, averaged: Averaged) -> None:
        """Count some updates, with their weights and clips."""
        shifts = [max(0, shift(factor) - self._least) for factor in averaged.factors]
        self._shared.run(
            [
                (bits.largest.size, partial(bits.add, [values[number] for _, values in group], shifts))
                for number, bits in enumerate(self._bits)
                if bits is not None
            ]
        )

    def exponents(self) -> dict[str, Array]:
        """By name: for each element the e with |factor * x| < 2**e in all updates, as int16."""
        pairs = zip(self._names, self._bits, strict=True)
        return {name: bits.exponents(self._least) for name, bits in pairs if bits is not None}


class _Bits:
    """The largest magnitudes of some elements, as the bits of floats, their exponents shifted."""

    def __init__(self, count: int, wide: bool) -> None:
        self._float: npt.DTypeLike = np.float64 if wide else np.float32
        self._mantissa, self._smallest = (52, -1022) if wide else (23, -126)
        self.largest: Array = np.zeros(count, np.uint64 if wide else np.uint32)
        self._uint = self.largest.dtype.type

    def add(self, several: Sequence[Values], shifts: Sequence[int], low: int, high: int, scratch: F64) -> None:
        """Count the elements from `low` up to `high` of some updates."""
        memory = scratch.view(self._float)[:ROW]
        magnitude = self._uint(np.iinfo(self._uint).max >> 1)
        for start in range(low, high, ROW):
            stop = min(start + ROW, high)
            row = memory[: stop - start]
            bits, largest = row.view(self._uint), self.largest[start:stop]
            for values, more in zip(several, shifts, strict=True):
                raw = values.plain(start, stop)
                if raw is None or raw.dtype != row.dtype:
                    values.into(row, start)
                    raw = row
                np.bitwise_and(raw.view(self._uint), magnitude, out=bits)
                bits += self._uint(more << self._mantissa)
                np.maximum(largest, bits, out=largest)

    def exponents(self, least: int) -> Array:
        """The exponents of all elements, when updates were shifted by what their factor's has above `least`."""
        found: Array = (self.largest >> self._uint(self._mantissa)).astype(np.int16)
        found += np.int16(self._smallest + least)
        return found
