"""A version: an immutable checkpoint, and where it came from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from chalicelib.instants import Instant


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Version:
    """One row of the registry. Lineage: `base` is what it was trained from, `parent` what was deployed when it was made."""

    model: str
    number: int
    checkpoint: CheckpointRef
    document_sha256: str
    created_at: Instant
    round: int | None = None
    base: int | None = None
    parent: int | None = None
    manifest_sha256: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    """What the training clients reported, weighted."""
    evaluation: dict[str, float] | None = None
    """What the judges measured, weighted; written once, when the round is decided."""


def canonical_json(value: Any) -> bytes:
    """One byte sequence for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(data: bytes | bytearray) -> str:
    """Full SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()
