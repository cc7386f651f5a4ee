"""Tensor files as numpy arrays, with one byte sequence for one set of tensors.

The writer is ours rather than a library's because a version *is* its bytes: the order of tensors, the spacing of the
header and the padding may never depend on the release of a package. Files are plain safetensors and any reader takes them
(a test holds both directions against the `safetensors` package).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from muster.wire.reasons import Reason
from muster.wire.tensors import MODEL_DTYPES, Header, Schema, TensorSpec, Unfit, build_header, canonical, parse_header

Array = npt.NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "BF16": np.dtype("<u2"),
    "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
"""numpy's dtype of each of a file's. numpy has no bfloat16: its arrays hold the bits."""

_NAMES = {DTYPES[name]: name for name in MODEL_DTYPES}


def schema_of(tensors: Mapping[str, Array]) -> Schema:
    """The schema of some arrays, in canonical order.

    Raises:
        TypeError: an array has a dtype that no model may hold (say complex, or object).
    """
    specs = []
    for name, array in tensors.items():
        dtype = _NAMES.get(array.dtype.newbyteorder("<"))
        if dtype is None:
            raise TypeError(f"tensor {name!r}: expected one of {', '.join(sorted(MODEL_DTYPES))}, got {array.dtype}")
        specs.append(TensorSpec(name=name, dtype=dtype, shape=array.shape))
    return canonical(specs)


def encode(tensors: Mapping[str, Array], buffers: Collection[str] = ()) -> bytes:
    """The one file that holds these arrays (any shapes; the dtypes of a model), and says which of them are buffers."""
    schema = schema_of(tensors)
    return write(tuple(replace(spec, is_buffer=spec.name in buffers) for spec in schema), tensors)


def write(schema: Schema, tensors: Mapping[str, Array]) -> bytes:
    """The file of this schema, in its order, with these arrays."""
    arrays = [np.ascontiguousarray(tensors[spec.name], dtype=DTYPES[spec.dtype]) for spec in schema]
    return b"".join([build_header(schema), *(array.reshape(-1).view(np.uint8).data for array in arrays)])


def decode(data: bytes | bytearray | memoryview, limit: int) -> dict[str, Array]:
    """The arrays of a file, as read-only views of `data` where it is read-only; `limit` bounds the header in bytes.

    Raises:
        Unfit: the header is not acceptable, or the file is not exactly as long as it says.
    """
    view = memoryview(data)
    return dict(views(view, parse_header(view, limit)))


def views(data: memoryview, header: Header) -> Iterator[tuple[str, Array]]:
    """Name and array of each tensor, in the order of the file, without a copy.

    Raises:
        Unfit: `wrong-length`, when the file is not exactly as long as its header says.
    """
    if len(data) != header.total_bytes:
        raise Unfit(Reason.WRONG_LENGTH, f"{header.total_bytes} bytes", f"{len(data)} bytes")
    cursor = header.data_start
    for spec in header.specs:
        array = np.frombuffer(data, DTYPES[spec.dtype], spec.elements, cursor)
        yield spec.name, array.reshape(spec.shape)
        cursor += spec.nbytes
