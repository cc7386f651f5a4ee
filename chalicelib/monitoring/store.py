"""Rows of records, thresholds and alerts. Every method is one write with one condition, or one read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from chalicelib.instants import text
from chalicelib.monitoring.alert import KEEP_CLEARED, Alert, Silence
from chalicelib.monitoring.objectives import Counts, ObjectiveDay, attributes, day
from chalicelib.monitoring.record import Record
from chalicelib.monitoring.threshold import Threshold
from chalicelib.storage import keys
from chalicelib.storage.dynamo import LAST, NEW, Condition, ConditionFailed, Put, Table, Update
from chalicelib.storage.rows import Item, Unreadable, each, from_item, readable, readable_one, to_item
from chalicelib.vitals import Pulse, Trouble
from muster.layout import Key

ANYTHING = Condition("attribute_exists(#pk) OR attribute_not_exists(#pk)", "whatever was there before")

RECENT = 120
"""Records of each kind that are read at most: two hours of rounds a minute long."""


HISTORY = 1440
"""Records of the fleet that one question about hours reads at most: a day of them, one a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What is so now in a stack."""

    pulse: Pulse | None
    """None: the tick never ran, or what it noted cannot be read."""
    troubles: tuple[Trouble, ...] = ()
    silences: tuple[Silence, ...] = ()
    alerts: tuple[Alert, ...] = ()
    """Each metric's last one, be it over."""

    def alerts_of(self, model: str) -> dict[str, Alert]:
        """A model's, by metric."""
        return {alert.metric: alert for alert in self.alerts if alert.model == model}

    def silent_until(self, model: str, metric: str) -> datetime | None:
        """Until when nobody is told of a metric's alerts; None when that was never said."""
        return next((one.until for one in self.silences if (one.model, one.metric) == (model, metric)), None)


