"""Tensor files, good and bad, each with the word of docs/protocol.md, section 6, that the server rejects it with."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from muster.wire.arrays import DTYPES, Array, decode, schema_of, write
from muster.wire.encodings import ENCODINGS, Encoding, encoded_schema
from muster.wire.tensors import HEADER_LIMIT_BYTES, Schema, TensorSpec, canonical, header_limit, update_schema
from muster.wire.values import encode_update

Tensors = dict[str, Array]

SMALL: Schema = canonical(
    (
        TensorSpec(name="steps", dtype="I64", shape=()),
        TensorSpec(name="layer.weight", dtype="F32", shape=(2, 3)),
        TensorSpec(name="layer.bias", dtype="F32", shape=(3,)),
        TensorSpec(name="empty", dtype="F32", shape=(0,)),
        TensorSpec(name="scalar", dtype="F32", shape=()),
        TensorSpec(name="mask", dtype="BOOL", shape=(2,)),
    )
)
"""A model with one of everything: a counter, parameters, a tensor without elements, one without dimensions, booleans."""

WIDE: Schema = canonical(
    (
        TensorSpec(name="w", dtype="F64", shape=(2,)),
        TensorSpec(name="\U0001f40c größe", dtype="F16", shape=(2,)),
        TensorSpec(name="ｗ", dtype="F16", shape=(2,)),
    )
)
"""Other dtypes, and names beyond ASCII: ｗ (U+FF57) comes before the snail (U+1F40C) by code points, after it in UTF-16."""

LONG: Schema = (TensorSpec(name="w", dtype="F32", shape=(1025,)),)
"""One element more than a block."""

MODELS: Mapping[str, Schema] = {"small": SMALL, "wide": WIDE, "long": LONG}


def _file(
    name: str, model: str, encoding: Encoding, data: bytes, word: str | None, about: str, sha256: str = ""
) -> dict[str, Any]:
    return {
        "name": name,
        "about": about,
        "model": model,
        "encoding": encoding,
        "word": word,
        "sha256": sha256 or hashlib.sha256(data).hexdigest(),
        "bytes": data.hex(),
    }


def update(model: str, seed: int = 0) -> Tensors:
    """An update of a model: small numbers, exact in every encoding's dtype."""
    made: Tensors = {}
    for spec in update_schema(MODELS[model]):
        values = (np.arange(spec.elements) * 7 + seed) % 13 - 6
        scaled = values / 64 if spec.is_float else values
        made[spec.name] = scaled.astype(DTYPES[spec.dtype]).reshape(spec.shape)
    return made


def good() -> Iterator[dict[str, Any]]:
    """Files that are updates."""
    for model in MODELS:
        for encoding in ENCODINGS:
            data = encode_update(update(model), encoding)
            yield _file(f"{model}-{encoding}", model, encoding, data, None, f"an update of {model} in {encoding}")
    header, data = _parts(update("small"))
    spaced = json.dumps(header, indent=1).encode() + b"   "
    yield _file("header-with-spaces", "small", "plain", _joined(spaced, data), None, "how the header's JSON is spaced is free")
    meant = json.dumps({"__metadata__": {"made by": "hand"}, **header}).encode()
    yield _file("metadata", "small", "plain", _joined(meant, data), None, "__metadata__ maps strings to strings")
    backwards = json.dumps(dict(reversed(header.items()))).encode()
    yield _file(
        "entries-in-any-order",
        "small",
        "plain",
        _joined(backwards, data),
        None,
        "the order of the data counts, not that of the JSON",
    )
    escaped, wide = _parts(update("wide"))
    yield _file(
        "escaped-names",
        "wide",
        "plain",
        _joined(json.dumps(escaped).encode(), wide),
        None,
        "names may be written with \\u escapes",
    )
    zeros = {name: np.zeros_like(array) for name, array in update("small").items()}
    yield _file("zeros", "small", "plain", whole(zeros), None, "an update of zeros is one")
    odd = _with("layer.bias", [-0.0, 2.0**-149, -(2.0**-126)])
    yield _file(
        "subnormals", "small", "plain", whole(odd), None, "negative zero, the smallest float32, the smallest normal one"
    )
    tensors = decode(encode_update(update("small"), "int8"), HEADER_LIMIT_BYTES)
    lowest = np.array([-128, 127, 0], np.int8)
    lowest_file = write(encoded_schema(update_schema(SMALL), "int8"), {**tensors, "layer.bias": lowest})
    yield _file("int8-lowest", "small", "int8", lowest_file, None, "-128 is taken")


