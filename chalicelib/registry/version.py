"""A version: an immutable checkpoint, and where it came from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from chalicelib.instants import Instant
from chalicelib.registry.model import FrozenConfig


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
class OptimizerState:
    """A server optimizer's state, which belongs to one version, as the checkpoint does."""

    optimizer: str
    """The optimizer's name: another one begins anew."""
    step: int
    """Steps that were published since it began."""
    sha256: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class Version:
    """One row of the registry. Lineage: `base` is what it was trained from, `parent` what was deployed when it was made."""

    model: str
    number: int
    checkpoint: CheckpointRef
    document_sha256: str
    created_at: Instant
    config: FrozenConfig
    """How its round ran, or, of a version that an operator registered, the model's configuration at that time."""
    revision: int
    """The model's deployment revision when it was made: no earlier deployment can speak of it."""
    round: int | None = None
    base: int | None = None
    parent: int | None = None
    manifest_sha256: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    """What the training clients reported, weighted, or what the operator measured."""
    evaluation: dict[str, float] | None = None
    """What the judges measured, weighted; written once, when the round is decided."""
    note: str | None = None
    """The operator's words."""
    optimizer: OptimizerState | None = None
    """The state with which a round that starts from here goes on."""
    clip_norm: float | None = None
    """The norm to which such a round clips, where the norm is adaptive."""

    @property
    def id(self) -> str:
        """`<model>.v<number>`; unique, because a number is given out once."""
        return f"{self.model}.v{self.number}"


@dataclass(frozen=True, slots=True)
class Registration:
    """The version that an operator made of a checkpoint."""

    version: int


def canonical_json(value: Any) -> bytes:
    """One byte sequence for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(data: bytes | bytearray) -> str:
    """Full SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()
