"""DynamoDB tables whose every write states one condition.

Three things are done here so that nobody else needs to think of them:

* **A write knows its own repeat.** botocore sends a request again when the response was lost; the repeat of a conditional
  write then fails against its own success. Every write carries a fresh `op_id`; when a condition fails and the row that is
  there carries this very id, the write did win, and says so. (AWS: "Conditional writes and idempotence".)
* **The loser learns what was there.** A failed condition raises `ConditionFailed` with the row as it stood.
* **Nothing is believed that is not whole** (`answers`). A read asks for `ConsumedCapacity`, which comes with every whole
  answer: one without a row and without it is a failure, and never "no such row". A write asks for it too, because it is
  counted (`chalicelib.metering`).

Expressions are DynamoDB's own, with one habit: attribute names are written `#name`, so that no reserved word bites, and the
name placeholders are found here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from chalicelib.storage.answers import BrokenAnswer, insist
from chalicelib.storage.rows import Item, from_stored, to_stored
from muster.layout import Key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.client import DynamoDBClient


@dataclass(frozen=True, slots=True)
class Condition:
    """What a write expects to find, in DynamoDB's words, and why in ours."""

    expression: str
    because: str
    values: Mapping[str, Any] = field(default_factory=dict)


def both(one: Condition, other: Condition) -> Condition:
    """That one condition holds, and the other too. Their values have different names."""
    expression = f"{one.expression} AND {other.expression}"
    return Condition(expression, f"{one.because}, and {other.because}", {**one.values, **other.values})


CAPACITY = "ConsumedCapacity"
WITH_CAPACITY: Mapping[str, Any] = {"ReturnConsumedCapacity": "TOTAL"}

READ_BATCH = 100
"""Rows that one request reads by their keys (AWS: "BatchGetItem")."""

UNPROCESSED = "UnprocessedKeys"
"""What comes with every whole answer to a read of many keys, empty or not."""

LAST = "~"
"""Sorts after every character that a key is made of."""

NEW = Condition("attribute_not_exists(#pk)", "nobody has written this row before")


class ConditionFailed(Exception):
    """A write found something else than it expected; nothing was changed.

    `found` is the row that was there (without types), or None when there was none.
    """

    def __init__(self, condition: Condition, found: Item | None) -> None:
        super().__init__(f"expected that {condition.because}; found {'nothing' if found is None else 'another row'}")
        self.condition = condition
        self.found = found


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A whole row to be written, if the condition holds."""

    table: Table
    key: Key
    item: Item
    condition: Condition = NEW


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Attributes to be set, added to or removed, if the condition holds. `a.b` in `set` names member b of the map a.

    A repeat may add a number twice. So `add` is for sets, for hints, and for numbers inside a transaction that has another
    write whose condition the repeat fails.
    """

    table: Table
    key: Key
    condition: Condition
    set: Item = field(default_factory=dict)
    add: Item = field(default_factory=dict)
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConditionCheck:
    """A row that a transaction only looks at, and the condition that it must meet."""

    table: Table
    key: Key
    condition: Condition


