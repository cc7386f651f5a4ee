"""Rows of a round's counters. Every method is one write with one condition for each row, and says what a repeat does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal
from uuid import uuid4

from chalicelib.instants import text
from chalicelib.rounds.counters import Counters, Place, PlaceKind
from chalicelib.rounds.receipt import KEEP
from chalicelib.rounds.round import Round
from chalicelib.storage import keys
from chalicelib.storage.dynamo import Condition, ConditionFailed, Table, Update
from chalicelib.storage.rows import Item, readable_one
from muster.layout import Key

ANYTHING = Condition("attribute_exists(#pk) OR attribute_not_exists(#pk)", "whatever was counted before")


class CounterStore:
    """Counters in the `rounds` table. A row is there once something was counted in its part."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self, rnd: Round) -> Iterator[Counters]:
        """All parts' counters, in order; of a part in which nothing was counted, or whose row cannot be read, zeros."""
        where = [_key(rnd, part) for part in range(rnd.parts)]
        there = self._table.get_all(where)
        for part, key in enumerate(where):
            found = readable_one(Counters, there.get((key["pk"], key["sk"])))
            yield found or Counters(round=rnd.id, part=part, ttl=_ttl(rnd))

    def take(self, rnd: Round, kind: PlaceKind, part: int, most: int, now: datetime) -> Place | Literal["full", "closed"]:
        """Take one of a part's places, of which there are `most`.

        The counter is a hint: a place may be taken and not used, or counted twice by a repeat. It only ever errs towards
        admitting fewer, and the tick corrects it.
        """
        condition = Condition(
            f"NOT contains(#closed, :kind) AND (attribute_not_exists(#{kind}) OR #{kind} < :most)",
            "the round gives such places, and this part has one left",
            {":kind": kind, ":most": most},
        )
        mark = uuid4().hex
        change = {"place_mark": mark, "place_taken_at": text(now), **_named(rnd, part)}
        try:
            item = self._table.update_and_read(
                Update(table=self._table, key=_key(rnd, part), condition=condition, set=change, add={kind: 1})
            )
        except ConditionFailed as lost:
            return "closed" if kind in (lost.found or {}).get("closed", ()) else "full"
        return Place(kind=kind, part=part, counted=int(item[kind]), mark=mark)

    def give_back(self, rnd: Round, place: Place) -> bool:
        """Give back a place that a client took though it had one already; False when that is left to the tick.

        It is given back only while nobody else has taken or given back one since: the counter is then what it was with this
        place. So no repeat, however late, takes away a place that is another's.
        """
        condition = Condition(
            f"#place_mark = :mark AND #{place.kind} = :counted",
            "this place was the last that was taken",
            {":mark": place.mark, ":counted": place.counted},
        )
        return self._changed(
            rnd, place.part, condition, {place.kind: place.counted - 1, "place_mark": f"{place.mark} given back"}
        )

    def correct(self, rnd: Round, counters: Counters, kind: PlaceKind, given: int) -> bool:
        """Set the hint of a kind of places to those that were given; False when a place was taken since they were read."""
        was = counters.place_mark
        condition = Condition(
            "#place_mark = :was_mark" if was else "attribute_not_exists(#place_mark)",
            "no place was taken or given back since the places were counted",
            {":was_mark": was} if was else {},
        )
        return self._changed(rnd, counters.part, condition, {kind: given, **_named(rnd, counters.part)})

    def close(self, rnd: Round, kind: PlaceKind) -> None:
        """Let no more places of a kind be given in any part; a repeat changes nothing."""
        for part in range(rnd.parts):
            self._table.update(
                Update(
                    table=self._table, key=_key(rnd, part), condition=ANYTHING, set=_named(rnd, part), add={"closed": {kind}}
                )
            )

    def count_inspected(self, rnd: Round, count: int) -> int:
        """Add to the hint of settled receipts, and return what it came to. It is in the first part's row: workers settle ten
        at a time, and write far less often than clients, who each take a place.
        """
        change = Update(table=self._table, key=_key(rnd, 0), condition=ANYTHING, set=_named(rnd, 0), add={"inspected": count})
        return int(self._table.update_and_read(change)["inspected"])

    def _changed(self, rnd: Round, part: int, condition: Condition, change: Item) -> bool:
        try:
            self._table.update(Update(table=self._table, key=_key(rnd, part), condition=condition, set=change))
        except ConditionFailed:
            return False
        return True


def _key(rnd: Round, part: int) -> Key:
    return keys.COUNTERS.key(round=rnd.id, part=keys.part(part, rnd.parts))


def _named(rnd: Round, part: int) -> Item:
    """What a row says of itself that may be there for the first time."""
    return {"round": str(rnd.id), "part": part, "ttl": _ttl(rnd)}


def _ttl(rnd: Round) -> int:
    return int((rnd.report_by + KEEP).timestamp())
