"""Rounds for the tests of the aggregation: updates in memory, gone through the gate, frozen and aggregated."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from muster.aggregation.manifest import Entry, Manifest, freeze
from muster.aggregation.plan import NO_LIMITS, Limits
from muster.aggregation.ranges import elements
from muster.aggregation.reading import Fetch, Group, groups
from muster.aggregation.replay import Loaded, gradient, no_base
from muster.wire import gate
from muster.wire.admin import RoundConfig, Rule
from muster.wire.arrays import Array, encode, schema_of
from muster.wire.encodings import Encoding
from muster.wire.magnitudes import packed
from muster.wire.refs import CheckpointRef
from muster.wire.tensors import HEADER_LIMIT_BYTES, Schema, header_bytes
from muster.wire.values import encode_update
from tests.aggregation import reference

REF = CheckpointRef(version=0, sha256="0" * 64, nbytes=100, header_bytes=50, min_update_bytes=10, max_update_bytes=1000)
Tensors = dict[str, Any]

LIMITS = {
    1: NO_LIMITS,
    2: Limits(1 << 40, 1 << 40, 8),
    7: Limits(36 * 7000, 1 << 40, 1 << 40),
    64: Limits(36 * 12_000, 1 << 40, 1),
    "most": Limits(1, 1, 1),
}
"""Limits, and into how many parts they cut the mean of `fingerprint`'s rounds."""


def rule(name: str, **parameters: Any) -> Rule:
    return Rule(name=name, parameters=parameters)


@dataclass(frozen=True)
class Made:
    """A frozen round, and its update files."""

    manifest: Manifest
    files: dict[str, bytes]
    schema: Schema

    def load(self, entry: Entry) -> bytes:
        """An update's file."""
        return self.files[entry.key]

    def aggregate(self, limits: Limits = NO_LIMITS, base: Tensors | None = None) -> dict[str, Array]:
        """The pseudo-gradient: flat arrays by tensor, all ranges put together."""
        fetch = no_base if base is None else data_of(encode(base))
        found: dict[str, list[Array]] = {}
        for _, result in gradient(self.manifest, self.schema, Loaded(self.load), limits, base=fetch):
            for name, array in result.items():
                found.setdefault(name, []).append(array)
        return {name: np.concatenate(pieces) for name, pieces in found.items()}

    def group(self, numbers: Sequence[int]) -> Group:
        """Some of its updates as the aggregation reads them, whole."""
        reader, entries = Loaded(self.load), [self.manifest.entries[n] for n in numbers]
        return [update for some in groups(reader, self.schema, entries, 0, elements(self.schema), 1 << 30) for update in some]


def data_of(file: bytes) -> Fetch:
    """Reads of a checkpoint's data, as a rule asks for them."""
    begin = header_bytes(file, HEADER_LIMIT_BYTES)
    return lambda at, scratch: memoryview(file)[begin + at : begin + at + len(scratch)]


def frozen(
    updates: Sequence[Tensors],
    aggregator: Rule | None = None,
    clip: float | None = None,
    *,
    examples: Sequence[int] | None = None,
    encodings: Sequence[Encoding] = ("plain",),
    **config: Any,
) -> Made:
    """A round of these updates, client by client; `encodings` go round."""
    schema, accepted, files = schema_of(updates[0]), [], {}
    for number, update in enumerate(updates):
        encoding = encodings[number % len(encodings)]
        data = files[str(number)] = encode_update(update, encoding)
        sha256 = hashlib.sha256(data).hexdigest()
        measured = gate.inspect(io.BytesIO(data), len(data), schema, sha256, encoding)
        entry = Entry(
            client_id=f"client-{number:03d}",
            key=str(number),
            etag="etag",
            sha256=sha256,
            nbytes=len(data),
            examples=examples[number] if examples else 1 + number % 7,
            norm=measured.norm,
            header_bytes=measured.header_bytes,
            encoding=encoding,
            magnitudes=packed(measured.exponents, measured.levels),
        )
        accepted.append(entry)
    guards: dict[str, Any] = {
        "outliers": "none",
        "max_claim_ratio": "none",
    }  # a rule sees every update, unless a test says otherwise
    rules = guards | {"goal": 100_000, "quorum": 1, "aggregator": aggregator or rule("mean"), **config}
    return Made(freeze("m.1", REF, RoundConfig(**rules), None, clip, accepted), files, schema)


def made(count: int, seed: int, dtype: str = "f4", size: int = 5) -> list[Tensors]:
    """Updates of a model with a matrix, a scalar, an empty tensor and a counter."""
    rng = np.random.default_rng(seed)
    scale = rng.choice([1e-3, 1.0, 1e3])
    return [
        {"w": (rng.standard_normal((size, 3)) * scale).astype(dtype), "s": (rng.standard_normal(()) * scale).astype(dtype),
         "e": np.zeros((0, 2), dtype), "n": rng.integers(-5, 5, ()).astype("i8")}
        for _ in range(count)
    ]  # fmt: skip


def flat(tensors: Tensors) -> reference.Vector:
    """Float tensors as one vector, in the order of the schema."""
    return np.concatenate([np.asarray(tensors[s.name], np.float64).reshape(-1) for s in schema_of(tensors) if s.is_float])


def result(found: dict[str, Array], like: Tensors) -> reference.Vector:
    """A pseudo-gradient as such a vector."""
    return np.concatenate([found.get(s.name, np.empty(0)) for s in schema_of(like) if s.is_float])


def bits(found: dict[str, Array]) -> bytes:
    """All of a pseudo-gradient's bytes."""
    return b"".join(name.encode() + found[name].tobytes() for name in sorted(found))
