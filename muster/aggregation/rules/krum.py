"""Krum and Multi-Krum (Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", NeurIPS
2017, §4 and the last paragraph of §5): the updates that are nearest to their nearest neighbours.

    score(i) = sum of the n - f - 2 smallest |u_i - u_j|², j ≠ i

Distances come from a Gram matrix, one matrix product instead of n² differences. The products are exact: every value is first
rounded to an integer of so few bits that even four times the sum over all elements stays below 2**53. So distances are whole
numbers, any split into ranges and any BLAS gives the same ones, and ties are true ties: of those the client with the lowest
id wins. The rounding keeps B bits below the largest value of all updates: 15 for a million parameters, 12 for 25 million.

All float tensors count, buffers too. With unlike data and a small `keep` Krum drops honest minorities; norm clipping and a
trimmed mean are the milder choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from muster.aggregation.manifest import Manifest
from muster.aggregation.plan import Part, by_parameters, float_elements, slices
from muster.aggregation.registry import F64, Fetch, PseudoGradient, TooFewUpdates, aggregator
from muster.aggregation.rules.mean import uniform_mean
from muster.wire.arrays import Array
from muster.wire.gate import ZERO_EXPONENT
from muster.wire.tensors import Schema

BLOCK = 1 << 15
"""Elements of each update that one matrix product takes."""

GRAM = "gram"
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
        """Refuse too few, by name."""
        if updates < self.needs:
            raise TooFewUpdates(type(self).__name__, self.needs, updates)
        if not 1 <= self.kept(updates) <= updates - self.byzantine - 2:
            raise TooFewUpdates(type(self).__name__, self.kept(updates) + self.byzantine + 2, updates)

    def plan(self, manifest: Manifest, schema: Schema, part_bytes: int) -> tuple[Part, ...]:
        """By parameters."""
        return by_parameters(manifest, schema, part_bytes, 8)

    def part(self, part: Part, manifest: Manifest, schema: Schema, fetch: Fetch) -> dict[str, Array]:
        """The Gram matrix over a range of elements, in units of the rounding."""
        entries, places = part.entries(manifest), list(slices(part, schema))
        rows = np.empty((len(entries), part.stop - part.start), np.float64)
        scale = _scale(manifest, schema)
        for number, (entry, update) in enumerate(fetch(entries)):
            factor = manifest.factor(entry)
            for place in places:
                row = rows[number, place.at : place.at + place.high - place.low]
                row[:] = update[place.name].reshape(-1)[place.low : place.high]
                if factor != 1.0:
                    row *= factor
                row *= scale
                np.rint(row, out=row)
        gram = np.zeros((len(entries), len(entries)))
        for start in range(0, rows.shape[1], BLOCK):
            block = rows[:, start : start + BLOCK]
            gram += block @ block.T
        return {GRAM: gram}

    def merge(self, manifest: Manifest, schema: Schema, results: Iterator[Mapping[str, Array]], fetch: Fetch) -> PseudoGradient:
        """Score every update, and average the nearest."""
        gram: F64 = np.zeros((len(manifest.entries), len(manifest.entries)))
        for result in results:
            gram += result[GRAM]
        chosen = nearest(gram, self.byzantine, self.kept(len(manifest.entries)))
        return uniform_mean(manifest, schema, [manifest.entries[number] for number in chosen], fetch)


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


def nearest(gram: F64, byzantine: int, keep: int) -> list[int]:
    """The numbers of the `keep` updates with the lowest scores, in their own order, from their Gram matrix."""
    squares = np.diag(gram)
    distances = squares[:, None] + squares[None, :] - 2.0 * gram
    neighbours = gram.shape[0] - byzantine - 2
    scores = []
    for number, row in enumerate(distances):
        others = np.sort(np.delete(row, number))
        scores.append(math.fsum(others[:neighbours]))
    return sorted(sorted(range(len(scores)), key=lambda number: (scores[number], number))[:keep])


def _scale(manifest: Manifest, schema: Schema) -> float:
    """By how much values are multiplied before they are rounded to integers."""
    bits = (53 - (8 * float_elements(schema)).bit_length()) // 2
    largest = max(manifest.exponents, default=ZERO_EXPONENT)
    return math.ldexp(1.0, bits - largest) if largest > ZERO_EXPONENT else 0.0
