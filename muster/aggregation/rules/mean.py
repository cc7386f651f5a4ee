"""The weighted mean: FedAvg (McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
AISTATS 2017, Algorithm 1), on deltas:

    Δ = sum_k(n_k * delta_k) / sum_k(n_k)

A small algebra with one law: for any split of the clients, `merge(sums(a), sums(b)) == sums(a + b)`, to the last bit.
Float tensors (parameters and buffers such as BatchNorm's running statistics) are averaged exactly (`exact`). Integer tensors
are counters (`num_batches_tracked`): of them the largest delta counts. Booleans are kept from the base.

A clipped update (its factor is below one; Sun et al., "Can You Really Backdoor Federated Learning?", 2019) is multiplied
element by element before it meets the grid, so that the weights stay integers and the law holds. Of an `int8` update it is the
scales that meet the grid: a number times a multiple of the grid is one too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from muster.aggregation.exact import SumOutOfRange, grid_bits, round_to_grid
from muster.aggregation.manifest import Entry, Manifest
from muster.aggregation.plan import Inputs, Limits, Part, Plan, Result, Stage, joining, tiles
from muster.aggregation.ranges import slices
from muster.aggregation.reading import Group
from muster.aggregation.registry import F64, TooFewUpdates, aggregator
from muster.aggregation.threads import Share, shares, side_by_side
from muster.wire.arrays import Array
from muster.wire.encodings import BLOCK, blocks
from muster.wire.tensors import ITEM_BYTES, Schema
from muster.wire.values import Values

SCRATCH_BYTES = 4 << 20
"""The working copy of a group's block, as float64, of each thread: it stays in cache, and is made once."""

AHEAD_BYTES = 28 << 20
"""What updates may hold in memory beyond eight bytes an element, which is as much as the sums themselves."""

HELD_BYTES = 16
"""What an element takes in the memory of a worker that sums: eight bytes of the sum, and eight of updates."""

QUANTISED_BITS = 8
"""An int8 update's scales keep at least so many bits on the grid."""


@dataclass(frozen=True, slots=True)
class Averaged:
    """What is averaged: updates, with integer weights."""

    entries: tuple[Entry, ...]
    weights: tuple[int, ...]

    @property
    def total_weight(self) -> int:
        """Sum of all weights."""
        return sum(self.weights)


def grids(manifest: Manifest, schema: Schema, total_weight: int) -> list[int | None]:
    """For each tensor of the schema the grid of its sum (None for a counter), taken from the frozen manifest alone.

    Raises:
        SumOutOfRange: a tensor's sum cannot be exact.
    """
    exponents = iter(manifest.exponents)
    found: list[int | None] = []
    for spec in schema:
        exponent = next(exponents) if spec.is_float else None
        found.append(None if exponent is None else grid_bits(exponent, total_weight))
    if manifest.is_quantised and total_weight.bit_length() > 53 - QUANTISED_BITS:
        raise SumOutOfRange(f"expected a total weight below 2**{53 - QUANTISED_BITS} for int8 updates, got {total_weight}")
    return found


