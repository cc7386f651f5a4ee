"""Median and trimmed mean, coordinate by coordinate (Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal
Statistical Rates", ICML 2018, Definitions 1 and 2). Unweighted: a claim of many examples buys nothing.

All updates of a coordinate are needed at once, so the work is cut by parameters. A block of columns is copied, transposed, and
sorted along the clients: several times faster than selecting in place, because the sort then runs over adjacent numbers.

Counters are taken at their lower median, because the largest could be anybody's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from muster.aggregation.exact import grid_bits, round_to_grid
from muster.aggregation.manifest import Manifest
from muster.aggregation.plan import Part, by_parameters, float_elements, slices
from muster.aggregation.registry import F64, Fetch, PseudoGradient, TooFewUpdates, aggregator
from muster.wire.arrays import DTYPES, Array
from muster.wire.tensors import Schema

BLOCK = 1 << 12
"""Columns that are sorted at once: 100 clients of them are 1.6 MB."""

COUNTER = "counter/"
VALUES = "values"


class Coordinatewise(ABC):
    """What all rules of this family share: everything but how a sorted column becomes a number."""

    __slots__ = ()

    @property
    @abstractmethod
    def needs(self) -> int:
        """How many updates it needs."""

    @abstractmethod
    def combine(self, ordered: Array, exponent: int) -> F64:
        """Columns (axis 0) of ordered values (axis 1, lowest first), all below 2**exponent, to one number each."""

    def check(self, updates: int) -> None:
        """Refuse too few, by name, instead of quietly being another rule."""
        if updates < self.needs:
            raise TooFewUpdates(type(self).__name__, self.needs, updates)

    def plan(self, manifest: Manifest, schema: Schema, part_bytes: int) -> tuple[Part, ...]:
        """By parameters."""
        return by_parameters(manifest, schema, part_bytes, _dtype(schema).itemsize)

    def part(self, part: Part, manifest: Manifest, schema: Schema, fetch: Fetch) -> dict[str, Array]:
        """The combined values of a range of elements; the first part has the counters too."""
        entries, places = part.entries(manifest), list(slices(part, schema))
        rows = np.empty((len(entries), part.stop - part.start), _dtype(schema))
        counters: dict[str, list[Array]] = {}
        for number, (entry, update) in enumerate(fetch(entries)):
            factor = manifest.factor(entry)
            for place in places:
                row = rows[number, place.at : place.at + place.high - place.low]
                row[:] = update[place.name].reshape(-1)[place.low : place.high]
                if factor != 1.0:
                    np.copyto(row, row.astype(np.float64) * factor, casting="same_kind")
            if part.index == 0:
                for spec in schema:
                    if spec.is_integer:
                        counters.setdefault(spec.name, []).append(update[spec.name].astype(np.int64))
        values = np.empty(part.stop - part.start, np.float64)
        for place in places:
            for start in range(place.at, place.at + place.high - place.low, BLOCK):
                stop = min(start + BLOCK, place.at + place.high - place.low)
                ordered = np.ascontiguousarray(rows[:, start:stop].T)
                ordered.sort(axis=1)
                values[start:stop] = self.combine(ordered, manifest.exponents[place.tensor])
        lower = (len(entries) - 1) // 2
        middles = {COUNTER + name: np.sort(np.stack(several), axis=0)[lower] for name, several in counters.items()}
        return {VALUES: values, **middles}

    def merge(self, manifest: Manifest, schema: Schema, results: Iterator[Mapping[str, Array]], fetch: Fetch) -> PseudoGradient:
        """The ranges, put one after another."""
        values, counters, at = np.empty(float_elements(schema), np.float64), dict[str, Array](), 0
        for result in results:
            values[at : at + result[VALUES].size] = result[VALUES]
            at += result[VALUES].size
            counters |= {name.removeprefix(COUNTER): array for name, array in result.items() if name.startswith(COUNTER)}
        floats, at = dict[str, Array](), 0
        for spec in schema:
            if spec.is_float:
                floats[spec.name] = values[at : at + spec.elements].reshape(spec.shape)
                at += spec.elements
        return PseudoGradient(floats, counters)


@aggregator("median")
@dataclass(frozen=True, slots=True)
class Median(Coordinatewise):
    """The middle value; of an even number the mean of the two in the middle."""

    @property
    def needs(self) -> int:
        """One."""
        return 1

    def combine(self, ordered: Array, exponent: int) -> F64:
        """Definition 1."""
        clients = ordered.shape[1]
        low, high = ordered[:, (clients - 1) // 2].astype(np.float64), ordered[:, clients // 2].astype(np.float64)
        return (low + high) * 0.5


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

    def combine(self, ordered: Array, exponent: int) -> F64:
        """Definition 2; the sum is exact, so it does not depend on how numpy orders it."""
        kept = ordered[:, self.trim : ordered.shape[1] - self.trim].astype(np.float64)
        round_to_grid(kept, grid_bits(exponent, kept.shape[1]))
        mean: F64 = kept.sum(axis=1) / kept.shape[1]
        return mean


def _dtype(schema: Schema) -> np.dtype[np.float64] | np.dtype[np.float32]:
    """Wide enough for every float tensor of the schema, exactly."""
    wide = any(DTYPES[spec.dtype].itemsize > 4 for spec in schema if spec.is_float)
    return np.dtype(np.float64) if wide else np.dtype(np.float32)
