"""The weighted mean: FedAvg (McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
AISTATS 2017, Algorithm 1), on deltas:

    w' = w + eta * sum_k(n_k * delta_k) / sum_k(n_k)

A small algebra with one law: for any split of the clients, `merge(sums(a), sums(b)) == sums(a + b)`, to the last bit.
Float tensors (parameters and buffers such as BatchNorm's running statistics) are averaged exactly (`exact`). Integer tensors
are counters (`num_batches_tracked`): of them the largest delta counts. Booleans are kept from the base.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chalicelib.aggregation.exact import grid_bits, round_to_grid
from chalicelib.aggregation.manifest import Manifest
from muster.wire.arrays import Array
from muster.wire.tensors import Schema


@dataclass(frozen=True, slots=True)
class Grids:
    """Per float tensor the grid of its sum, taken from the frozen manifest alone."""

    bits: Mapping[str, int]

    @classmethod
    def of(cls, manifest: Manifest, schema: Schema) -> Grids:
        """The grids for a manifest over a model's update schema.

        Raises:
            SumOutOfRange: a tensor's sum cannot be exact.
        """
        names = [spec.name for spec in schema if spec.is_float]
        total = manifest.total_weight
        return cls({name: grid_bits(e, total) for name, e in zip(names, manifest.exponents, strict=True)})


class Sums:
    """Exact weighted sums of some updates: float64 for float tensors, the largest delta as int64 for integer ones."""

    def __init__(self, tensors: dict[str, Array]) -> None:
        self.tensors = tensors

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

    def add(self, update: Mapping[str, Array], weight: int, grids: Grids) -> None:
        """Count one update, `weight` times. Its tensors have the schema's shapes; all float values are finite."""
        for name, total in self.tensors.items():
            if total.dtype.kind == "i":
                np.maximum(total, update[name], out=total)
            else:
                values = update[name].astype(np.float64)
                round_to_grid(values, grids.bits[name])
                values *= weight
                total += values

    def merge(self, other: Sums) -> None:
        """Count everything that another sum counted."""
        for name, total in self.tensors.items():
            if total.dtype.kind == "i":
                np.maximum(total, other.tensors[name], out=total)
            else:
                total += other.tensors[name]


def apply(base: Mapping[str, Array], sums: Sums, total_weight: int, server_learning_rate: float) -> dict[str, Array]:
    """The new model: every tensor of the base, moved by the mean delta, cast once to the base's dtype.

    Element-wise IEEE operations in float64, so the result has the same bits on every CPU. A value that does not fit a
    narrow float dtype becomes its infinity; the caller refuses such a model.
    """
    moved: dict[str, Array] = {}
    for name, tensor in base.items():
        if name not in sums.tensors:
            moved[name] = tensor
        elif tensor.dtype.kind == "f":
            mean = sums.tensors[name] / total_weight
            with np.errstate(over="ignore"):
                moved[name] = (tensor.astype(np.float64) + server_learning_rate * mean).astype(tensor.dtype)
        else:
            moved[name] = _count_up(tensor, sums.tensors[name])
    return moved


def _count_up(base: Array, delta: Array) -> Array:
    """`base + delta` in base's integer dtype, held at its ends instead of wrapping round."""
    limits = np.iinfo(base.dtype)
    wide = base.astype(object) + delta.astype(object)
    held: Array = np.clip(wide, limits.min, limits.max).astype(base.dtype)
    return held