class Sums:
    """Exact weighted sums over a range of elements: float64 for float tensors, the largest delta as int64 for counters."""

    def __init__(self, schema: Schema, start: int, stop: int, bits: Sequence[int | None]) -> None:
        lowest = np.iinfo(np.int64).min
        pieces = slices(schema, start, stop)
        self._bits = [bits[piece.tensor] for piece in pieces]
        self._scratch: list[F64] = []
        self.tensors: dict[str, Array] = {
            schema[piece.tensor].name: np.zeros(len(piece)) if bit is not None else np.full(len(piece), lowest, np.int64)
            for piece, bit in zip(pieces, self._bits, strict=True)
        }
        """By name, flat; of a tensor that lies only partly in the range, that part."""

    def add(self, group: Group, weights: Sequence[int], factors: Sequence[float]) -> None:
        """Count some updates, each as often as its weight says; all float values are finite. An update with a factor below one
        is first multiplied by it, element by element.
        """
        rows = []
        for number, (total, bits) in enumerate(zip(self.tensors.values(), self._bits, strict=True)):
            several = [values[number] for _, values in group]
            if bits is None:
                for counter in several:
                    np.maximum(total, counter.raw, out=total)
            else:
                rows.append(Rows(total, several, np.array(weights, np.float64), np.array(factors), bits))
        work = shares([len(row.total) for row in rows])
        while len(self._scratch) < len(work):
            self._scratch.append(np.empty(SCRATCH_BYTES // 8))
        tasks = [partial(_add, rows, share, scratch) for share, scratch in zip(work, self._scratch, strict=False)]
        side_by_side(tasks)

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
        for total in self.tensors.values():
            if total.dtype.kind == "f":
                total /= total_weight
        return self.tensors


def _add(rows: Sequence[Rows], share: Share, scratch: F64) -> None:
    for number, low, high in share:
        rows[number].add(low, high, scratch)


@dataclass(frozen=True, slots=True)
class Rows:
    """One tensor of several updates, with their weights and factors, the sum that they belong to, and its grid."""

    total: Array
    values: Sequence[Values]
    weights: F64
    factors: F64
    bits: int

    def add(self, low: int, high: int, scratch: F64) -> None:
        """Add the elements from `low`, which begins a block, up to `high` of all rows, weighted, to the sum.

        Rounding makes every product and every partial sum a whole number of grid steps below 2**53, so it does not matter how
        the matrix product orders them.
        """
        for chosen, add in ((self._floats, self._add_floats), (self._quantised, self._add_quantised)):
            width = max(BLOCK, scratch.size // max(1, len(chosen)) // BLOCK * BLOCK)
            most = scratch.size // width
            for some in (chosen[first : first + most] for first in range(0, len(chosen), most)):
                add(some, low, high, width, scratch)

    @property
    def _floats(self) -> list[int]:
        return [number for number, values in enumerate(self.values) if values.scales is None]

    @property
    def _quantised(self) -> list[int]:
        return [number for number, values in enumerate(self.values) if values.scales is not None]

    def _add_floats(self, chosen: Sequence[int], low: int, high: int, width: int, scratch: F64) -> None:
        weights = self.weights[chosen]
        for start in range(low, high, width):
            stop = min(start + width, high)
            block = scratch[: len(chosen) * (stop - start)].reshape(len(chosen), -1)
            for row, number in zip(block, chosen, strict=True):
                self.values[number].into(row, start)
                if self.factors[number] != 1.0:
                    row *= self.factors[number]
            round_to_grid(block, self.bits)
            self.total[start:stop] += weights @ block

    def _add_quantised(self, chosen: Sequence[int], low: int, high: int, width: int, scratch: F64) -> None:
        """Of each block of elements: (weight * rounded scale) of each row, times its numbers."""
        raws = [self.values[number].raw for number in chosen]
        known = [some for number in chosen if (some := self.values[number].scales) is not None]
        scales = np.array([some[low // BLOCK : blocks(high)] for some in known], np.float64)
        scales *= self.factors[chosen, None]
        round_to_grid(scales, self.bits)
        scales *= self.weights[chosen, None]
        scales = np.ascontiguousarray(scales.T)
        for start in range(low, high, width):
            stop = min(start + width, high)
            block = scratch[: len(chosen) * (stop - start)].reshape(len(chosen), -1)
            for row, raw in zip(block, raws, strict=True):
                np.copyto(row, raw[start:stop])
            first, whole = (start - low) // BLOCK, (stop - start) // BLOCK
            if whole:
                numbers = block[:, : whole * BLOCK].reshape(len(chosen), whole, BLOCK).transpose(1, 0, 2)
                sums = np.matmul(scales[first : first + whole, None, :], numbers)
                self.total[start : start + whole * BLOCK] += sums.reshape(-1)
            if start + whole * BLOCK < stop:
                self.total[start + whole * BLOCK : stop] += scales[first + whole] @ block[:, whole * BLOCK :]


def averaging(
    manifest: Manifest, schema: Schema, limits: Limits, stage: int, updates: int, pick: Callable[[Inputs], Averaged]
) -> tuple[Stage, ...]:
    """Stages that average some of the updates: sums of tiles, and sums of sums. `pick` says which, when it is known."""
    element_bytes = max(ITEM_BYTES[spec.dtype] for spec in schema)
    first = tiles(schema, updates, element_bytes, limits, HELD_BYTES, stage)
    levels = [first, *joining(first, lambda part: 8 * (part.stop - part.start), limits)]

    def summed(part: Part, inputs: Inputs) -> Sums:
        averaged = pick(inputs)
        sums = Sums(schema, part.start, part.stop, grids(manifest, schema, averaged.total_weight))
        entries, weights = averaged.entries[part.first : part.last], averaged.weights[part.first : part.last]
        room, at = 8 * (part.stop - part.start) + AHEAD_BYTES, 0
        for group in inputs.updates(entries, part, room):
            sums.add(group, weights[at : at + len(group)], [manifest.factor(entry) for entry, _ in group])
            at += len(group)
        return sums

    def joined(part: Part, inputs: Inputs) -> Sums:
        sums = Sums(schema, part.start, part.stop, grids(manifest, schema, pick(inputs).total_weight))
        sums.merge(inputs.results(levels[part.stage - stage - 1][part.first : part.last]))
        return sums

    def ending(make: Callable[[Part, Inputs], Sums], is_last: bool) -> Callable[[Part, Inputs], Result]:
        def run(part: Part, inputs: Inputs) -> Result:
            sums = make(part, inputs)
            return sums.over(pick(inputs).total_weight) if is_last else sums.tensors

        return run

    return tuple(Stage(parts, ending(joined if level else summed, parts is levels[-1])) for level, parts in enumerate(levels))


@aggregator("mean")
@dataclass(frozen=True, slots=True)
class Mean:
    """The exact mean, weighted by the manifest's weights."""

    def check(self, updates: int) -> None:
        """One is enough."""
        if updates < 1:
            raise TooFewUpdates("mean", 1, updates)

    def plan(self, manifest: Manifest, schema: Schema, limits: Limits) -> Plan:
        """Tiles, and a tree of sums."""
        weights = tuple(manifest.weight(entry) for entry in manifest.entries)
        averaged = Averaged(manifest.entries, weights)
        return Plan(averaging(manifest, schema, limits, 0, len(manifest.entries), lambda inputs: averaged))
