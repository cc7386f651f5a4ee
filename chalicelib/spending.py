"""What models have used, by day and by round, and when a function writes down what it has counted.

    invocation ──shares──▶ ledger (in a function instance) ──now and then──▶ spending of a day, spending of a round

To write down each request would cost a tenth of what it costs. So an instance keeps what it has counted until that is worth a
write, and adds it to two rows, each by itself. What it keeps is in no row yet, and is lost with it: a few
ten-thousandths of a dollar for each row, and some seconds' work. No request fails because of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date, datetime, timedelta
from typing import Annotated

from pydantic import Field

from chalicelib.instants import Clock
from chalicelib.log import log
from chalicelib.metering import NOBODY, Charged, Metered
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Table
from chalicelib.storage.rows import readable_one
from chalicelib.vitals import NO_MODEL
from muster.layout import Key
from muster.pricing.prices import PRICES
from muster.pricing.usage import Usage, added, dollars, usage

KEPT = timedelta(days=400)
"""A month can be held against the same of the year before."""

WRITE = dollars(usage(dynamodb_write_units=1))

OFTENEST = timedelta(seconds=10)
"""An instance writes to a row no oftener: a thousand of them would else meet at one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """When what was counted for a row is written."""

    worth: float
    """Dollars for which a write is made."""
    longest: timedelta
    """What little there is, is written after so long, by the next request that the instance has."""


OF_MODELS = Patience(worth=50 * WRITE, longest=timedelta(minutes=15))
"""A write costs a fiftieth of what it notes, for each of the two rows."""

OF_THE_STACK = Patience(worth=500 * WRITE, longest=timedelta(hours=1))
"""It goes on while nobody trains, and is to cost next to nothing then."""

AT_ONCE = 4
"""Rows that one invocation writes, those that have waited for longest first: somebody waits for its answer meanwhile."""

MOST = 200
"""Rows for which an instance keeps something. Of what more there may be, rounds are not told apart."""


LARGEST = 1e15
"""Of one amount in a row: what is below zero or beyond this, no function has counted, and the row is not believed."""

Amount = Annotated[float, Field(ge=0.0, le=LARGEST)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Amounts of what AWS bills, by the names of `muster.pricing.prices`, and how requests ended."""

    api_requests: Amount = 0.0
    lambda_requests: Amount = 0.0
    lambda_gb_seconds: Amount = 0.0
    dynamodb_read_units: Amount = 0.0
    dynamodb_write_units: Amount = 0.0
    s3_put_requests: Amount = 0.0
    s3_get_requests: Amount = 0.0
    sqs_requests: Amount = 0.0
    sns_requests: Amount = 0.0
    kms_requests: Amount = 0.0
    kms_signatures: Amount = 0.0
    metric_requests: Amount = 0.0
    log_gb: Amount = 0.0
    traces: Amount = 0.0
    egress_gb: Amount = 0.0
    s3_gb_months: Amount = 0.0
    """Of updates until they are deleted; what versions keep is counted by the sweep."""
    metric_months: Amount = 0.0
    api_answered: int = 0
    api_failed: int = 0
    """Requests that were answered with 500 or more."""
    ttl: int | None = None

    @property
    def used(self) -> Usage:
        """What of it has a price."""
        return added({name: amount for name, amount in asdict(self).items() if name in PRICES and amount})


AMOUNTS = tuple(each.name for each in fields(Spending) if each.name != "ttl")
DIGITS = 12
"""Decimals with which amounts are added up: DynamoDB adds exactly, up to 38 digits."""


class SpendingStore:
    """Rows of spending, in the `monitoring` table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, key: Key, amounts: Mapping[str, float], ttl: int) -> None:
        """Add to a row."""
        self._table.accumulate(key, amounts, {"ttl": ttl})

    def days(self, model: str | None, first: date, last: date) -> dict[date, Spending]:
        """What a model, or the stack, used on each day from the first to the last; a day of nothing is left out."""
        kind, name = keys.SPENDING, model or NO_MODEL
        above, below = (kind.key(model=name, day=day.isoformat())["sk"] for day in (first, last))
        rows = self._table.query(kind.partition(model=name), kind.prefix, above=above, below=below)
        by_day = ((date.fromisoformat(kind.name_in(row["sk"])), readable_one(Spending, row)) for row in rows)
        return {day: spent for day, spent in by_day if spent is not None}

    def rounds(self, model: str, *, before: int | None = None, limit: int = 10) -> dict[int, Spending]:
        """What the last rounds used that are counted, the newest first; those below a number, if one is given."""
        kind = keys.ROUND_SPENDING
        below = None if before is None else kind.key(model=model, number=before - 1)["sk"]
        rows = self._table.query(kind.partition(model=model), kind.prefix, below=below, newest_first=True, limit=limit)
        found = ((int(kind.name_in(row["sk"])), readable_one(Spending, row)) for row in rows)
        return {number: spent for number, spent in found if spent is not None}

    def round(self, model: str, number: int) -> Spending | None:
        """What a round used; None where nothing was counted, or it cannot be read."""
        return readable_one(Spending, self._table.get(keys.ROUND_SPENDING.key(model=model, number=number)))


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """What is in no row yet."""

    patience: Patience
    since: datetime
    amounts: dict[str, float] = field(default_factory=dict)

    def is_due(self, now: datetime) -> bool:
        worth = dollars({name: amount for name, amount in self.amounts.items() if name in PRICES})
        return now - self.since >= (OFTENEST if worth >= self.patience.worth else self.patience.longest)


