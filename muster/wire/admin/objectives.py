"""Service objectives, and what is left of their error budgets."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import Field

from muster.wire.messages import Reply

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class ObjectiveReply(Reply):
    """One objective over thirty days (docs/objectives.md)."""

    name: str = Field(description="`rounds`, `uploads`, `active`, `judges`, `availability`")
    what: str = Field(description="its events, as people call them")
    target: Share = Field(description="which share of them should be good")
    good: int
    total: int
    share: Share | None = Field(description="of good ones; null: none was measured")
    budget_left: Share | None = Field(description="which share of what may fail has not failed; null: none was measured")
    is_burned: bool = Field(description="whether nothing is left, of so many events that at least one may fail")
    used_up_at: datetime | None = Field(
        description="when it is used up at the pace of the last three days; null: it is, or not within thirty days"
    )


class ObjectiveList(Reply):
    """A model's objectives, and the availability of the stack."""

    model: str
    first_day: date = Field(description="of UTC; the first of the thirty days")
    last_day: date = Field(description="the present one")
    objectives: list[ObjectiveReply]
    unreadable: list[str] = Field(description="rows of days that cannot be read, and are not in the figures")
