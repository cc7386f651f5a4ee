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

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np

from muster.aggregation.exact import grid_bits, round_to_grid
from muster.aggregation.manifest import Entry, Manifest
from muster.aggregation.plan import Part, by_clients, float_elements
from muster.aggregation.registry import F64, Fetch, PseudoGradient, TooFewUpdates, Update, aggregator
from muster.wire.arrays import Array
from muster.wire.tensors import Schema, data_bytes

GROUP = 16
"""Updates that are summed at once, if there is room for so many of them."""

SCRATCH_BYTES = 4 << 20
"""The working copy of a group's block, as float64, of each thread: it stays in cache, and is made once."""

AHEAD_BYTES = 28 << 20
"""What a group of updates may hold beyond eight bytes a parameter, which is as much as the sums themselves."""

THREADS = min(2, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
"""Sums of different elements go side by side. A function of 3 GB has two cores."""


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
        self._scratch: list[F64] = []

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

    def add(
        self,
        updates: Sequence[Mapping[str, Array]],
        weights: Sequence[int],
        grids: Grids,
        factors: Sequence[float] | None = None,
        threads: int = THREADS,
    ) -> None:
        """Count some updates, each as often as its weight says. Their tensors have the schema's shapes; all float values are
        finite. An update with a factor below one is first multiplied by it, element by element.
        """
        with ThreadPoolExecutor(threads, thread_name_prefix="sums") as pool:
            for name, total in self.tensors.items():
                several = [update[name].reshape(-1) for update in updates]
                if total.dtype.kind == "i":
                    for values in several:
                        np.maximum(total.reshape(-1), values, out=total.reshape(-1))
                else:
                    rows = Rows(several, np.array(weights, np.float64), factors or [1.0] * len(updates), grids.bits[name])
                    self._add(pool, total.reshape(-1), rows, threads)

    def merge(self, other: Sums) -> None:
        """Count everything that another sum counted."""
        for name, total in self.tensors.items():
            if total.dtype.kind == "i":
                np.maximum(total, other.tensors[name], out=total)
            else:
                total += other.tensors[name]

    def over(self, total_weight: int) -> PseudoGradient:
        """The mean: one division at the end, in the place of the sums."""
        for total in self.tensors.values():
            if total.dtype.kind == "f":
                total /= total_weight
        floats = {name: total for name, total in self.tensors.items() if total.dtype.kind == "f"}
        return PseudoGradient(floats, {name: total for name, total in self.tensors.items() if total.dtype.kind == "i"})

    def take(self, updates: Iterator[Update], manifest: Manifest, schema: Schema, grids: Grids, uniform: bool = False) -> None:
        """Count updates as they come, in groups that hold no more than eight bytes a parameter and `AHEAD_BYTES`."""
        room = 8 * float_elements(schema) + AHEAD_BYTES
        size = max(1, min(GROUP, room // max(1, data_bytes(schema))))
        while group := list(islice(updates, size)):
            weights = [1 if uniform else manifest.weight(entry) for entry, _ in group]
            self.add([update for _, update in group], weights, grids, [manifest.factor(entry) for entry, _ in group])
            del group  # before the next is read

    def _add(self, pool: ThreadPoolExecutor, total: Array, rows: Rows, threads: int) -> None:
        """Add weighted rows to a flat sum: a share of its elements, and a scratch block, for each thread."""
        shares = 1 if total.size < 2 * rows.width else threads
        while len(self._scratch) < shares:
            self._scratch.append(np.empty(SCRATCH_BYTES // 8, np.float64))
        edges = np.linspace(0, total.size, shares + 1).astype(int).tolist()
        work = zip(pairwise(edges), self._scratch, strict=False)
        for done in [pool.submit(rows.add_to, total, low, high, scratch) for (low, high), scratch in work]:
            done.result()


@dataclass(frozen=True, slots=True)
class Rows:
    """One tensor of several updates, flat, with their weights and factors, and the grid of its sum."""

    values: Sequence[Array]
    weights: F64
    factors: Sequence[float]
    bits: int

    @property
    def group(self) -> int:
        """How many rows go into one matrix product."""
        return min(GROUP, len(self.values))

    @property
    def width(self) -> int:
        """How many of their elements."""
        return SCRATCH_BYTES // (8 * self.group)

    def add_to(self, total: Array, low: int, high: int, scratch: F64) -> None:
        """Add the elements from `low` up to `high` of all rows, weighted, to `total`.

        Rounding makes every product and every partial sum a whole number of grid steps below 2**53, so it does not matter how
        the matrix product orders them.
        """
        for start in range(low, high, self.width):
            stop = min(start + self.width, high)
            for first in range(0, len(self.values), self.group):
                rows = self.values[first : first + self.group]
                block = scratch[: len(rows) * (stop - start)].reshape(len(rows), stop - start)
                for number, row in enumerate(rows):
                    np.copyto(block[number], row[start:stop], casting="same_kind")
                    if self.factors[first + number] != 1.0:
                        block[number] *= self.factors[first + number]
                round_to_grid(block, self.bits)
                total[start:stop] += self.weights[first : first + len(rows)] @ block


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
        sums.take(iter(fetch(part.entries(manifest))), manifest, schema, grids)
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
    sums.take(iter(fetch(chosen)), manifest, schema, grids, uniform=True)
    return sums.over(len(chosen))
