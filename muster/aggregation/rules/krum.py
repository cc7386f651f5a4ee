"""Krum and Multi-Krum (Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", NeurIPS
2017, §4 and the last paragraph of §5): the updates that are nearest to their nearest neighbours.

    score(i) = sum of the n - f - 2 smallest |u_i - u_j|², j ≠ i

Distances come from a Gram matrix, one matrix product instead of n² differences. The products are exact: every value is first
rounded to an integer of so few bits that four times the square of the longest update stays below 2**53. So distances are whole
numbers, any split into ranges and any BLAS gives the same ones, and ties are true ties: of those the update with the lowest
SHA-256 wins, which no client can choose without choosing another update.

**Whose length makes the grid.** B is the (f + 1)-th largest norm: of at most f liars none can make it larger than that of the
longest honest update. At least n - f updates are no longer than B, so no further than 2 B from one another, and their scores
are at most 4 n B². Whoever is chosen has no higher score; two or more of its neighbours are among those, so by the triangle
inequality it is no longer than (1 + √(2 n)) B, and no further than (2 + √(2 n)) B from any of them. An update longer than
(3 + 2 √(2 n)) B is further from it: it is **far**, neither among the chosen nor among their neighbours, and left out of the
matrix; its distances count as infinite. That changes no choice. All others are rounded to steps that are taken from B alone. A
million parameters, in a hundred updates of one length, keep 10 bits below their root mean square.

All float tensors count, buffers too. With unlike data and a small `keep` Krum drops honest minorities. The matrix has n²
numbers, so n is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field

from muster.aggregation.blocks import Gathering
from muster.aggregation.grids import Averaged, Grids, coarsest, grids
from muster.aggregation.manifest import Manifest
from muster.aggregation.plan import Inputs, Limits, Part, Plan, Result, Stage
from muster.aggregation.registry import F64, TooFewUpdates, TooManyUpdates, aggregator
from muster.aggregation.rules.mean import Averaging
from muster.aggregation.stack import UpdateStack
from muster.aggregation.sums import SCRATCH_BYTES
from muster.aggregation.threads import Share, shares, side_by_side
from muster.wire.arrays import Array
from muster.wire.tensors import Schema

MOST_UPDATES = 2_000
"""Of so many the matrix takes 32 MB."""

MARGIN = 1.0 + 2.0**-20
"""By which norms are taken for longer than they were measured: they were summed up in float64, in no certain order."""

LEAST_BITS = 1
"""Bits below the root mean square of the median update that its distances need, to be its own."""

GRAM, CHOSEN = "gram", "chosen"
Tolerated = Annotated[int, Field(ge=0, le=50_000, description="updates that may be hostile (f)")]


class _Nearest:
    """What both rules share: all but how many of the nearest are kept."""

    __slots__ = ()
    byzantine: int

    @property
    def needs(self) -> int:
        """2f + 3 (Blanchard et al., Proposition 1)."""
        return 2 * self.byzantine + 3

    def kept(self, updates: int) -> int:
        """How many of the nearest are averaged."""
        return 1

    def check(self, updates: int) -> None:
        """Refuse too few, and too many, by name."""
        if updates < self.needs:
            raise TooFewUpdates(type(self).__name__, self.needs, updates)
        if not 1 <= self.kept(updates) <= updates - self.byzantine - 2:
            raise TooFewUpdates(type(self).__name__, self.kept(updates) + self.byzantine + 2, updates)
        if updates > MOST_UPDATES:
            raise TooManyUpdates(type(self).__name__, MOST_UPDATES, updates)

    def plan(self, manifest: Manifest, schema: Schema, limits: Limits) -> Plan:
        """A Gram matrix for each column; the choice, from their sum; the mean of the chosen."""
        count = len(manifest.entries)
        gathering = Gathering.of(manifest, schema, limits)
        grams = _Grams.of(gathering.columns.parts, count, limits)
        floats = sum(spec.elements for spec in schema if spec.is_float)
        rounding = Rounding.of([manifest.factor(entry) * entry.norm for entry in manifest.entries], self.byzantine, floats)
        ties = sorted(range(count), key=lambda number: (manifest.entries[number].sha256, number))
        kept = self.kept(count)

        def gram(part: Part, inputs: Inputs) -> Result:
            return {GRAM: gram_of(UpdateStack.of(part, gathering, inputs).rows, rounding)}

        def choose(part: Part, inputs: Inputs) -> Result:
            total = grams.total(part, inputs)
            return {CHOSEN: np.array(nearest(total, self.byzantine, kept, ties, rounding.far), np.int64)}

        def chosen(inputs: Inputs) -> tuple[Averaged, Grids]:
            numbers = next(iter(inputs.results(grams.choice)))[CHOSEN].tolist()
            averaged = Averaged.of(manifest, [manifest.entries[number] for number in numbers], [1] * len(numbers))
            return averaged, grids(averaged, schema)

        may = coarsest(Averaged.of(manifest, manifest.entries, [1] * count), schema, kept)
        means = Averaging(
            schema=schema, limits=limits, first=grams.choice[0].stage + 1, count=kept, may=may, pick=chosen
        ).stages()
        lost = max([rounding.lost_bits, *(grid.lost for grid in may if grid)])
        before = (*gathering.stages, Stage(gathering.columns.parts, gram), *grams.stages)
        return Plan((*before, Stage(grams.choice, choose), *means), lost)


@aggregator("krum")
@dataclass(frozen=True, slots=True)
class Krum(_Nearest):
    """The one update with the lowest score."""

    byzantine: Tolerated


@aggregator("multi-krum")
@dataclass(frozen=True, slots=True)
class MultiKrum(_Nearest):
    """The mean of the `keep` updates with the lowest scores; of n - f - 2 unless it is given."""

    byzantine: Tolerated
    keep: Annotated[int, Field(ge=1, le=100_000)] | None = None

    def kept(self, updates: int) -> int:
        """At most n - f - 2."""
        return self.keep if self.keep is not None else updates - self.byzantine - 2


@dataclass(frozen=True, slots=True)
class _Grams:
    """How the Gram matrices of all columns come together: those of the columns, sums of them, sums of such, and the choice."""

    updates: int
    levels: tuple[tuple[Part, ...], ...]

    @classmethod
    def of(cls, columns: Sequence[Part], updates: int, limits: Limits) -> _Grams:
        """Each part joins as many matrices as a worker may read, and at least two; the last is the choice."""
        fan = max(2, min(limits.reads, limits.read_bytes // (8 * updates**2)))
        levels = [tuple(columns)]
        while len(levels) == 1 or len(levels[-1]) > 1:
            before, stage = len(levels[-1]), levels[-1][0].stage + 1
            levels.append(
                tuple(
                    Part(stage=stage, number=number, first=first, last=min(first + fan, before), start=0, stop=0)
                    for number, first in enumerate(range(0, before, fan))
                )
            )
        return cls(updates, tuple(levels))

    @property
    def choice(self) -> tuple[Part, ...]:
        """The part that chooses, alone in its stage."""
        return self.levels[-1]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What is summed between the columns and the choice; often nothing."""

        def run(part: Part, inputs: Inputs) -> Result:
            return {GRAM: self.total(part, inputs)}

        return tuple(Stage(parts, run) for parts in self.levels[1:-1])

    def total(self, part: Part, inputs: Inputs) -> F64:
        """The sum of a part's matrices: exact, so it does not matter how they are joined."""
        before = self.levels[part.stage - self.levels[0][0].stage - 1]
        return summed((result[GRAM] for result in inputs.results(before[part.first : part.last])), self.updates)


