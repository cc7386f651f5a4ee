"""Median and trimmed mean, coordinate by coordinate (Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal
Statistical Rates", ICML 2018, Definitions 1 and 2). Unweighted: a claim of many examples buys nothing.

All updates of a coordinate are needed at once, so the work is cut into columns (`muster.aggregation.columns`). Some of a column
are copied, transposed, and sorted along the clients: several times faster than selecting in place, because the sort then runs
over adjacent numbers.

The trimmed mean takes its grid, coordinate by coordinate, from what it keeps: from the first and the last of the sorted values
that are left. At most `trim` liars can, whatever they send, move neither of the two beyond what some honest client sent.

Counters are taken at their lower median, because the largest could be anybody's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field

from muster.aggregation.blocks import Gathering
from muster.aggregation.exact import addend_bits, anchors, quotient, round_to_grid, split
from muster.aggregation.grids import limbs_of
from muster.aggregation.manifest import Manifest
from muster.aggregation.plan import Inputs, Limits, Part, Plan, Result, Stage
from muster.aggregation.registry import F64, TooFewUpdates, aggregator
from muster.aggregation.stack import UpdateStack
from muster.aggregation.threads import Share, shares, side_by_side
from muster.wire.arrays import Array
from muster.wire.tensors import Schema

COLUMNS = 1 << 12
"""Elements whose columns are sorted at once: of 100 clients they are 1.6 MB."""

SORTED_BYTES = 128 << 20
"""What a thread may hold besides while it does so: with many clients fewer elements are sorted at once."""

SORTED_ITEM_BYTES = 24
"""What it takes of each value: a sorted copy, and a trimmed mean's two parts of what is kept."""


class Coordinatewise(ABC):
    """What all rules of this family share: everything but how a sorted column becomes a number."""

    __slots__ = ()

    @property
    @abstractmethod
    def needs(self) -> int:
        """How many updates it needs."""

    @abstractmethod
    def combine(self, ordered: Array, dtype: str) -> F64:
        """Columns (axis 0) of ordered values (axis 1, lowest first), of a tensor of this dtype, to one number each."""

    def check(self, updates: int) -> None:
        """Refuse too few, by name, instead of quietly being another rule."""
        if updates < self.needs:
            raise TooFewUpdates(type(self).__name__, self.needs, updates)

    def plan(self, manifest: Manifest, schema: Schema, limits: Limits) -> Plan:
        """Columns, each by itself; before them, in large rounds, what gathers the updates."""
        gathering = Gathering.of(manifest, schema, limits)
        at_once = max(1, min(COLUMNS, SORTED_BYTES // (SORTED_ITEM_BYTES * len(manifest.entries))))

        def run(part: Part, inputs: Inputs) -> Result:
            stack = UpdateStack.of(part, gathering, inputs)
            found: dict[str, Array] = {schema[piece.tensor].name: np.empty(len(piece)) for piece in stack.pieces}

            def combine(share: Share) -> None:
                for number, low, high in share:
                    piece = stack.pieces[number]
                    for start in range(low, high, at_once):
                        stop = min(start + at_once, high)
                        # A copy, or, where the updates lie side by side already, the stack itself: it is used once.
                        ordered = np.ascontiguousarray(stack.rows[:, piece.at + start : piece.at + stop].T)
                        ordered.sort(axis=1)
                        spec = schema[piece.tensor]
                        found[spec.name][start:stop] = self.combine(ordered, spec.dtype)

            work = shares([len(piece) for piece in stack.pieces])
            side_by_side([partial(combine, share) for share in work])
            lower = (len(manifest.entries) - 1) // 2
            return found | {name: np.sort(several, axis=0)[lower] for name, several in stack.counters.items()}

        return Plan((*gathering.stages, Stage(gathering.columns.parts, run)))


@aggregator("median")
@dataclass(frozen=True, slots=True)
class Median(Coordinatewise):
    """The middle value; of an even number the mean of the two in the middle."""

    @property
    def needs(self) -> int:
        """One."""
        return 1

    def combine(self, ordered: Array, dtype: str) -> F64:
        """Definition 1."""
        clients = ordered.shape[1]
        low, high = ordered[:, (clients - 1) // 2].astype(np.float64), ordered[:, clients // 2].astype(np.float64)
        return (low + high) * 0.5 + 0.0  # which makes of a negative zero a zero: sorting does not tell them apart


@aggregator("trimmed-mean")
@dataclass(frozen=True, slots=True)
class TrimmedMean(Coordinatewise):
    """The mean without the `trim` lowest and the `trim` highest values.

    By count, not by fraction: a fraction of few clients trims nobody, and the rule would quietly be a plain mean.
    """

    trim: Annotated[int, Field(ge=1, le=50_000)]

    @property
    def needs(self) -> int:
        """One more than it trims."""
        return 2 * self.trim + 1

    def combine(self, ordered: Array, dtype: str) -> F64:
        """Definition 2; the sums are exact, so it does not matter how numpy orders them."""
        kept = ordered[:, self.trim : ordered.shape[1] - self.trim].astype(np.float64)
        count = kept.shape[1]
        exponents = np.frexp(np.maximum(np.abs(kept[:, 0]), np.abs(kept[:, -1])))[1]
        bits = addend_bits(count)
        c = anchors(exponents.astype(np.int16), bits)[:, None]
        if limbs_of(dtype, count) == 1:
            round_to_grid(kept, c)
            mean: F64 = kept.sum(axis=1) / count
            return mean
        rounded = np.empty_like(kept)
        split(kept, c, bits, rounded)
        return quotient(rounded.sum(axis=1), kept.sum(axis=1), count)
