"""What operators ask of service objectives: how each stands over thirty days, and what is left of its error budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime

from chalicelib.instants import Clock
from chalicelib.monitoring.objectives import WINDOW, Budget, Events, ObjectiveDay, availability, budgets, day_of, first_day
from chalicelib.monitoring.store import MonitoringStore
from chalicelib.registry.catalogue import Catalogue
from chalicelib.storage.rows import Unreadable
from muster.wire import admin

Requests = Callable[[date, date], Mapping[date, Events]]
"""The stack's requests by day, from one to another, both included."""


class ErrorBudgets:
    """Reads only."""

    def __init__(self, *, catalogue: Catalogue, store: MonitoringStore, clock: Clock, requests: Requests | None = None) -> None:
        self._catalogue = catalogue
        self._store = store
        self._clock = clock
        self._requests = requests

    def show(self, model: str) -> admin.ObjectiveList:
        """A model's objectives, and the stack's availability. Two requests, and one more where requests are metered.

        Raises:
            Refusal: `unknown-model`.
        """
        self._catalogue.model(model)
        now = self._clock()
        first, last = first_day(now, WINDOW), day_of(now)
        rows = self._store.days(model, first, last)
        found = budgets((row for row in rows if isinstance(row, ObjectiveDay)), now)
        requests = self._requests(first, last) if self._requests else {}
        return admin.ObjectiveList(
            model=model,
            first_day=first,
            last_day=last,
            objectives=[_reply(budget, now) for budget in (*found, availability(requests, now))],
            unreadable=[str(row) for row in rows if isinstance(row, Unreadable)],
        )


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
