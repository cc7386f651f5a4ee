"""What is stored of an enrolment token."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from chalicelib.instants import Instant


class TokenState(StrEnum):
    """Whether a token admits anybody."""

    ACTIVE = "active"
    USED_UP = "used-up"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentToken:
    """Lets at most `uses` clients enrol until `expires_at`, of the device types and for the models of its scope."""

    token_id: str
    secret_hash: str
    uses: int
    label: str
    created_at: Instant
    expires_at: Instant
    ttl: int
    """`expires_at` in epoch seconds, for DynamoDB's TTL; the code itself compares `expires_at`."""
    models: list[str] | None = None
    device_types: list[str] | None = None
    revoked_at: Instant | None = None
    claims: set[str] = field(default_factory=set)
    """Ids of the clients that used it."""

    def state(self, now: datetime) -> TokenState:
        """Where it stands at `now`."""
        if self.revoked_at:
            return TokenState.REVOKED
        if now >= self.expires_at:
            return TokenState.EXPIRED
        return TokenState.USED_UP if len(self.claims) >= self.uses else TokenState.ACTIVE
