"""What operators ask of costs: the rows of spending, times the prices."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from chalicelib.instants import Clock
from chalicelib.monitoring.months import Month
from chalicelib.registry.catalogue import Catalogue
from chalicelib.registry.model import Model
from chalicelib.registry.retained import RetentionStore
from chalicelib.registry.retention import Storage
from chalicelib.registry.store import RegistryStore
from chalicelib.spending import Spending, SpendingStore
from muster.pricing import standing
from muster.pricing.prices import DATE, REGION
from muster.pricing.usage import GB, added, bill, dollars, usage
from muster.wire import admin

ROUNDS_SHOWN = 20


class Costs:
    """Bills."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        registry: RegistryStore,
        retained: RetentionStore,
        spending: SpendingStore,
        clock: Clock,
        alarms: int,
        keys: int,
    ) -> None:
        """`alarms` and `keys` are how many the stack has."""
        self._catalogue = catalogue
        self._registry = registry
        self._retained = retained
        self._spending = spending
        self._clock = clock
        self._there = {what: dollars(used) for what, used in standing.there(alarms=alarms, keys=keys).items()}

    def of_stack(self, query: admin.MonthQuery) -> admin.CostReply:
        """All models, and what is for none: a request a model, and three more."""
        now, month = self._month(query)
        models = list(self._registry.models())
        kept = self._retained.storages(model.name for model in models)
        bills = [_bill(None, self._days(None, month), None, month, now)]
        bills += [_bill(model, self._days(model.name, month), kept.get(model.name), month, now) for model in models]
        there = sum(self._there.values()) + sum(one.kept_dollars for one in bills)
        return admin.CostReply(
            month=str(month),
            at=now,
            is_whole=month.passed(now) == 1.0,
            priced_at=date.fromisoformat(DATE),
            region=REGION,
            dollars=sum(one.spent.dollars for one in bills) + there * month.passed(now),
            forecast=sum(one.forecast for one in bills) + there,
            models=sorted(bills, key=lambda one: -one.spent.dollars),
            there=self._there,
        )

    def of_model(self, name: str, query: admin.MonthQuery) -> admin.ModelCostReply:
        """One model, day by day, and its last rounds.

        Raises:
            Refusal: `unknown-model`.
        """
        model = self._catalogue.model(name)
        now, month = self._month(query)
        days = self._days(name, month)
        rounds = self._spending.rounds(name, limit=ROUNDS_SHOWN)
        return admin.ModelCostReply(
            month=str(month),
            at=now,
            priced_at=date.fromisoformat(DATE),
            region=REGION,
            total=_bill(model, days, self._retained.storage(name), month, now),
            days=[admin.DayBill(day=day, dollars=dollars(spent.used)) for day, spent in sorted(days.items())],
            rounds=[admin.RoundBill(round=number, spent=billed(spent)) for number, spent in rounds.items()],
        )

    def _month(self, query: admin.MonthQuery) -> tuple[datetime, Month]:
        now = self._clock()
        return now, Month.parse(query.month) if query.month else Month.of(now.date())

    def _days(self, model: str | None, month: Month) -> dict[date, Spending]:
        return self._spending.days(model, month.first, month.last)


def _bill(
    model: Model | None, days: Mapping[date, Spending], storage: Storage | None, month: Month, now: datetime
) -> admin.ModelBill:
    """What a model has used in a month, or the stack: what its versions keep, and how the month is likely to end."""
    parts = (storage.checkpoints, storage.states, storage.deltas) if storage else ()
    return admin.ModelBill(
        model=model.name if model else None,
        spent=billed(*days.values()),
        forecast=month.forecast({day: dollars(spent.used) for day, spent in days.items()}, now),
        kept_dollars=dollars(usage(s3_gb_months=sum(part.nbytes for part in parts) / GB)),
        budget=model.config.monthly_budget if model else None,
        over_budget=bool(model and model.over_budget and now < model.over_budget.until),
    )


def billed(*spent: Spending) -> admin.Bill:
    """What some spending costs together."""
    used = added(*(each.used for each in spent))
    return admin.Bill(dollars=dollars(used), by_service=bill(used), amounts=dict(sorted(used.items())))
