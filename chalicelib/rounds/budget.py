"""Whether a model's month has enough left for another round.

    days of the month, last rounds ──▶ spent + what a round needs > budget? ──▶ over budget: no round opens

What a round needs is known by the last ones. That a model is over its budget is noted in its row: devices then come as seldom
as to one that does not train, and nobody asks again before the month ends, or the budget is another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from chalicelib.instants import Clock
from chalicelib.log import log
from chalicelib.registry.model import Model, OverBudget
from chalicelib.registry.store import RegistryStore
from chalicelib.spending import Spending, SpendingStore
from muster.pricing.usage import dollars

LAST = 5
"""Rounds by the dearest of which the next one is judged; the first of all may cost what it costs."""

MARGIN = 1.1
"""What a round may cost more than the dearest of those: some of what they used may not be written down yet."""


def over(
    budget: float, month: Iterable[Spending], rounds: Iterable[Spending], now: datetime, since: datetime | None = None
) -> OverBudget | None:
    """Whether a round might exceed a month's budget, in dollars, of which `month` was used; None: it might not.

    `rounds` are the last ones; `since` is when it was so found first.
    """
    spent = sum(dollars(day.used) for day in month)
    needed = MARGIN * max((dollars(each.used) for each in rounds), default=0.0)
    if spent + needed <= budget and spent < budget:
        return None
    return OverBudget(since=since or now, until=next_month(now), budget=budget, spent=spent, needed=needed)


def next_month(now: datetime) -> datetime:
    """When the next month begins (UTC)."""
    return datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)


class Budgets:
    """Looks whether a round may open, and notes what was found where it changes."""

    def __init__(self, *, spending: SpendingStore, registry: RegistryStore, clock: Clock) -> None:
        self._spending = spending
        self._registry = registry
        self._clock = clock

    def allows_a_round(self, model: Model) -> bool:
        """Whether the model has no budget, or enough of it left."""
        now, budget, known = self._clock(), model.config.monthly_budget, model.over_budget
        if budget is not None and known is not None and now < known.until and known.budget == budget:
            return False
        found = None if budget is None else self._look(model.name, budget, now)
        if (found or known) and self._registry.note_budget(model, found):
            log.info("budget", model=model.name, budget=budget, spent=found and found.spent, needed=found and found.needed)
        return found is None

    def _look(self, model: str, budget: float, now: datetime) -> OverBudget | None:
        month = self._spending.days(model, now.date().replace(day=1), now.date())
        return over(budget, month.values(), self._spending.rounds(model, limit=LAST).values(), now)
