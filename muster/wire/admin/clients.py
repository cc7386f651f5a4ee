"""Enrolment tokens, and the fleet."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from muster.wire.admin.paging import After
from muster.wire.messages import Label, ModelName, Reply, Request

MOST_USES = 100_000_000
"""Devices that one token may enrol."""


class MintToken(Request):
    """A token that lets at most `uses` devices enrol, for a while, and only those that its scope names."""

    uses: Annotated[int, Field(ge=1, le=MOST_USES)]
    expires_in_seconds: Annotated[float, Field(gt=0, le=90 * 86_400)] = 86_400.0
    label: Label = "devices"
    models: Annotated[list[ModelName], Field(min_length=1, max_length=16)] | None = Field(
        None, description="the models that its devices may train and run; null for all"
    )
    device_types: Annotated[list[Label], Field(min_length=1, max_length=16)] | None = Field(
        None, description="the device types that may enrol with it; null for all"
    )


class MintedToken(Reply):
    """The token, shown this once; the server keeps a hash."""

    token: str
    token_id: str
    uses: int
    expires_at: datetime


class TokenReply(Reply):
    """A token as operators see it; never its secret."""

    token_id: str
    label: str
    state: Literal["active", "used-up", "expired", "revoked"]
    uses: int
    claimed: int = Field(description="uses that are taken")
    models: list[str] | None
    device_types: list[str] | None
    created_at: datetime
    expires_at: datetime


class TokenList(Reply):
    """Enrolment tokens, in no particular order, one page."""

    tokens: list[TokenReply]
    after: str | None = Field(description="pass as `?after=` for the next page; null on the last")


class ClientPage(After):
    """A page of clients, perhaps only some of them."""

    state: Literal["active", "revoked"] | None = Field(None, description="only clients whose key is, or is no longer, good")
    device_type: Label | None = None
    model: ModelName | None = Field(None, description="only clients that said at their last heartbeat that they run this model")
    alive: bool | None = Field(None, description="only clients that were, or were not, seen within the heartbeat timeout")
    quarantined: bool | None = Field(None, description="only clients that are, or are not, in quarantine now")


class ClientReply(Reply):
    """A client as operators see it; never its key."""

    client_id: str
    state: Literal["active", "revoked"]
    alive: bool = Field(description="whether its key is good and it was seen within the heartbeat timeout")
    device_type: str
    sdk_version: str
    capabilities: dict[str, bool | int | float | str]
    enrolled_at: datetime
    last_seen_at: datetime
    key_rotated_at: datetime | None
    models: list[str] | None = Field(description="the models it may train and run; null for all")
    model: str | None
    version: int | None = Field(description="what it said it runs, at its last heartbeat")
    rounds: int = Field(description="rounds in which its update passed inspection, whatever became of it then")
    samples: int = Field(description="examples that those updates were trained on")
    strikes: int = Field(0, description="updates that were rejected for what they are, since one was accepted")
    quarantines: int = Field(0, description="how many there were, since an operator released it")
    quarantined: bool = Field(False, description="whether it is given no work now, because of its strikes")
    quarantined_until: datetime | None = Field(None, description="when its last quarantine ends, or ended")
    charging: bool | None = None
    idle: bool | None = None
    unmetered: bool | None = Field(
        None, description="like `charging` and `idle`: what it said at its last check-in; null: nothing"
    )


class ClientList(Reply):
    """Clients, in no particular order, one page. A page may be short, even empty, and yet not be the last."""

    clients: list[ClientReply]
    after: str | None = Field(description="pass as `?after=` for the next page; null on the last")


class FleetStatistics(Reply):
    """The fleet, counted from its clients' rows in the background: nobody scans a table to answer this."""

    clients: int = Field(description="enrolled clients whose key is good")
    active: int = Field(description="those of them that were seen within the heartbeat timeout")
    revoked: int
    by_device_type: dict[str, int]
    by_sdk_version: dict[str, int] = Field({}, description="enrolled clients by the release of the SDK that they said they run")
    active_by_model: dict[str, int] = Field(description="active clients by the model they said they run")
    active_by_cohort: dict[str, int] = Field({}, description="active clients by cohort, `<name>.<revision>`")
    rounds: int = Field(description="updates that passed inspection, over all clients")
    samples: int = Field(description="examples that those were trained on")
    max_clients: int
    heartbeat_timeout_seconds: float
    counted_at: datetime | None = Field(description="when the oldest part of this was counted; null before the first count")
