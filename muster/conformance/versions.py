"""The checkpoints of the walk: one to begin with, and others that follow from it, with deltas between them."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from muster.wire.arrays import Array, decode, encode, schema_of
from muster.wire.deltas import DeltaEnds, encode_delta
from muster.wire.refs import digest
from muster.wire.tensors import HEADER_LIMIT_BYTES, Schema, update_schema

STEP = 0.01


def toy() -> bytes:
    """A model that no device knows, with one of everything that a device must be able to write."""
    rng = np.random.default_rng(20260101)
    return encode({
        "layer.weight": rng.normal(0, 0.1, (3, 4)).astype(np.float32),
        "layer.bias": np.zeros(3, np.float32),
        "embedding": rng.normal(0, 0.1, (40, 32)).astype(np.float32),  # 1,280 elements: more than a block of int8
        "temperature": np.array(0.5, np.float32),
        "unused": np.empty((0, 3), np.float32),
        "half": np.array([0.25, -0.5], np.float16),
        "double": np.array([0.1, -0.1]),
        "größe": np.array([1.0], np.float32),
        "norm.num_batches_tracked": np.array(5, np.int64),
        "mask": np.array([True, False]),
    })  # fmt: skip


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """A checkpoint, and the delta that leads to it from the version before."""

    number: int
    data: bytes
    delta: bytes
    """Empty for the first one."""

    @property
    def sha256(self) -> str:
        """Digest (hex) of the checkpoint."""
        return digest(self.data)


class ServedVersions:
    """The versions of one model, made as they are needed."""

    def __init__(self, first: bytes) -> None:
        """`first` is a tensor file of any model.

        Raises:
            Unfit: it is not one.
        """
        tensors = decode(first, HEADER_LIMIT_BYTES)
        self.update: Schema = update_schema(schema_of(tensors))
        """What an update of the model holds."""
        self._made = [ServedVersion(1, first, b"")]

    def __getitem__(self, number: int) -> ServedVersion:
        """A version by its number, from 1 on."""
        while len(self._made) < number:
            self._made.append(_next(self._made[-1]))
        return self._made[number - 1]

    def wild(self, number: int) -> ServedVersion:
        """A version whose floats are as large as its dtypes hold, or 1e30: finite, and nothing measured on it may be."""
        tensors = decode(self[number].data, HEADER_LIMIT_BYTES)
        data = encode({name: _wild(array) if array.dtype.kind == "f" else array for name, array in tensors.items()})
        return ServedVersion(number, data, b"")


def _wild(array: Array) -> Array:
    return np.full_like(array, min(1e30, float(np.finfo(array.dtype).max)))


def _next(last: ServedVersion) -> ServedVersion:
    """Trained a little: every float moved by a small step, every counter by one."""
    tensors = decode(last.data, HEADER_LIMIT_BYTES)
    data = encode({name: _moved(array, last.number) for name, array in tensors.items()})
    ends = DeltaEnds(last.sha256, digest(data), len(data))
    return ServedVersion(last.number + 1, data, b"".join(encode_delta(io.BytesIO(last.data), io.BytesIO(data), ends)))


def _moved(array: Array, number: int) -> Array:
    if array.dtype.kind == "f":
        array = array + STEP * np.cos(np.arange(array.size) + number).reshape(array.shape).astype(array.dtype)
    elif array.dtype.kind in "iu":
        array = array + (array < np.iinfo(array.dtype).max)
    return array
