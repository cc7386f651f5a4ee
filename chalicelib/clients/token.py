"""What is stored of an enrolment token."""

from __future__ import annotations

from dataclasses import dataclass
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
    shares: int
    """Into how many shares its uses are divided (`shares.shares_of`)."""
    label: str
    created_at: Instant
    expires_at: Instant
    ttl: int
    """`expires_at` in epoch seconds, for DynamoDB's TTL; the code itself compares `expires_at`."""
    models: list[str] | None = None
    device_types: list[str] | None = None
    revoked_at: Instant | None = None

    def state(self, now: datetime, claimed: int) -> TokenState:
        """Where it stands at `now`, when so many of its uses are taken."""
        if self.revoked_at:
            return TokenState.REVOKED
        if now >= self.expires_at:
            return TokenState.EXPIRED
        return TokenState.USED_UP if claimed >= self.uses else TokenState.ACTIVE

    def admits(self, device_type: str, now: datetime) -> bool:
        """Whether a device of this type may enrol with it at `now`, if a use is left."""
        return self.revoked_at is None and now < self.expires_at and (not self.device_types or device_type in self.device_types)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUses:
    """One share of a token's uses."""

    claimed: int = 0
    """Uses that are taken."""
    ttl: int | None = None
    """A day after the token's: who enrols at the last moment must not find a share that begins anew."""
    revoked_at: Instant | None = None
    """Since when nobody claims a use here: the token is revoked."""
