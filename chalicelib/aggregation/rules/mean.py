"""The weighted mean: FedAvg (McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
AISTATS 2017, Algorithm 1), on deltas:

    Δ = sum_k(n_k * delta_k) / sum_k(n_k)

A small algebra with one law: for any split of the clients, `merge(sums(a), sums(b)) == sums(a + b)`, to the last bit.
Float tensors (parameters and buffers such as BatchNorm's running statistics) are averaged exactly (`exact`). Integer tensors
are counters (`num_batches_tracked`): of them the largest delta counts. Booleans are kept from the base.

A clipped update (its factor is below one; Sun et al., "Can You Really Backdoor Federated Learning?", 2019) is multiplied
element by element before it meets the grid, so that the weights stay integers and the law holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chalicelib.aggregation.exact import grid_bits, round_to_grid
from chalicelib.aggregation.manifest import Entry, Manifest
from chalicelib.aggregation.plan import Part, by_clients
from chalicelib.aggregation.registry import Fetch, PseudoGradient, TooFewUpdates, aggregator
from muster.wire.arrays import Array
from muster.wire.tensors import Schema

BLOCK = 1 << 15
"""Elements that are summed at once: a working copy of 256 KiB stays in cache, and none is ever allocated a second time."""


@dataclass(frozen=True, slots=True)
class Grids:
    """Per float tensor the grid of its sum, taken from the frozen manifest alone."""

    bits: Mapping[str, int]

    @classmethod
    def of(cls, manifest: Manifest, schema: Schema, total_weight: int | None = None) -> Grids:
        """The grids for a manifest over a model's update schema; `total_weight` is the manifest's unless it is given.

        Raises:
            SumOutOfRange: a tensor's sum cannot be exact.
        """
        names = [spec.name for spec in schema if spec.is_float]
        total = manifest.total_weight if total_weight is None else total_weight
        return cls({name: grid_bits(e, total) for name, e in zip(names, manifest.exponents, strict=True)})


class Sums:
    """Exact weighted sums of some updates: float64 for float tensors, the largest delta as int64 for integer ones."""

    def __init__(self, tensors: dict[str, Array]) -> None:
        self.tensors = tensors
        self._block = np.empty(BLOCK, np.float64)

    @classmethod
    def empty(cls, schema: Schema) -> Sums:
        """The sum of no updates: zero, and for counters the smallest int64."""
        lowest = np.iinfo(np.int64).min
        return cls(
            {
                spec.name: np.zeros(spec.shape, np.float64) if spec.is_float else np.full(spec.shape, lowest, np.int64)
                for spec in schema
            }
        )

    def add(self, update: Mapping[str, Array], weight: int, grids: Grids, factor: float = 1.0) -> None:
        """Count one update, `weight` times. Its tensors have the schema's shapes; all float values are finite.

        With a `factor` below one every element is first multiplied by it.
        """
        for name, total in self.tensors.items():
            if total.dtype.kind == "i":
                np.maximum(total, update[name], out=total)
            else:
                self._add(total.reshape(-1), update[name].reshape(-1), weight, grids.bits[name], factor)

    def merge(self, other: Sums) -> None:
        """Count everything that another sum counted."""
        for name, total in self.tensors.items():
            if total.dtype.kind == "i":
                np.maximum(total, other.tensors[name], out=total)
            else:
                total += other.tensors[name]

    def over(self, total_weight: int) -> PseudoGradient:
        """The mean: one division at the end."""
        floats = {name: total / total_weight for name, total in self.tensors.items() if total.dtype.kind == "f"}
        return PseudoGradient(floats, {name: total for name, total in self.tensors.items() if total.dtype.kind == "i"})

    def _add(self, total: Array, values: Array, weight: int, bits: int, factor: float) -> None:
        for start in range(0, total.size, BLOCK):
            part = values[start : start + BLOCK]
            block = self._block[: part.size]
            np.copyto(block, part, casting="same_kind")
            if factor != 1.0:
                block *= factor
            round_to_grid(block, bits)
            if weight != 1:
                block *= weight
            total[start : start + BLOCK] += block


@aggregator("mean")
@dataclass(frozen=True, slots=True)
class Mean:
    """The exact mean, weighted by the manifest's weights."""

    def check(self, updates: int) -> None:
        """One is enough."""
        if updates < 1:
            raise TooFewUpdates("mean", 1, updates)

    def plan(self, manifest: Manifest, schema: Schema, part_bytes: int) -> tuple[Part, ...]:
        """By clients."""
        return by_clients(manifest, schema, part_bytes)

    def part(self, part: Part, manifest: Manifest, schema: Schema, fetch: Fetch) -> dict[str, Array]:
        """The sums over some of the clients."""
        grids, sums = Grids.of(manifest, schema), Sums.empty(schema)
        for entry, update in fetch(part.entries(manifest)):
            sums.add(update, manifest.weight(entry), grids, manifest.factor(entry))
        return sums.tensors

    def merge(self, manifest: Manifest, schema: Schema, results: Iterator[Mapping[str, Array]], fetch: Fetch) -> PseudoGradient:
        """The sums of all parts, over the total weight."""
        total = Sums.empty(schema)
        for result in results:
            total.merge(Sums(dict(result)))
        return total.over(manifest.total_weight)


def uniform_mean(manifest: Manifest, schema: Schema, chosen: Sequence[Entry], fetch: Fetch) -> PseudoGradient:
    """The exact mean of some of the updates, each counted once."""
    grids, sums = Grids.of(manifest, schema, len(chosen)), Sums.empty(schema)
    for entry, update in fetch(chosen):
        sums.add(update, 1, grids, manifest.factor(entry))
    return sums.over(len(chosen))
