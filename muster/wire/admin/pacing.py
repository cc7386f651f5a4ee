"""How often devices come, and the bounds that an operator gives it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from muster.wire.messages import Label, Reply, Request

MOST_REQUESTS_A_SECOND, MOST_REQUESTS_A_MONTH = 1e6, 10**15

Ceiling = Annotated[float, Field(gt=0.0, le=MOST_REQUESTS_A_SECOND, allow_inf_nan=False)]
Budget = Annotated[int, Field(ge=1, le=MOST_REQUESTS_A_MONTH)]


class SetPace(Request):
    """Bound what the fleet sends, if its bounds have the revision that the operator saw."""

    ceiling: Ceiling = Field(description="requests a second, of all devices together")
    budget: Budget | None = Field(None, description="requests a month, of all devices together; null for none")
    revision: Annotated[int, Field(ge=0, lt=10**8)] = Field(
        description="the revision of the bounds that the operator saw; 0 where nobody has set any"
    )
    because: Label = "an operator wants it"
    dry_run: bool = Field(False, description="answer what would be, and change nothing")


class ModelPace(Reply):
    """How often a model's devices come now, on average."""

    model: str
    active: int = Field(description="its active clients, as last counted")
    heartbeat_seconds: float = Field(description="between two heartbeats of one device")
    waiting_seconds: float | None = Field(
        description="between two check-ins of one that waits for a round; null while training rests: then nobody waits"
    )
    meeting_seconds: float | None = Field(description="those who wait come all within so long; null: at any time")
    requests_per_second: float = Field(description="of all its devices, those with a place in a round included")
    trouble: str | None = Field(None, description="which bound will not hold, and why; null when all do")


class FleetPace(Reply):
    """How often devices come now, within which bounds, and what it costs."""

    revision: int = Field(description="of the bounds; 0 where nobody has set any")
    ceiling: float = Field(description="requests a second")
    budget: int | None = Field(description="requests a month; null for none")
    at: datetime | None
    because: str | None
    by: str | None
    clients: int = Field(description="enrolled clients, as last counted")
    counted_at: datetime | None
    heartbeat_seconds: float = Field(description="between two heartbeats of one device whose model rests")
    models: list[ModelPace]
    requests_per_second: float = Field(description="expected, as it is now")
    requests_per_month: float = Field(description="if it stayed so for 730 hours")
    dollars_per_month: float = Field(description="what those cost, by the prices that bench/cost names")
    trouble: str | None = Field(None, description="which bound will not hold, and why; null when all do")
