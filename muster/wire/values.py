"""The values of an encoded update (`encodings`): written by a device, read by the aggregation, block by block.

The value of an `int8` element is the product of its number and its scale, exact in float64; a narrower float's is itself.
Reading is element-wise, so it gives the same bits on every machine.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muster.wire.arrays import DTYPES, Array, schema_of, write
from muster.wire.encodings import BLOCK, SCALE, Encoding, blocks, encoded_schema
from muster.wire.tensors import TensorSpec

BF16 = DTYPES["BF16"]
LARGEST = 127
"""The largest number that `int8` is written with."""


@dataclass(frozen=True, slots=True)
class Values:
    """Some elements of one tensor, flat, as they lie in the file; the first one begins a block.

    `raw` has a float or integer dtype, or holds the bits of bfloat16, or int8 numbers that go with `scales` (float32, one for
    each `BLOCK` of them).
    """

    raw: Array
    scales: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return self.raw.size

    def plain(self, start: int, stop: int) -> Array | None:
        """The values of some elements as they lie in the file, if they are float32 or float64 there."""
        return self.raw[start:stop] if self.scales is None and self.raw.dtype in (np.float32, np.float64) else None

    def into(self, out: Array, start: int = 0) -> None:
        """Write the values from `start` on, which begins a block, to a flat array, as many as it takes: float64, or float32
        where the model has nothing wider.
        """
        raw = self.raw[start : start + out.size]
        if self.scales is not None:
            _scaled_into(out, raw, self.scales[start // BLOCK : blocks(start + out.size)])
        elif raw.dtype == BF16:
            wide = _scratch(out.size)
            np.copyto(wide, raw)
            np.left_shift(wide, 16, out=wide)
            np.copyto(out, wide.view(np.float32))
        else:
            np.copyto(out, raw, casting="same_kind")


def _scaled_into(out: Array, raw: Array, scales: Array) -> None:
    whole = raw.size // BLOCK * BLOCK
    for start, stop in ((0, whole), (whole, raw.size)):
        if start < stop:
            shape = (-1, min(BLOCK, stop - start))
            rows = out[start:stop].reshape(shape)
            np.copyto(rows, raw[start:stop].reshape(shape))  # and then in place: twice as fast as one product of two dtypes
            rows *= scales[start // BLOCK : blocks(stop), None]


_kept = threading.local()


def _scratch(count: int) -> npt.NDArray[np.uint32]:
    """Memory of this thread's own: made once, because fresh memory costs more than what is done with it."""
    if not hasattr(_kept, "memory") or _kept.memory.size < count:
        _kept.memory = np.empty(count, np.uint32)
    found: npt.NDArray[np.uint32] = _kept.memory[:count]
    return found


def encode_update(tensors: Mapping[str, Array], encoding: Encoding) -> bytes:
    """The file of an update: every float and integer tensor of it, in this encoding (nearest values, ties to even).

    A float that the encoding cannot hold becomes its infinity, which the gate refuses.

    Raises:
        NotEncodable: the model has no update in this encoding.
    """
    specs = encoded_schema(schema_of(tensors), encoding)
    written: dict[str, Array] = {}
    for spec in specs:
        if spec.name in tensors:
            written |= _narrowed(spec, tensors[spec.name])
    return write(specs, written)


def decode_update(tensors: Mapping[str, Array], like: Mapping[str, Array]) -> dict[str, Array]:
    """The values of an encoded update's arrays, in the dtypes and shapes of `like`."""
    decoded: dict[str, Array] = {}
    for name, model in like.items():
        flat = np.empty(model.size, np.float64 if model.dtype.kind == "f" else model.dtype)
        Values(tensors[name].reshape(-1), tensors.get(SCALE + name)).into(flat)
        decoded[name] = flat.astype(model.dtype).reshape(model.shape)
    return decoded


def _narrowed(spec: TensorSpec, values: Array) -> dict[str, Array]:
    if values.dtype.kind != "f":
        return {spec.name: values}
    with np.errstate(over="ignore", invalid="ignore"):
        if spec.dtype == "I8":
            numbers, scales = _quantised(values.reshape(-1))
            return {spec.name: numbers.reshape(spec.shape), SCALE + spec.name: scales}
        if spec.dtype != "BF16":
            return {spec.name: values.astype(DTYPES[spec.dtype])}
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    # Adding just less than half of the last bit that stays, or, where that bit is odd, half of it: to nearest, ties to even.
    bits = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return {spec.name: (bits >> np.uint32(16)).astype(BF16)}


def _quantised(flat: Array) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    padded = np.zeros(blocks(flat.size) * BLOCK, np.float64)
    padded[: flat.size] = flat
    rows = padded.reshape(-1, BLOCK)
    scales = (np.abs(rows).max(axis=1, initial=0.0) / LARGEST).astype(np.float32)
    divisor = np.where(scales > 0, scales, np.float32(1.0)).astype(np.float64)
    numbers = np.clip(np.rint(rows / divisor[:, None]), -LARGEST, LARGEST).astype(np.int8)
    return numbers.reshape(-1)[: flat.size], scales
