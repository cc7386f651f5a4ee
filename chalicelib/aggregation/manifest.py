"""The manifest: the frozen, sorted list of what a round aggregates. Everything after it is a pure function of it.

    freeze:  accepted receipts ──▶ manifest (written once) ──▶ plan ──▶ parts ──▶ merge ──▶ checkpoint

Its SHA-256 stands in the round and in the version; whoever has the manifest, the base and the updates can compute the
published bytes again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from chalicelib.registry.version import CheckpointRef, canonical_json


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted update: which bytes, pinned by ETag since inspection, and the examples it claims."""

    client_id: str
    key: str
    etag: str
    sha256: str
    nbytes: int
    examples: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a round aggregates. `exponents` holds, per float tensor of the schema, the largest over all entries."""

    round: str
    base: CheckpointRef
    weighting: Literal["examples", "uniform"]
    max_examples: int
    server_learning_rate: float
    entries: tuple[Entry, ...]
    exponents: tuple[int, ...]

    def weight(self, entry: Entry) -> int:
        """An update's integer weight: its examples, capped, or 1 for each (McMahan et al. 2017, Alg. 1, with a cap)."""
        return min(entry.examples, self.max_examples) if self.weighting == "examples" else 1

    @property
    def total_weight(self) -> int:
        """Sum of all weights; positive for any manifest with an entry."""
        return sum(self.weight(entry) for entry in self.entries)

    def to_bytes(self) -> bytes:
        """Canonical JSON: one byte sequence for one manifest."""
        return canonical_json(_ADAPTER.dump_python(self, mode="json"))

    @classmethod
    def from_bytes(cls, data: bytes | bytearray) -> Manifest:
        """The manifest that these bytes hold."""
        return _ADAPTER.validate_json(bytes(data))


_ADAPTER = TypeAdapter(Manifest)


def freeze(
    round_id: str,
    base: CheckpointRef,
    weighting: Literal["examples", "uniform"],
    max_examples: int,
    server_learning_rate: float,
    accepted: Iterable[tuple[Entry, tuple[int, ...]]],
) -> Manifest:
    """The manifest of the accepted updates, each with its exponents, given in any order; at least one."""
    ordered = sorted(accepted, key=lambda pair: pair[0].client_id)
    exponents = tuple(max(column) for column in zip(*(exponents for _, exponents in ordered), strict=True))
    entries = tuple(entry for entry, _ in ordered)
    return Manifest(round_id, base, weighting, max_examples, server_learning_rate, entries, exponents)
