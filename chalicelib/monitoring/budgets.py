"""What operators ask of service objectives: how each stands over thirty days, and what is left of its error budget."""

from __future__ import annotations

from datetime import date, datetime

from chalicelib.instants import Clock
from chalicelib.monitoring.objectives import (
    WINDOW,
    Budget,
    Events,
    ObjectiveDay,
    answered,
    availability,
    budgets,
    day_of,
    first_day,
)
from chalicelib.monitoring.store import MonitoringStore
from chalicelib.registry.catalogue import Catalogue
from chalicelib.spending import SpendingStore
from chalicelib.storage.rows import Unreadable
from muster.wire import admin


class ErrorBudgets:
    """Reads only."""

    def __init__(self, *, catalogue: Catalogue, store: MonitoringStore, spending: SpendingStore, clock: Clock) -> None:
        self._catalogue = catalogue
        self._store = store
        self._clock = clock
        self._spending = spending

    def show(self, model: str) -> admin.ObjectiveList:
        """A model's objectives, and the stack's availability. Three requests.

        Raises:
            Refusal: `unknown-model`.
        """
        self._catalogue.model(model)
        now = self._clock()
        first, last = first_day(now, WINDOW), day_of(now)
        rows = self._store.days(model, first, last)
        found = budgets((row for row in rows if isinstance(row, ObjectiveDay)), now)
        requests, odd = self._answered(first, last)
        return admin.ObjectiveList(
            model=model,
            first_day=first,
            last_day=last,
            objectives=[_reply(budget, now) for budget in (*found, availability(requests, now))],
            unreadable=[*(str(row) for row in rows if isinstance(row, Unreadable)), *odd],
        )

    def _answered(self, first: date, last: date) -> tuple[dict[date, Events], list[str]]:
        """The stack's requests by day, and what is odd of those days that are left out."""
        found, odd = dict[date, Events](), list[str]()
        for day, spent in self._spending.days(None, first, last).items():
            try:
                found[day] = answered(spent.api_answered, spent.api_failed)
            except ValueError as error:
                odd.append(f"the requests of {day}: {error}")
        return found, odd


def _reply(budget: Budget, now: datetime) -> admin.ObjectiveReply:
    objective, seen = budget.objective, budget.seen
    return admin.ObjectiveReply(
        name=objective.name,
        what=objective.what,
        target=float(objective.target),
        good=seen.good,
        total=seen.total,
        share=seen.good / seen.total if seen.total else None,
        budget_left=None if budget.left is None else float(budget.left),
        is_burned=budget.is_burned,
        used_up_at=budget.used_up_at(now),
    )