class MonitoringStore:
    """The `monitoring` table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    # ---- records

    def record(self, record: Record, counts: Counts | None = None, *, send: bool = True) -> bool:
        """Store a record, unless it need not be sent put it on its way to CloudWatch, and add what it counts to its day, all or
        nothing; False when it was stored before, and so counts already.
        """
        key, item = _record_key(record), to_item(record)
        stored = Put(table=self._table, key=key, item=item)
        beside: list[Put | Update] = []
        if send:
            outgoing = keys.OUTGOING.key(model=record.model, record=key["sk"])
            beside.append(Put(table=self._table, key=outgoing, item=item))
        if counts:
            beside.append(self._counted(day(record.model, record.at, counts), counts))
        try:
            if beside:
                self._table.transact([stored, *beside])
            else:
                self._table.put(stored)
        except ConditionFailed:
            return False
        return True

    def _counted(self, day: ObjectiveDay, counts: Counts) -> Update:
        """The change of a day's row. It may add, because it is made together with the record, which is there but once."""
        found = to_item(day)
        key = keys.OBJECTIVE_DAY.key(model=day.model, day=found["day"])
        is_said = {name: found[name] for name in ("model", "day", "ttl")}
        return Update(table=self._table, key=key, condition=ANYTHING, set=is_said, add=attributes(counts))

    def days(self, model: str, first: date, last: date) -> list[ObjectiveDay | Unreadable]:
        """What was counted of the model's objectives on these days, the first and the last included, oldest first."""
        partition, kind = keys.OBJECTIVE_DAY.partition(model=model), keys.OBJECTIVE_DAY
        above, below = f"{kind.prefix}{first.isoformat()}", f"{kind.prefix}{last.isoformat()}"
        return list(each(ObjectiveDay, self._table.query(partition, kind.prefix, above=above, below=below)))

    def last_round_recorded(self, model: str) -> int | None:
        """The number of the last round that has a record, or None."""
        item = self._table.last(keys.ROUND_RECORD.partition(model=model), keys.ROUND_RECORD.prefix)
        return int(keys.ROUND_RECORD.name_in(item["sk"])) if item else None

    def last_of_fleet(self, model: str) -> Record | None:
        """The last record of the model's clients; None when there is none, or none that can be read."""
        item = self._table.last(keys.FLEET_RECORD.partition(model=model), keys.FLEET_RECORD.prefix)
        return readable_one(Record, item) if item else None

    def recent(self, model: str, since: datetime) -> list[Record]:
        """The model's records since then, of rounds and of the fleet, in no particular order."""
        return self._records(model, since, of_fleet=RECENT)

    def latest(self, model: str, since: datetime) -> list[Record]:
        """The same, but of the fleet only the newest: each of those says all that there is to say."""
        return self._records(model, since, of_fleet=1)

    def history(self, model: str, since: datetime) -> list[Record]:
        """The same, but of the fleet the last 1,440: for who asks about hours."""
        return self._records(model, since, of_fleet=HISTORY)

    def _records(self, model: str, since: datetime, of_fleet: int) -> list[Record]:
        partition = keys.ROUND_RECORD.partition(model=model)
        above = keys.FLEET_RECORD.key(model=model, at=text(since))["sk"]
        items = [
            item
            for kind, limit, lowest in ((keys.ROUND_RECORD, RECENT, None), (keys.FLEET_RECORD, of_fleet, above))
            for item in self._table.query(partition, kind.prefix, newest_first=True, limit=limit, above=lowest)
        ]
        return [record for record in readable(Record, items) if record.at >= since]

    def outgoing(self, limit: int) -> list[tuple[Key, Record]]:
        """Records that CloudWatch does not have yet, and the keys under which they wait."""
        items = self._table.query(keys.OUTGOING.partition(), keys.OUTGOING.prefix, limit=limit)
        read = ((item, readable_one(Record, item)) for item in items)
        return [({"pk": item["pk"], "sk": item["sk"]}, record) for item, record in read if record]

    def delivered(self, key: Key) -> None:
        """CloudWatch has it; a repeat is no matter."""
        self._table.delete(key)

    # ---- thresholds

    def thresholds(self, model: str) -> list[Threshold]:
        """The thresholds that operators have set."""
        items = self._table.query(keys.THRESHOLD.partition(model=model), keys.THRESHOLD.prefix)
        return list(readable(Threshold, items))

    def set_threshold(self, threshold: Threshold) -> None:
        """Store a threshold in the place of the one before; a repeat is the same."""
        key = keys.THRESHOLD.key(model=threshold.model, metric=threshold.metric)
        self._table.put(Put(table=self._table, key=key, item=to_item(threshold), condition=ANYTHING))

    # ---- alerts

    def now(self) -> Now:
        """The pulse, what fails, and each metric's last alert, of all models: one request."""
        first, last = keys.ALERT.prefix, keys.TROUBLE.prefix + LAST
        rows = list(self._table.query(keys.PULSE.partition(), "", above=first, below=last))
        by_kind = {
            kind: [row for row in rows if row["sk"].startswith(kind.prefix)]
            for kind in (keys.PULSE, keys.TROUBLE, keys.SILENCE, keys.ALERT)
        }
        pulse = next(readable(Pulse, by_kind[keys.PULSE]), None)
        return Now(
            pulse=pulse,
            troubles=tuple(readable(Trouble, by_kind[keys.TROUBLE])),
            silences=tuple(readable(Silence, by_kind[keys.SILENCE])),
            alerts=tuple(readable(Alert, by_kind[keys.ALERT])),
        )

    def alerts(self, model: str) -> dict[str, Alert]:
        """The last alert of each metric of a model that ever had one, whatever became of it: one request."""
        items = self._table.query(keys.ALERT.partition(), f"{keys.ALERT.prefix}{model}#")
        return {alert.metric: alert for alert in readable(Alert, items)}

    def past(self, model: str, metric: str, limit: int) -> list[Alert]:
        """The alerts of a metric before its last one, newest first."""
        prefix = f"{keys.PAST_ALERT.prefix}{metric}#"
        items = self._table.query(keys.PAST_ALERT.partition(model=model), prefix, newest_first=True, limit=limit)
        return list(readable(Alert, items))

    def open(self, alert: Alert, last: Alert | None) -> bool:
        """Store a new alert in the place of the metric's last one, which is kept; False when somebody else opened one since."""
        if last is None:
            condition, keep = NEW, []
        else:
            condition = Condition(
                "#number = :last AND attribute_exists(#cleared_at)", "the last one has ended", {":last": last.number}
            )
            key = keys.PAST_ALERT.key(model=last.model, metric=last.metric, number=last.number)
            keep = [Put(table=self._table, key=key, item=to_item(last), condition=ANYTHING)]
        try:
            opened = Put(table=self._table, key=_alert_key(alert), item=to_item(alert), condition=condition)
            self._table.transact([opened, *keep])
        except ConditionFailed:
            return False
        return True

    def silence(self, silence: Silence) -> None:
        """Store a silence in the place of the one before; a repeat is the same."""
        key = keys.SILENCE.key(model=silence.model, metric=silence.metric)
        self._table.put(Put(table=self._table, key=key, item=to_item(silence), condition=ANYTHING))

    def silences(self, model: str) -> list[Silence]:
        """What was last said of each metric of a model that was ever silenced, be it over: one request."""
        return list(readable(Silence, self._table.query(keys.SILENCE.partition(), f"{keys.SILENCE.prefix}{model}#")))

    def take_publication(self, alert: Alert, now: datetime) -> bool:
        """Set out to publish an alert, if nobody else has since it was read, and it is neither published nor cleared."""
        condition = Condition(
            "#number = :number AND #publishing_at = :was AND attribute_not_exists(#published_at) "
            "AND attribute_not_exists(#cleared_at)",
            "nobody else is at it, and there is still something to say",
            {":number": alert.number, ":was": text(alert.publishing_at)},
        )
        return self._change(alert, condition, {"publishing_at": text(now)}) is not None

    def published(self, alert: Alert, now: datetime) -> None:
        """Note that an alert was published; a repeat changes nothing."""
        condition = Condition(
            "#number = :number AND attribute_not_exists(#published_at)", "it was not noted before", {":number": alert.number}
        )
        self._change(alert, condition, {"published_at": text(now)})

    def clear(self, alert: Alert, now: datetime) -> bool:
        """End an alert; False when it had ended before."""
        condition = Condition(
            "#number = :number AND attribute_not_exists(#cleared_at)", "it is still open", {":number": alert.number}
        )
        changes = {"cleared_at": text(now), "ttl": int((now + KEEP_CLEARED).timestamp())}
        return self._change(alert, condition, changes) is not None

    def acknowledge(self, alert: Alert, by: str, now: datetime) -> Alert | None:
        """Note who looks after an open alert, and return it; None when it was cleared, or somebody did before."""
        condition = Condition(
            "#number = :number AND attribute_not_exists(#cleared_at) AND attribute_not_exists(#acknowledged_at)",
            "it is open and nobody looks after it",
            {":number": alert.number},
        )
        return self._change(alert, condition, {"acknowledged_at": text(now), "acknowledged_by": by})

    def _change(self, alert: Alert, condition: Condition, changes: Item) -> Alert | None:
        try:
            item = self._table.update_and_read(
                Update(table=self._table, key=_alert_key(alert), condition=condition, set=changes)
            )
        except ConditionFailed:
            return None
        return from_item(Alert, item)


def _record_key(record: Record) -> Key:
    if record.round is None:
        return keys.FLEET_RECORD.key(model=record.model, at=text(record.at))
    return keys.ROUND_RECORD.key(model=record.model, number=record.round)


def _alert_key(alert: Alert) -> Key:
    return keys.ALERT.key(model=alert.model, metric=alert.metric)


def is_whole(records: Sequence[Record], most_of_fleet: int = RECENT) -> bool:
    """Whether records are all of their time: of each kind fewer than are read at most."""
    of_rounds = sum(record.round is not None for record in records)
    return of_rounds < RECENT and len(records) - of_rounds < most_of_fleet