class Ledger:
    """What one function instance has counted, on its way to the rows. `store` gives them when there is something to write."""

    def __init__(self, store: Callable[[], SpendingStore], clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: dict[tuple[str, str], _Waiting] = {}

    def keep(self, metered: Metered) -> None:
        """Take what an invocation has used."""
        for who, used in metered.shares.items():
            self._keep(who, used)
        self._keep(NOBODY, {"api_answered": metered.answered, "api_failed": metered.failed})

    def write_due(self) -> None:
        """Write down what is worth it, or has waited for long."""
        now = self._clock()
        due = [(waiting.since, place) for place, waiting in self._waiting.items() if waiting.is_due(now)]
        self._write(place for _, place in sorted(due)[:AT_ONCE])

    def write_all(self) -> None:
        """Write down all that there is."""
        self._write(list(self._waiting))

    def _write(self, places: Iterable[tuple[str, str]]) -> None:
        for place, waiting in [(place, self._waiting.pop(place)) for place in places]:
            amounts = {name: round(amount, DIGITS) for name, amount in waiting.amounts.items() if amount}
            if not amounts:
                continue
            try:
                self._store().add({"pk": place[0], "sk": place[1]}, amounts, int((waiting.since + KEPT).timestamp()))
            except Exception:  # noqa: BLE001 (kept for the next time: what a request was asked for is done)
                log.exception("what was used could not be written down", pk=place[0], sk=place[1])
                self._add(place, waiting.patience, amounts)

    def _keep(self, who: Charged, amounts: Mapping[str, float]) -> None:
        model, number = who
        name, patience = model or NO_MODEL, OF_MODELS if model else OF_THE_STACK
        places = [keys.SPENDING.key(model=name, day=self._clock().date().isoformat())]
        if number is not None and len(self._waiting) < MOST:
            places.append(keys.ROUND_SPENDING.key(model=name, number=number))
        for place in places:
            self._add((place["pk"], place["sk"]), patience, amounts)

    def _add(self, place: tuple[str, str], patience: Patience, amounts: Mapping[str, float]) -> None:
        waiting = self._waiting.setdefault(place, _Waiting(patience=patience, since=self._clock()))
        for name, more in amounts.items():
            waiting.amounts[name] = waiting.amounts.get(name, 0.0) + more
