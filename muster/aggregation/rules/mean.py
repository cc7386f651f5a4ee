"""The weighted mean: FedAvg (McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
AISTATS 2017, Algorithm 1), on deltas:

    Δ = sum_k(n_k * f_k * delta_k) / sum_k(n_k)

f_k is below one where an update is clipped (Sun et al., "Can You Really Backdoor Federated Learning?", 2019). Float tensors
(parameters and buffers such as BatchNorm's running statistics) are averaged exactly (`sums`). Integer tensors are counters
(`num_batches_tracked`): of them the largest delta counts. Booleans are kept from the base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from muster.aggregation.grids import Averaged, Grid, Grids, grids
from muster.aggregation.manifest import Manifest
from muster.aggregation.plan import Inputs, Limits, Part, Plan, Result, Stage, joining, tiles
from muster.aggregation.ranges import slices
from muster.aggregation.reading import Group
from muster.aggregation.registry import TooFewUpdates, aggregator
from muster.aggregation.sums import Peaks, Sums
from muster.wire.arrays import Array
from muster.wire.tensors import ITEM_BYTES, Schema

AHEAD_BYTES = 28 << 20
"""What updates may hold in memory beyond eight bytes an element, which is as much as one sum itself."""

HELD_BYTES = 16
"""What an element takes in the memory of a worker that sums: eight bytes of the sum, and eight of updates."""

LIMB_BYTES, PEAK_BYTES = 8, 12
"""What it takes besides: a second limb; and a grid of its own (its exponent, twice, and C)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Averaging:
    """Stages that average updates: where elements may need a grid of their own first the peaks, then the sums, both as tiles
    and what joins them.

    `pick` says what is averaged, and on which grids, when it is known; `count` of how many updates, and `may` the grids that
    these may need.
    """

    schema: Schema
    limits: Limits
    first: int
    """The number of the first stage."""
    count: int
    may: Grids
    pick: Callable[[Inputs], tuple[Averaged, Grids]]

    def stages(self) -> tuple[Stage, ...]:
        """All of them, in their order."""
        peaks = self.peaks()
        sums = self.sums(len(peaks))
        own = {(part.start, part.stop): part for part in peaks[-1]} if peaks else {}
        found = [Stage(parts, self._maximum(peaks, level)) for level, parts in enumerate(peaks)]
        return (*found, *(Stage(parts, self._summed(sums, level, own)) for level, parts in enumerate(sums)))

    def peaks(self) -> list[tuple[Part, ...]]:
        """Levels of parts, over the ranges that need them: tiles, and what joins them; none where no range does."""
        tensors = {number for number, grid in enumerate(self.may) if _is_own(grid)}
        if not tensors:
            return []
        parts = tiles(*self._cut, stage=self.first)
        needing = {
            (start, stop)
            for start, stop in {(part.start, part.stop) for part in parts}  # far fewer than parts
            if any(piece.tensor in tensors for piece in slices(self.schema, start, stop))
        }
        wanted = [part for part in parts if (part.start, part.stop) in needing]
        return self._tree(tuple(replace(part, number=number) for number, part in enumerate(wanted)), 2) if wanted else []

    def sums(self, levels_before: int) -> list[tuple[Part, ...]]:
        """Levels of parts over all ranges; `levels_before` are those of the peaks."""
        return self._tree(tiles(*self._cut, stage=self.first + levels_before), 8 * self._limbs)

    @property
    def _limbs(self) -> int:
        return max((grid.limbs for grid in self.may if grid), default=1)

    @property
    def _cut(self) -> tuple[Schema, int, int, Limits, int]:
        """What tiles are cut by: the same for peaks and sums, so that they have the same ranges."""
        held = HELD_BYTES + LIMB_BYTES * (self._limbs - 1) + PEAK_BYTES * any(_is_own(grid) for grid in self.may)
        return self.schema, self.count, max(ITEM_BYTES[spec.dtype] for spec in self.schema), self.limits, held

    def _tree(self, first: tuple[Part, ...], element_bytes: int) -> list[tuple[Part, ...]]:
        return [first, *joining(first, lambda part: element_bytes * (part.stop - part.start), self.limits)]

    def _maximum(self, levels: Sequence[tuple[Part, ...]], level: int) -> Callable[[Part, Inputs], Result]:
        def first(part: Part, inputs: Inputs) -> Result:
            averaged, chosen = self.pick(inputs)
            if not any(_is_own(chosen[piece.tensor]) for piece in slices(self.schema, part.start, part.stop)):
                return {}
            peaks = Peaks(schema=self.schema, start=part.start, stop=part.stop, grids=chosen, averaged=averaged)
            for group, some in _groups(averaged, part, inputs):
                peaks.add(group, some)
            return peaks.exponents()

        def joined(part: Part, inputs: Inputs) -> Result:
            total: dict[str, Array] = {}
            for other in inputs.results(levels[level - 1][part.first : part.last]):
                total = {name: np.maximum(total.get(name, several), several) for name, several in other.items()}
            return total

        return joined if level else first

    def _summed(
        self, levels: Sequence[tuple[Part, ...]], level: int, own: dict[tuple[int, int], Part]
    ) -> Callable[[Part, Inputs], Result]:
        def run(part: Part, inputs: Inputs) -> Result:
            averaged, chosen = self.pick(inputs)
            if level:
                sums = Sums(schema=self.schema, start=part.start, stop=part.stop, grids=chosen)
                sums.merge(inputs.results(levels[level - 1][part.first : part.last]))
            else:
                peaks = own.get((part.start, part.stop))
                known = next(iter(inputs.results([peaks]))) if peaks else None
                sums = Sums(schema=self.schema, start=part.start, stop=part.stop, grids=chosen, peaks=known)
                for group, some in _groups(averaged, part, inputs):
                    sums.add(group, some)
            return sums.over(averaged.total_weight) if level == len(levels) - 1 else sums.tensors

        return run


def _is_own(grid: Grid | None) -> bool:
    return grid is not None and grid.bits is None


def _groups(averaged: Averaged, part: Part, inputs: Inputs) -> Iterator[tuple[Group, Averaged]]:
    """The part's updates, group by group."""
    mine, at = averaged[part.first : part.last], 0
    for group in inputs.updates(mine.entries, part, 8 * (part.stop - part.start) + AHEAD_BYTES):
        yield group, mine[at : at + len(group)]
        at += len(group)


@aggregator("mean")
@dataclass(frozen=True, slots=True)
class Mean:
    """The exact mean, weighted by the manifest's weights."""

    def check(self, updates: int) -> None:
        """One is enough."""
        if updates < 1:
            raise TooFewUpdates("mean", 1, updates)

    def plan(self, manifest: Manifest, schema: Schema, limits: Limits) -> Plan:
        """Tiles, and a tree of sums; where it must be, first of peaks."""
        averaging = averaged_by(manifest, schema, limits)
        return Plan(averaging.stages(), lost_bits=max((grid.lost for grid in averaging.may if grid), default=0))


def averaged_by(manifest: Manifest, schema: Schema, limits: Limits) -> Averaging:
    """The mean of all of a manifest's updates, by its weights, from stage 0 on.

    Raises:
        SumOutOfRange: a tensor's sum cannot be exact.
    """
    averaged = Averaged.of(manifest, manifest.entries, [manifest.weight(entry) for entry in manifest.entries])
    chosen = grids(averaged, schema)
    return Averaging(
        schema=schema,
        limits=limits,
        first=0,
        count=len(manifest.entries),
        may=chosen,
        pick=lambda inputs: (averaged, chosen),
    )
