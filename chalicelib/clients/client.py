"""What is stored of a client, and of the fleet as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from chalicelib.instants import Instant

REMEMBERED_ROUNDS = 32
"""How many of its last accepted rounds a client's row names, so that none of them is counted twice. An inspection that is
delivered again comes within the queue's visibility timeout, which is shorter than so many rounds."""


class ClientState(StrEnum):
    """Whether a client may speak. Nothing leads back from REVOKED."""

    ACTIVE = "active"
    REVOKED = "revoked"


def _joined(names: tuple[str, ...]) -> str:
    return ",".join(names)


def _split(value: object) -> object:
    return tuple(name for name in value.split(",") if name) if isinstance(value, str) else value


JoinedNames = Annotated[tuple[str, ...], PlainSerializer(_joined), BeforeValidator(_split)]
"""Names that a row stores as one text, because a list costs a DynamoDB item several times as much."""


Capability = bool | int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What a device said of its state at its last check-in; None of what it did not say."""

    charging: bool | None = None
    idle: bool | None = None
    unmetered: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a client is, as far as a cohort asks."""

    client_id: str
    device_type: str = ""
    sdk_version: str = ""
    capabilities: Mapping[str, Capability] = field(default_factory=dict)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Described:
        """A client, from its row, of which nothing else need be readable."""
        said = row.get("capabilities")
        return cls(
            client_id=str(row.get("client_id", "")),
            device_type=str(row.get("device_type", "")),
            sdk_version=str(row.get("sdk_version", "")),
            capabilities=said if isinstance(said, Mapping) else {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """A client whose updates were rejected for what they are."""

    strikes: int = 0
    """Since one was accepted."""
    rounds: JoinedNames = ()
    """The last rounds of which one was counted."""
    quarantines: int = 0
    """How many there were, since an operator released it."""
    quarantined_until: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered device."""

    client_id: str
    key_hash: str
    state: ClientState
    device_type: str
    sdk_version: str
    enrolled_at: Instant
    last_seen_at: Instant
    capabilities: dict[str, Capability] = field(default_factory=dict)
    models: list[str] | None = None
    """The models it may train and run, from the scope of its enrolment token; None for all."""
    model: str | None = None
    version: int | None = None
    """What the device said it runs, at its last heartbeat."""
    previous_key_hash: str | None = None
    """The key before this one: only good for asking for this one again."""
    key_rotated_at: Instant | None = None
    rounds: int = 0
    samples: int = 0
    """Accepted updates, and the examples they were trained on."""
    credited: JoinedNames = ()
    """The last rounds that `rounds` counts."""
    readiness: Readiness | None = None
    """None: it said nothing at its last check-in, or has not checked in yet."""
    heartbeat_arrival: float | None = None
    checkin_arrival: float | None = None
    """When its next request of that kind would come by its rate, in seconds since 1970 (`clients.rate`)."""
    conduct: Conduct | None = None
    """What came of updates that were rejected for what they are; None: there was none (`clients.conduct`)."""

    @property
    def described(self) -> Described:
        """What it is, as far as a cohort asks."""
        return Described(
            client_id=self.client_id,
            device_type=self.device_type,
            sdk_version=self.sdk_version,
            capabilities=self.capabilities,
        )

    def may_use(self, model: str) -> bool:
        """Whether its scope has the model."""
        return self.models is None or model in self.models

    def is_quarantined(self, now: datetime) -> bool:
        """Whether it is given no work at `now`."""
        return self.quarantine_left(now) > 0.0

    def quarantine_left(self, now: datetime) -> float:
        """For how many seconds from `now` it is given no work."""
        until = self.conduct.quarantined_until if self.conduct else None
        return 0.0 if until is None else max(0.0, (until - now).total_seconds())

    def is_alive(self, now: datetime, heartbeat_timeout_seconds: float) -> bool:
        """Whether its key is good and it was seen no longer ago than the timeout."""
        return self.state is ClientState.ACTIVE and now - self.last_seen_at <= timedelta(seconds=heartbeat_timeout_seconds)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The one row that keeps the fleet within its size."""

    enrolled: int