class Table:
    """One table. Reads are strongly consistent unless said otherwise."""

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self._client = client
        self.name = name

    def get(self, key: Key) -> Item | None:
        """The row under this key, or None."""
        response = insist(
            self._client.get_item, CAPACITY, TableName=self.name, Key=_typed(key), ConsistentRead=True, **WITH_CAPACITY
        )
        return _plain(response["Item"]) if "Item" in response else None

    def get_all(self, keys: Iterable[Key]) -> dict[tuple[str, str], Item]:
        """Those rows under these keys (any two differ) that are there, by partition key and sort key; one request for a
        hundred. Each is as it was at some instant of the read, all of them not at one.

        Raises:
            BrokenAnswer: DynamoDB left some of them out, every time.
        """
        found = self.get_beside((self, key) for key in keys)
        return {(pk, sk): item for (_, pk, sk), item in found.items()}

    def get_beside(self, places: Iterable[tuple[Table, Key]]) -> dict[tuple[str, str, str], Item]:
        """The same of several tables, by table, partition key and sort key."""
        wanted = list(places)
        found: dict[tuple[str, str, str], Item] = {}
        for start in range(0, len(wanted), READ_BATCH):
            asked: dict[str, Any] = {}
            for table, key in wanted[start : start + READ_BATCH]:
                asked.setdefault(table.name, {"Keys": [], "ConsistentRead": True})["Keys"].append(_typed(key))
            answer = insist(self._all_of, "Responses", UNPROCESSED, RequestItems=asked, **WITH_CAPACITY)
            for name, items in answer["Responses"].items():
                found |= {(name, item["pk"], item["sk"]): item for item in map(_plain, items)}
        return found

    def _all_of(self, **request: Any) -> Any:
        """An answer that leaves rows out, because a partition is at its limit, is not whole."""
        answer: Any = self._client.batch_get_item(**request)
        for name, left in answer.get(UNPROCESSED, {}).items():
            if rows := left.get("Keys", []):
                raise BrokenAnswer(f"expected all rows that were asked of {name}, got all but {len(rows)}")
        return answer

    def put(self, write: Put) -> None:
        """Write a whole row.

        Raises:
            ConditionFailed: the condition does not hold.
        """
        op_id = uuid4().hex
        try:
            insist(self._client.put_item, **_put(write, op_id), **WITH_CAPACITY)
        except self._client.exceptions.ConditionalCheckFailedException as error:
            _forgive_own(write.condition, op_id, error.response.get("Item"))

    def update(self, write: Update) -> None:
        """Change a row.

        Raises:
            ConditionFailed: the condition does not hold.
        """
        self._change(write, "NONE")

    def update_and_read(self, write: Update) -> Item:
        """Change a row, and return it as it is after the change.

        Raises:
            ConditionFailed: the condition does not hold.
        """
        return self._change(write, "ALL_NEW")

    def _change(self, write: Update, returned: Literal["NONE", "ALL_NEW"]) -> Item:
        op_id = uuid4().hex
        wanted = ("Attributes",) if returned == "ALL_NEW" else ()
        try:
            changed = {**_update(write, op_id), **WITH_CAPACITY}
            response = insist(self._client.update_item, *wanted, **changed, ReturnValues=returned)
        except self._client.exceptions.ConditionalCheckFailedException as error:
            return _forgive_own(write.condition, op_id, error.response.get("Item"))
        return _plain(response.get("Attributes", {}))

    def accumulate(self, key: Key, amounts: Mapping[str, float], and_set: Item | None = None) -> None:
        """Add numbers to a row, which is made if it is not there. A repeat that comes before another write adds nothing."""
        op_id = uuid4().hex
        fresh = Condition(
            "attribute_not_exists(#op_id) OR #op_id <> :own", "this very write was not done before", {":own": op_id}
        )
        write = Update(table=self, key=key, condition=fresh, set=and_set or {}, add=dict(amounts))
        try:
            insist(self._client.update_item, **_update(write, op_id), ReturnValues="NONE", **WITH_CAPACITY)
        except self._client.exceptions.ConditionalCheckFailedException as error:
            _forgive_own(fresh, op_id, error.response.get("Item"))

    def delete(self, key: Key) -> None:
        """Delete a row; one that is gone already is no matter."""
        insist(self._client.delete_item, TableName=self.name, Key=_typed(key), **WITH_CAPACITY)

    def query(
        self,
        partition: str,
        prefix: str,
        *,
        newest_first: bool = False,
        above: str | None = None,
        below: str | None = None,
        after: str | None = None,
        limit: int | None = None,
        attributes: Sequence[str] = (),
        consistent: bool = True,
    ) -> Iterator[Item]:
        """Rows of a partition whose sort key begins with `prefix`, page after page, up to `limit`.

        Only those from the sort key `above` and up to the sort key `below`, or only those that follow the sort key `after`.
        With `attributes`, only these of each row. A read that is not `consistent` costs half, and may miss the last second.
        """
        names = {f"#{name}": name for name in ("pk", "sk", *attributes)}
        request: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": "#pk = :pk AND begins_with(#sk, :prefix)",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": _typed({":pk": partition, ":prefix": prefix}),
            "ConsistentRead": consistent,
            "ScanIndexForward": not newest_first,
            **WITH_CAPACITY,
        }
        if attributes:
            request["ProjectionExpression"] = ", ".join(f"#{name}" for name in attributes)
        if above is not None or below is not None:
            lowest, highest = above or prefix, below or prefix + LAST
            if lowest > highest:
                return  # a range without keys, which DynamoDB would refuse
            request["KeyConditionExpression"] = "#pk = :pk AND #sk BETWEEN :lowest AND :highest"
            request["ExpressionAttributeValues"] = _typed({":pk": partition, ":lowest": lowest, ":highest": highest})
        if after is not None:
            request["ExclusiveStartKey"] = _typed({"pk": partition, "sk": after})
        left = limit
        while left is None or left > 0:
            if left is not None:
                request["Limit"] = left
            page = insist(self._client.query, "Items", "Count", CAPACITY, **request)
            for item in page["Items"]:
                yield _plain(item)
            left = None if left is None else left - len(page["Items"])
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def last(self, partition: str, prefix: str) -> Item | None:
        """The row with the highest sort key that begins with `prefix`, or None."""
        return next(self.query(partition, prefix, newest_first=True, limit=1), None)

    def transact(self, writes: Sequence[Put | Update | ConditionCheck]) -> None:
        """All of the writes (of any tables, at most one a row), or none; none if a check does not hold. A conflict with another
        one is tried again.

        Raises:
            ConditionFailed: of the first write whose condition does not hold.
            botocore.exceptions.ClientError: cancelled for another reason, or in conflict every time; nothing was changed.
        """
        op_id = uuid4().hex
        actions: list[Any] = [_action(write, op_id) for write in writes]
        try:
            insist(self._client.transact_write_items, TransactItems=actions, ClientRequestToken=op_id, **WITH_CAPACITY)
        except self._client.exceptions.TransactionCanceledException as error:
            failed = [
                (write.condition, reason.get("Item"))
                for write, reason in zip(writes, _reasons(error), strict=True)
                if reason.get("Code") == "ConditionalCheckFailed"
            ]
            if not failed:
                raise
            for condition, item in failed:
                _forgive_own(condition, op_id, item)