def bad() -> Iterator[dict[str, Any]]:
    """Files that are none, each for one reason."""
    header, data = _parts(update("small"))
    fit = _joined(_compact(header), data)

    def unfit(
        name: str, word: str, file: bytes, about: str, model: str = "small", encoding: Encoding = "plain"
    ) -> dict[str, Any]:
        return _file(name, model, encoding, file, word, about)

    def changed(change: Callable[[dict[str, Any]], object], content: bytes = data) -> bytes:
        made = json.loads(json.dumps(header))
        change(made)
        return _joined(_compact(made), content)

    limit = header_limit(update_schema(SMALL))
    yield unfit(
        "too-long-header", "oversized-header", _joined(_compact(header).ljust(limit + 1), data), f"more than {limit} bytes"
    )
    yield unfit("absurd-length", "oversized-header", struct.pack("<Q", 2**63) + fit[8:], "a length of 2^63")
    yield unfit("gzip", "oversized-header", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03" + fit[10:], "gzip")
    yield unfit("pickle", "oversized-header", b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00" + fit[11:], "a pickle")

    yield unfit("no-json", "bad-header", _joined(b"{" * 40, data), "no JSON")
    yield unfit("no-utf-8", "bad-header", _joined(_compact(header).replace(b"scalar", b"sc\xffl\xffr"), data), "no UTF-8")
    yield unfit("no-object", "bad-header", _joined(b"[]", b""), "JSON, and no object")
    twice = _compact(header)[:-1] + b',"scalar":' + _compact(header["scalar"]) + b"}"
    yield unfit("key-twice", "bad-header", _joined(twice, data), "a tensor's key is there twice")
    yield unfit(
        "metadata-number", "bad-header", changed(lambda h: h.update({"__metadata__": {"a": 1}})), "__metadata__ with a number"
    )
    yield unfit("more-members", "bad-header", changed(lambda h: h["scalar"].update(more=1)), "a tensor with a fourth member")
    yield unfit("fewer-members", "bad-header", changed(lambda h: h["scalar"].pop("shape")), "a tensor without its shape")
    yield unfit("shape-of-fractions", "bad-header", changed(lambda h: h["layer.bias"].update(shape=[3.0])), "3.0 for 3")
    yield unfit("negative-shape", "bad-header", changed(lambda h: h["layer.bias"].update(shape=[-3])), "-3 as a dimension")
    yield unfit(
        "surrogate", "bad-header", _joined(_compact(header).replace(b"scalar", b"\\ud800"), data), "a lone surrogate as a name"
    )

    def later(made: dict[str, Any]) -> None:
        last = max(made.values(), key=lambda entry: entry["data_offsets"][1])
        last["data_offsets"] = [offset + 4 for offset in last["data_offsets"]]

    yield unfit("gap", "bad-header", changed(later, data[:-4] + bytes(4) + data[-4:]), "four bytes that belong to no tensor")
    begins = lambda h: h["layer.weight"].update(data_offsets=h["layer.bias"]["data_offsets"])  # noqa: E731
    yield unfit("overlap", "bad-header", changed(begins), "two tensors in the same bytes")
    shorter = lambda h: h["layer.bias"].update(shape=[2])  # noqa: E731
    yield unfit("offsets-and-shape", "bad-header", changed(shorter), "a shape of fewer bytes than the offsets say")

    yield unfit("tensor-missing", "wrong-tensors", whole(_without("scalar")), "a tensor is missing, of one element")
    yield unfit("empty-tensor-missing", "wrong-tensors", whole(_without("empty")), "a tensor is missing, of no elements")
    yield unfit("tensor-extra", "wrong-tensors", whole({**update("small"), "more": np.zeros(1, np.float32)}), "one too many")
    yield unfit(
        "booleans-sent", "wrong-tensors", whole({**update("small"), "mask": np.array([True, False])}), "booleans are left out"
    )
    renamed = whole({**_without("scalar"), "Scalar": np.array(0, np.float32)})
    yield unfit("tensor-renamed", "wrong-tensors", renamed, "names differ by case")
    yield unfit("plain-for-int8", "wrong-tensors", fit, "plain where int8 was agreed: there are no scales", encoding="int8")
    as_int8 = encode_update(update("small"), "int8")
    yield unfit("int8-for-plain", "wrong-tensors", as_int8, "int8 where plain was agreed")

    halves = encode_update(update("small"), "float16")
    yield unfit("float16-for-plain", "wrong-dtype", halves, "float16 where plain was agreed")
    yield unfit("float16-for-bfloat16", "wrong-dtype", halves, "float16 where bfloat16 was agreed", encoding="bfloat16")
    yield unfit(
        "dtype-unknown", "wrong-dtype", changed(lambda h: h["scalar"].update(dtype="F8_E4M3")), "a dtype that no file has"
    )
    yield unfit(
        "counter-of-floats", "wrong-dtype", whole({**update("small"), "steps": np.array(1.0)}), "F64 where the base has I64"
    )

    flat = np.zeros(6, np.float32)
    yield unfit("flattened", "wrong-shape", whole({**update("small"), "layer.weight": flat}), "(6,) for (2, 3)")
    yield unfit("transposed", "wrong-shape", whole({**update("small"), "layer.weight": flat.reshape(3, 2)}), "the axes swapped")
    yield unfit("scalar-as-one", "wrong-shape", whole({**update("small"), "scalar": np.zeros(1, np.float32)}), "(1,) for ()")

    by_name = sorted(update("small"))
    yield unfit("by-name", "wrong-order", _ordered(update("small"), by_name), "by name only: dtypes come first")
    as_defined = ["steps", "layer.weight", "layer.bias", "empty", "scalar"]
    yield unfit(
        "as-defined", "wrong-order", _ordered(update("small"), as_defined), "weight before bias, as the model was written"
    )
    utf16 = ["w", "\U0001f40c größe", "ｗ"]
    yield unfit(
        "by-utf-16", "wrong-order", _ordered(update("wide"), utf16), "names by UTF-16 units, not by code points", model="wide"
    )

    yield unfit("nothing", "wrong-length", b"", "an empty file")
    yield unfit("seven-bytes", "wrong-length", fit[:7], "not even a length")
    yield unfit("cut-in-the-header", "wrong-length", fit[:60], "it ends within the header")
    yield unfit("cut", "wrong-length", fit[:-1], "the last byte is missing")
    yield unfit("byte-too-many", "wrong-length", fit + b"\0", "one byte follows the last tensor")

    for label, value in (("nan", np.nan), ("infinity", np.inf), ("minus-infinity", -np.inf)):
        yield unfit(label, "not-finite", whole(_with("layer.bias", [0, 0, value])), f"{label} in a plain float32")
    beyond = encode_update(_with("layer.bias", [0, 65520, 0]), "float16")
    yield unfit("float16-overflow", "not-finite", beyond, "65520 rounds to infinity in float16", encoding="float16")
    top = encode_update(_with("layer.bias", [0, float(np.finfo(np.float32).max), 0]), "bfloat16")
    yield unfit("bfloat16-overflow", "not-finite", top, "the largest float32 rounds to infinity", encoding="bfloat16")

    expected, tensors = encoded_schema(update_schema(SMALL), "int8"), decode(as_int8, HEADER_LIMIT_BYTES)
    for label, value in (("negative", -0.5), ("nan", np.nan), ("infinite", np.inf)):
        scaled = write(expected, {**tensors, "scale:layer.bias": np.array([value], np.float32)})
        yield unfit(f"scale-{label}", "bad-scale", scaled, f"a scale that is {label}", encoding="int8")

    huge = {**update("wide"), "w": np.array([1e200, 0.0])}
    yield unfit("too-long", "norm-overflow", write(schema_of(huge), huge), "an L2 norm of 1e200", model="wide")
    counted = {**update("small"), "steps": np.array(1_000_001, np.int64)}
    yield unfit("far-counter", "counter-overflow", write(schema_of(counted), counted), "a counter that moves by 1,000,001")
    other = hashlib.sha256(b"another file").hexdigest()
    yield _file("other-digest", "small", "plain", fit, "wrong-digest", "a good file, declared with another's SHA-256", other)


def _parts(tensors: Tensors) -> tuple[dict[str, Any], bytes]:
    """Header and data of a file."""
    file = whole(tensors)
    (length,) = struct.unpack_from("<Q", file)
    return json.loads(file[8 : 8 + length]), file[8 + length :]


def whole(tensors: Tensors) -> bytes:
    """The file of some tensors."""
    return write(schema_of(tensors), tensors)


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _joined(text: bytes, data: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text + data


def _with(name: str, values: Sequence[float]) -> Tensors:
    return {**update("small"), name: np.array(values, np.float32)}


def _without(name: str) -> Tensors:
    return {other: array for other, array in update("small").items() if other != name}


def _ordered(tensors: Tensors, names: Sequence[str]) -> bytes:
    """A file with its tensors in this order."""
    by_name = {spec.name: spec for spec in schema_of(tensors)}
    return write(tuple(by_name[name] for name in names), tensors)


def shown(spec: TensorSpec) -> dict[str, Any]:
    """A tensor as the document describes it."""
    return {"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)}
