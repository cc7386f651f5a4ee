"""Krum and Multi-Krum (Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", NeurIPS
2017, §4 and the last paragraph of §5): the updates that are nearest to their nearest neighbours.

    score(i) = sum of the n - f - 2 smallest |u_i - u_j|², j ≠ i

Distances come from a Gram matrix, one matrix product instead of n² differences. The products are exact: every value is first
rounded to an integer of so few bits that even four times the sum over all elements stays below 2**53. So distances are whole
numbers, any split into ranges and any BLAS gives the same ones, and ties are true ties: of those the client with the lowest
id wins. The rounding keeps B bits below the largest value of all updates: 15 for a million parameters, 12 for 25 million.

All float tensors count, buffers too. With unlike data and a small `keep` Krum drops honest minorities. The matrix has n²
numbers, so n is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field

from muster.aggregation.manifest import Manifest
from muster.aggregation.plan import Inputs, Limits, Part, Plan, Result, Stage, columns
from muster.aggregation.registry import F64, TooFewUpdates, TooManyUpdates, aggregator
from muster.aggregation.rules.mean import SCRATCH_BYTES, Averaged, averaging
from muster.aggregation.stack import Stack, dtype_of
from muster.aggregation.threads import Share, shares, side_by_side
from muster.wire.arrays import Array
from muster.wire.gate import ZERO_EXPONENT
from muster.wire.tensors import ITEM_BYTES, Schema

MOST_UPDATES = 2_000
"""Of so many the matrix takes 32 MB."""

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
        """A Gram matrix for each range of elements; the choice, from their sum; the mean of the chosen."""
        count = len(manifest.entries)
        element_bytes = max(ITEM_BYTES[spec.dtype] for spec in schema)
        grams = columns(schema, count, element_bytes, limits, dtype_of(schema).itemsize)
        choice = Part(1, 0, 0, len(grams), 0, 0)

        def gram(part: Part, inputs: Inputs) -> Result:
            return {GRAM: gram_of(Stack.of(part, manifest, schema, inputs).rows, scale_of(manifest, schema))}

        def choose(part: Part, inputs: Inputs) -> Result:
            total = summed((result[GRAM] for result in inputs.results(grams)), count)
            return {CHOSEN: np.array(nearest(total, self.byzantine, self.kept(count)), np.int64)}

        def chosen(inputs: Inputs) -> Averaged:
            numbers = next(iter(inputs.results([choice])))[CHOSEN].tolist()
            return Averaged(tuple(manifest.entries[number] for number in numbers), (1,) * len(numbers))

        means = averaging(manifest, schema, limits, 2, self.kept(count), chosen)
        return Plan((Stage(grams, gram), Stage((choice,), choose), *means))


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


def gram_of(rows: Array, scale: float) -> F64:
    """The Gram matrix of some rows, in units of the rounding: exact, so threads may share its columns out."""

    def product(share: Share) -> F64:
        gram = np.zeros((len(rows), len(rows)))
        width = max(1, SCRATCH_BYTES // (8 * len(rows)))
        scratch = np.empty(len(rows) * width)
        for _, low, high in share:
            for start in range(low, high, width):
                stop = min(start + width, high)
                block = scratch[: len(rows) * (stop - start)].reshape(len(rows), -1)
                np.multiply(rows[:, start:stop], scale, out=block, dtype=np.float64)
                np.rint(block, out=block)
                gram += block @ block.T
        return gram

    return summed(side_by_side([partial(product, share) for share in shares([rows.shape[1]])]), len(rows))


def summed(grams: Iterable[Array], updates: int) -> F64:
    """The sum of some Gram matrices, one after another."""
    total: F64 = np.zeros((updates, updates))
    for gram in grams:
        total += gram
    return total


def scale_of(manifest: Manifest, schema: Schema) -> float:
    """By how much values are multiplied before they are rounded to integers."""
    floats = sum(spec.elements for spec in schema if spec.is_float)
    bits = (53 - (8 * floats).bit_length()) // 2
    largest = max(manifest.exponents, default=ZERO_EXPONENT)
    return math.ldexp(1.0, bits - largest) if largest > ZERO_EXPONENT else 0.0
