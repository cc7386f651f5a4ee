"""What is stored of a client and of an enrolment token."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.instants import Instant


class ClientState(StrEnum):
    """Whether a client may speak. Nothing leads back from REVOKED."""

    ACTIVE = "active"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Client:
    """A registered device."""

    client_id: str
    key_hash: str
    state: ClientState
    device_type: str
    sdk_version: str
    enrolled_at: Instant
    last_seen_at: Instant
    capabilities: dict[str, bool | int | float | str] = field(default_factory=dict)
    model: str | None = None
    version: int | None = None
    """What the device said it runs, at its last heartbeat."""


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    """Lets at most `uses` clients enrol until `expires_at`."""

    token_id: str
    secret_hash: str
    uses: int
    label: str
    created_at: Instant
    expires_at: Instant
    ttl: int
    """`expires_at` in epoch seconds, for DynamoDB's TTL; the code itself compares `expires_at`."""