def _reasons(error: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = error.response.get("CancellationReasons", [])
    return found


def _action(write: Put | Update | ConditionCheck, op_id: str) -> Any:
    match write:
        case Put():
            return {"Put": _put(write, op_id)}
        case Update():
            return {"Update": _update(write, op_id)}
        case ConditionCheck():
            return {"ConditionCheck": _check(write)}


def _check(write: ConditionCheck) -> Any:
    request: dict[str, Any] = {
        "TableName": write.table.name,
        "Key": _typed(write.key),
        "ConditionExpression": write.condition.expression,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return request | _placeholders(write.condition.expression, write.condition.values)


def _put(write: Put, op_id: str) -> Any:
    request: dict[str, Any] = {
        "TableName": write.table.name,
        "Item": _typed({**write.item, **write.key, "op_id": op_id}),
        "ConditionExpression": write.condition.expression,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return request | _placeholders(write.condition.expression, write.condition.values)


def _update(write: Update, op_id: str) -> Any:
    assignments = {**write.set, "op_id": op_id}
    paths = {name: (f"#{name}".replace(".", ".#"), f":set_{name}".replace(".", "_")) for name in assignments}
    expression = "SET " + ", ".join(f"{path} = {value}" for path, value in paths.values())
    values = {paths[name][1]: value for name, value in assignments.items()}
    if write.add:
        expression += " ADD " + ", ".join(f"#{name} :add_{name}" for name in write.add)
        values |= {f":add_{name}": value for name, value in write.add.items()}
    if write.remove:
        expression += " REMOVE " + ", ".join(f"#{name}" for name in write.remove)
    request: dict[str, Any] = {
        "TableName": write.table.name,
        "Key": _typed(write.key),
        "UpdateExpression": expression,
        "ConditionExpression": write.condition.expression,
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    return request | _placeholders(f"{expression} {write.condition.expression}", values | dict(write.condition.values))


def _placeholders(expression: str, values: Mapping[str, Any]) -> dict[str, Any]:
    names = {f"#{name}": name for name in re.findall(r"#(\w+)", expression)}
    found: dict[str, Any] = {"ExpressionAttributeNames": names} if names else {}
    return found | ({"ExpressionAttributeValues": _typed(values)} if values else {})


def _forgive_own(condition: Condition, op_id: str, item: Any) -> Item:
    found = _plain(item) if item else None
    if found is not None and found.get("op_id") == op_id:
        return found
    raise ConditionFailed(condition, found)


def _typed(values: Mapping[str, Any]) -> dict[str, Any]:
    from boto3.dynamodb.types import TypeSerializer

    serialize = TypeSerializer().serialize
    return {name: serialize(to_stored(value)) for name, value in values.items()}


def _plain(item: Mapping[str, Any]) -> Item:
    return {name: from_stored(value) for name, value in item.items()}
