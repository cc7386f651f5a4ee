"""What is spent: by month, model, service, day and round."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from muster.wire.messages import Query, Reply


class MonthQuery(Query):
    """Of which month."""

    month: Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")] | None = Field(
        None, description="`2026-11`; the present one if it is left out (UTC)"
    )


class Bill(Reply):
    """What was counted, and what it costs."""

    dollars: float
    by_service: dict[str, float] = Field(description="dollars by AWS's services, dearest first")
    amounts: dict[str, float] = Field(description="of each unit that AWS bills (muster/pricing/prices.py)")


class ModelBill(Reply):
    """What a model has used in a month, or, with no model, the stack for none of them: the tick, the monitor, enrolments,
    requests that were refused.
    """

    model: str | None
    spent: Bill
    forecast: float = Field(description="dollars at the month's end, if it goes on as in the last week; of a past month, all")
    kept_dollars: float = Field(
        0.0, description="a month's price of what its versions keep in S3, as the sweep counted it last"
    )
    budget: float | None = Field(None, description="the model's `monthly_budget`, in dollars")
    over_budget: bool = Field(False, description="training waits for another month, or a larger budget")


class CostReply(Reply):
    """What a stack has used in a month."""

    month: str
    at: datetime
    is_whole: bool = Field(description="whether the month is over")
    priced_at: date = Field(description="as of when the prices are known; they are of `region`, without free tiers")
    region: str
    dollars: float = Field(description="counted so far, and the part of what is there that has passed")
    forecast: float = Field(description="dollars at the month's end")
    models: list[ModelBill] = Field(description="dearest first; the one without a name is the stack's own")
    there: dict[str, float] = Field(description="dollars a month of what is billed for being there, by what it is")


class DayBill(Reply):
    """A day (UTC)."""

    day: date
    dollars: float


class RoundBill(Reply):
    """A round."""

    round: int
    spent: Bill


class ModelCostReply(Reply):
    """What a model has used in a month, day by day, and what its last rounds took."""

    month: str
    at: datetime
    priced_at: date
    region: str
    total: ModelBill
    days: list[DayBill] = Field(description="those on which something was used, in their order")
    rounds: list[RoundBill] = Field(description="the last ones that were counted, newest first, of whatever month")
