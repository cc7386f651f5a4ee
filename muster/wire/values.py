"""The values of an encoded update (`encodings`): written by a device, read by the aggregation, block by block.

The value of an `int8` element is the product of its number and its scale, exact in float64; a narrower float's is itself.
Reading is element-wise, so it gives the same bits on every machine.
"""

from __future__ import annotations

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

    def cut(self, start: int, stop: int) -> Values:
        """The elements from `start`, which begins a block, up to `stop`."""
        scales = None if self.scales is None else self.scales[start // BLOCK : blocks(stop)]
        return Values(self.raw[start:stop], scales)

    def into(self, out: Array) -> None:
        """Write the values to a flat array of the same length, float64, or float32 where the model has nothing wider."""
        if self.scales is not None:
            self._scaled_into(out)
        elif self.raw.dtype == BF16:
            wide = out if out.dtype.itemsize == 4 else np.empty(out.size, np.float32)
            halves = wide.view(BF16).reshape(-1, 2)
            halves[:, 0] = 0
            halves[:, 1] = self.raw
            if wide is not out:
                out[:] = wide
        else:
            np.copyto(out, self.raw, casting="same_kind")

    def _scaled_into(self, out: Array) -> None:
        if self.scales is None:
            raise AssertionError("only int8 has scales")
        whole = self.raw.size // BLOCK
        for start, stop, scales in (
            (0, whole * BLOCK, self.scales[:whole, None]),
            (whole * BLOCK, self.raw.size, self.scales[whole:, None]),
        ):
            shape = (-1, min(BLOCK, max(1, stop - start)))
            np.multiply(self.raw[start:stop].reshape(shape), scales, out=out[start:stop].reshape(shape), dtype=out.dtype)


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
    if spec.dtype == "I8":
        numbers, scales = _quantised(values.reshape(-1))
        return {spec.name: numbers.reshape(spec.shape), SCALE + spec.name: scales}
    with np.errstate(over="ignore"):
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
