"""Values and what each encoding makes of them: how a writer writes them (nearest, ties to even), and what a reader reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from muster.conformance.vectors.files import shown
from muster.wire.arrays import DTYPES, Array, decode, schema_of
from muster.wire.encodings import ENCODINGS, Encoding, encoded_schema
from muster.wire.tensors import HEADER_LIMIT_BYTES
from muster.wire.values import decode_update, encode_update

_VALUES: Mapping[str, tuple[Sequence[float], tuple[int, ...]]] = {
    "a scalar": ([0.3], ()),
    "no elements": ([], (0,)),
    "no elements in two dimensions": ([], (0, 3)),
    "zeros of both signs": ([0.0, -0.0], (2,)),
    "only zeros": ([0.0] * 3, (3,)),
    "ties of float16, to even": ([1 + 2**-11, 1 + 3 * 2**-11, 2049.0, 2051.0, -2049.0], (5,)),
    "ties of bfloat16, to even": ([1 + 2**-8, 1 + 3 * 2**-8, -(1 + 2**-8), 257.0, 259.0], (5,)),
    "just beside the ties": ([1 + 2**-11 + 2**-23, 1 + 2**-11 - 2**-23, 1 + 2**-8 + 2**-23, 1 + 2**-8 - 2**-23], (4,)),
    "subnormals of float16": ([2.0**-24, 2.0**-25, 1.5 * 2.0**-24, -(2.0**-24), 2.0**-26, 2.0**-14], (6,)),
    "subnormals of float32": ([2.0**-149, -(2.0**-149), 2.0**-126, 2.0**-133], (4,)),
    "the largest of float16": ([65504.0, 65519.0, -65504.0], (3,)),
    "ties of int8, to even": ([127.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5], (7,)),
    "one outlier in a block": ([1000.0, 1.0, -3.0, 4.0, 0.001], (5,)),
    "rows and columns": ([0.1, 0.2, 0.3, -0.4, -0.5, -0.6], (2, 3)),
}


def written() -> Iterator[dict[str, Any]]:
    """All of them."""
    for about, (values, shape) in _VALUES.items():
        for dtype in ("F32", "F64"):
            for encoding in ENCODINGS:
                if dtype == "F32" or encoding in ("float32", "int8"):
                    yield _encoded(about, encoding, np.array(values, DTYPES[dtype]).reshape(shape))
    yield _encoded("one element more than a block", "int8", ((np.arange(1025) % 255 - 127) / 100).astype(np.float32))


def _encoded(about: str, encoding: Encoding, values: Array) -> dict[str, Any]:
    tensors = {"w": values}
    file = encode_update(tensors, encoding)
    found = decode(file, HEADER_LIMIT_BYTES)
    like = {"w": values.astype(np.float64)}
    read = decode_update(found, like)["w"]
    schema = encoded_schema(schema_of(tensors), encoding)
    written = [{**shown(spec), "bytes": found[spec.name].tobytes().hex()} for spec in schema]
    return {
        "about": about,
        "encoding": encoding,
        "dtype": schema_of(tensors)[0].dtype,
        "shape": list(values.shape),
        "values": values.tobytes().hex(),
        "tensors": written,
        "read": np.ascontiguousarray(read, np.float64).tobytes().hex(),
    }