@dataclass(frozen=True, slots=True)
class Rounding:
    """How values become integers: times `scale`, a power of two. `far` are the updates of which none is looked at."""

    scale: float
    far: tuple[bool, ...]
    lost_bits: int
    """Bits that the median update lacks for distances that mean anything."""

    @classmethod
    def of(cls, norms: Sequence[float], byzantine: int, elements: int) -> Rounding:
        """The rounding of updates of these L2 norms, of which so many may be hostile, of so many elements each."""
        bound = sorted(norms, reverse=True)[byzantine]
        reach = bound * (3.0 + 2.0 * math.sqrt(2 * len(norms))) * MARGIN
        far = tuple(norm > reach for norm in norms)
        if not bound:
            return cls(0.0, far, 0)
        # |round(v)| <= |v| + √elements / 2, and it has to be at most 2**25: then each distance is at most 4 * 2**50.
        bits = math.floor(math.log2((2.0**25 - math.sqrt(elements) / 2) / (reach * MARGIN)))
        typical = sorted(norm for norm in norms if norm)[(sum(norm > 0 for norm in norms) - 1) // 2]
        kept = math.floor(math.log2(typical / math.sqrt(elements))) + bits
        return cls(math.ldexp(1.0, bits), far, max(0, LEAST_BITS - kept))


def nearest(gram: F64, byzantine: int, keep: int, ties: Sequence[int], far: Sequence[bool]) -> list[int]:
    """The numbers of the `keep` updates with the lowest scores, in their own order, from their Gram matrix.

    Of equal scores those count that come first in `ties`. What is far has infinite distances.
    """
    squares = np.diag(gram)
    distances = squares[:, None] + squares[None, :] - 2.0 * gram
    distances[np.array(far)] = math.inf
    distances[:, np.array(far)] = math.inf
    neighbours = gram.shape[0] - byzantine - 2
    scores = [math.fsum(np.sort(np.delete(row, number))[:neighbours]) for number, row in enumerate(distances)]
    return sorted(sorted(ties, key=lambda number: scores[number])[:keep])


def gram_of(rows: Array, rounding: Rounding) -> F64:
    """The Gram matrix of some rows, in units of the rounding: exact, so threads may share its columns out."""
    near = [number for number, far in enumerate(rounding.far) if not far]

    def product(share: Share) -> F64:
        gram = np.zeros((len(near), len(near)))
        width = max(1, SCRATCH_BYTES // (8 * len(near)))
        scratch = np.empty(len(near) * width)
        for _, low, high in share:
            for start in range(low, high, width):
                stop = min(start + width, high)
                block = scratch[: len(near) * (stop - start)].reshape(len(near), -1)
                for row, number in zip(block, near, strict=True):
                    np.multiply(rows[number, start:stop], rounding.scale, out=row, dtype=np.float64)
                np.rint(block, out=block)
                gram += block @ block.T
        return gram

    total = np.zeros((len(rows), len(rows)))
    total[np.ix_(near, near)] = summed(side_by_side([partial(product, share) for share in shares([rows.shape[1]])]), len(near))
    return total


def summed(grams: Iterable[Array], updates: int) -> F64:
    """The sum of some Gram matrices, one after another."""
    total: F64 = np.zeros((updates, updates))
    for gram in grams:
        total += gram
    return total
