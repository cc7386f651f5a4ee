"""What names some bytes: a checkpoint, an optimizer's state, and the digests by which they are known."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DeltaRef:
    """A stored delta (`muster.wire.deltas`) from another checkpoint to the one that names it."""

    base_sha256: str
    nbytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRef:
    """Where a checkpoint's bytes are and what they must be. The header is the model's schema."""

    version: int
    sha256: str
    nbytes: int
    header_bytes: int
    """Length of the file's prefix and header: one ranged read fetches the schema."""
    min_update_bytes: int
    max_update_bytes: int
    """Length that an update to this checkpoint can have."""
    deltas: tuple[DeltaRef, ...] = field(default=(), compare=False)
    """Cheaper ways to the same bytes: no part of what a checkpoint is, nor of a manifest."""
    norm: float | None = field(default=None, compare=False)
    """L2 norm over all float tensors, to six digits; it bounds that of an update, and is no part of a manifest either."""


@dataclass(frozen=True, slots=True)
class StateFile:
    """What an optimizer keeps of every parameter under one letter (float32): a tensor file."""

    letter: str
    sha256: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class OptimizerState:
    """A server optimizer's state, which belongs to one version, as the checkpoint does."""

    optimizer: str
    """The optimizer's name: another one begins anew."""
    step: int
    """Steps that were published since it began."""
    files: tuple[StateFile, ...]


class Damaged(Exception):
    """A file is not the one that its digest names."""


def canonical_json(value: Any) -> bytes:
    """One byte sequence for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(data: bytes | bytearray | memoryview) -> str:
    """Full SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()
