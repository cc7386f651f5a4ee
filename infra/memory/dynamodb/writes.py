"""One write of one row: checked as far as it can be without looking, then held against the row that is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from infra.memory.dynamodb import capacity, changes, conditions
from infra.memory.dynamodb.attributes import ITEM_BYTES, Item, copied_item, invalid, size_of, taken
from infra.memory.dynamodb.changes import Impossible, UpdateExpression
from infra.memory.dynamodb.conditions import ConditionPart
from infra.memory.dynamodb.expressions import Path, Placeholders
from infra.memory.dynamodb.tables import Key, StoredTable
from infra.memory.service import ServiceError

FAILED = "The conditional request failed"


class ConditionalCheckFailed(ServiceError):
    """The row that is there does not meet the condition. `found` is that row, if the write wanted to know."""

    def __init__(self, found: Item | None) -> None:
        super().__init__("ConditionalCheckFailedException", FAILED, members={"Item": found} if found else {})
        self.found = found


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWrite:
    """A write that may be tried. What it makes of a row is `after`."""

    table: StoredTable
    key: Key
    given: Placeholders
    condition: ConditionPart | None
    tells: bool
    """Whether a failed condition tells what was there."""
    item: Item | None = None
    """What a Put writes."""
    change: UpdateExpression | None = None
    """What an Update does."""
    creates: bool = False
    """Whether it is an Update: one of no row makes a row."""
    looks: bool = False
    """Whether it is a ConditionCheck, which changes nothing."""
    paths: tuple[Path, ...] = ()
    """What an Update changes."""

    def after(self) -> Item | None:
        """The row as it will be; None when there will be none.

        Raises:
            ConditionalCheckFailed: the condition does not hold.
            Impossible: the update cannot be made of this row.
        """
        before = self.table.get(self.key)
        if self.condition is not None and not self.condition.holds(before or {}, self.given):
            raise ConditionalCheckFailed(copied_item(before) if before and self.tells else None)
        if self.looks:
            return before
        if not self.creates:
            return self.item
        row = before if before is not None else self.table.as_key(self.key)
        made = self.change.apply(row, self.given) if self.change else row
        if size_of(made) > ITEM_BYTES:
            raise Impossible("Item size to update has exceeded the maximum allowed size")
        return made

    def written(self, after: Item | None) -> float:
        """Units of capacity that it costs to make this of the row that is there."""
        return capacity.writing(self.table.size(self.key), size_of(after or {}))


def put(table: StoredTable, request: Mapping[str, Any]) -> PlannedWrite:
    """A PutItem, or the Put of a transaction."""
    item = {name: taken(value) for name, value in request["Item"].items()}
    key = table.key_of(item)
    if size_of(item) > ITEM_BYTES:
        raise invalid("Item size has exceeded the maximum allowed size")
    given = Placeholders.of(request, "ConditionExpression")
    return PlannedWrite(table=table, key=key, given=given, **_condition(request, given), item=item)


def update(table: StoredTable, request: Mapping[str, Any]) -> PlannedWrite:
    """An UpdateItem, or the Update of a transaction."""
    key = table.exact_key(request["Key"])
    given = Placeholders.of(request, "UpdateExpression", "ConditionExpression")
    change = changes.read(request["UpdateExpression"]) if "UpdateExpression" in request else None
    paths = change.bind(given, table.names) if change else ()
    return PlannedWrite(
        table=table, key=key, given=given, **_condition(request, given), change=change, creates=True, paths=paths
    )


def delete(table: StoredTable, request: Mapping[str, Any]) -> PlannedWrite:
    """A DeleteItem, or the Delete of a transaction."""
    given = Placeholders.of(request, "ConditionExpression")
    return PlannedWrite(table=table, key=table.exact_key(request["Key"]), given=given, **_condition(request, given))


def check(table: StoredTable, request: Mapping[str, Any]) -> PlannedWrite:
    """The ConditionCheck of a transaction."""
    given = Placeholders.of(request, "ConditionExpression")
    return PlannedWrite(table=table, key=table.exact_key(request["Key"]), given=given, **_condition(request, given), looks=True)


class _Conditional(TypedDict):
    condition: ConditionPart | None
    tells: bool


def _condition(request: Mapping[str, Any], given: Placeholders) -> _Conditional:
    wanted = request.get("ReturnValuesOnConditionCheckFailure", "NONE")
    if wanted not in ("NONE", "ALL_OLD"):
        raise invalid("Return values on condition check failure set to invalid value")
    test = None
    if "ConditionExpression" in request:
        test = conditions.read(request["ConditionExpression"]).bind(given)
    given.all_used()
    return {"condition": test, "tells": wanted == "ALL_OLD"}
