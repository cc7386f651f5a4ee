"""Transactions: all of the writes or none, and reads of one instant (AWS: "Amazon DynamoDB Transactions: How it works")."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.memory.dynamodb import capacity, writes
from infra.memory.dynamodb.attributes import Item, copied_item, invalid, size_of
from infra.memory.dynamodb.changes import Impossible
from infra.memory.dynamodb.expressions import Placeholders, projected, projection
from infra.memory.dynamodb.tables import Key, StoredTable
from infra.memory.dynamodb.writes import ConditionalCheckFailed, PlannedWrite
from infra.memory.service import Answer, Request, ServiceError, only

MOST_ACTIONS = 100
"""AWS: "TransactWriteItems"."""

MOST_BYTES = 4 << 20
"""Of all items of a transaction (the same page)."""

TOKEN_SECONDS = 600.0
"""How long a ClientRequestToken is remembered (the same page)."""

LONGEST_TOKEN = 36

_CONDITIONAL = (
    "TableName ConditionExpression ExpressionAttributeNames ExpressionAttributeValues ReturnValuesOnConditionCheckFailure"
)
PLANS: Mapping[str, tuple[Callable[[StoredTable, Mapping[str, Any]], PlannedWrite], str]] = {
    "Put": (writes.put, f"Item {_CONDITIONAL}"),
    "Update": (writes.update, f"Key UpdateExpression {_CONDITIONAL}"),
    "Delete": (writes.delete, f"Key {_CONDITIONAL}"),
    "ConditionCheck": (writes.check, f"Key {_CONDITIONAL}"),
}
"""How each action is planned, and the parameters that it knows."""


@dataclass(slots=True)
class IdempotencyTokens:
    """The tokens of transactions that were done."""

    now: Callable[[], float]
    _done: dict[str, tuple[float, str]] = field(default_factory=dict)

    def repeats(self, token: str | None, actions: Sequence[Any]) -> bool:
        """Whether this very transaction was done under this token before.

        Raises:
            ServiceError: another transaction was.
        """
        if token is None or token not in self._done:
            return False
        until, said = self._done[token]
        if until < self.now():
            return False
        if said != _said(actions):
            says = "The request uses the same client token as a previous, but non-identical request."
            raise ServiceError("IdempotentParameterMismatchException", says)
        return True

    def keep(self, token: str | None, actions: Sequence[Any]) -> None:
        """This transaction is done."""
        if token is not None:
            self._done[token] = (self.now() + TOKEN_SECONDS, _said(actions))


def write(table: Callable[[str], StoredTable], request: Request, tokens: IdempotencyTokens) -> Answer:
    """TransactWriteItems."""
    actions = request["TransactItems"]
    planned = [_planned(table, action) for action in _few(actions)]
    _apart([(one.table.name, one.key) for one in planned])
    token = request.get("ClientRequestToken")
    if token is not None and len(token) > LONGEST_TOKEN:
        says = f"failed to satisfy constraint: Member must have length less than or equal to {LONGEST_TOKEN}"
        raise invalid(f"1 validation error detected: Value '{token}' at 'clientRequestToken' {says}")
    if tokens.repeats(token, actions):
        return _consumed(request, [(one.table.name, _reading(one.table, one.key)) for one in planned], "Read")
    made, reasons = _tried(planned)
    if any(reason["Code"] != "None" for reason in reasons):
        raise _cancelled(reasons)
    if sum(size_of(row) for row in made if row is not None) > MOST_BYTES:
        raise invalid("Collection size of items in transaction exceeds 4MB limit")
    units = []
    for one, row in zip(planned, made, strict=True):
        if capacity.is_wanted(request):
            units.append((one.table.name, capacity.TRANSACTION * one.written(row)))
        if not one.looks:
            one.table.put(one.key, row)
    tokens.keep(token, actions)
    return _consumed(request, units, "Write")


def read(table: Callable[[str], StoredTable], request: Request) -> Answer:
    """TransactGetItems."""
    gets = []
    for action in _few(request["TransactItems"]):
        get = action["Get"]
        only("Get", get, "TableName Key ProjectionExpression ExpressionAttributeNames")
        place = table(get["TableName"])
        given = Placeholders.of(get, "ProjectionExpression")
        gets.append((place, place.exact_key(get["Key"]), projection(get, given)))
        given.all_used()
    _apart([(place.name, key) for place, key, _ in gets])
    found = [(place.get(key), paths) for place, key, paths in gets]
    responses = [{"Item": projected(row, paths) if paths else copied_item(row)} if row else {} for row, paths in found]
    units = [(place.name, _reading(place, key)) for place, key, _ in gets]
    return {"Responses": responses, **_consumed(request, units, "Read")}


def _few(actions: Sequence[Any]) -> Sequence[Any]:
    if len(actions) > MOST_ACTIONS:
        says = f"failed to satisfy constraint: Member must have length less than or equal to {MOST_ACTIONS}"
        raise invalid(f"1 validation error detected: Value at 'transactItems' {says}")
    return actions


def _planned(table: Callable[[str], StoredTable], action: Mapping[str, Any]) -> PlannedWrite:
    if len(action) > 1:
        raise invalid("TransactItems can only contain one of Check, Put, Update or Delete")
    if not action:
        raise invalid("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request")
    ((kind, request),) = action.items()
    plan, known = PLANS[kind]
    only(f"{kind} in a transaction", request, known)
    return plan(table(request["TableName"]), request)


def _apart(places: Sequence[tuple[str, Key]]) -> None:
    if len(set(places)) < len(places):
        raise invalid("Transaction request cannot include multiple operations on one item")


def _tried(planned: Sequence[PlannedWrite]) -> tuple[list[Item | None], list[dict[str, Any]]]:
    """What each write would make, and why it cannot."""
    made: list[Item | None] = []
    reasons: list[dict[str, Any]] = []
    for one in planned:
        try:
            made.append(one.after())
            reasons.append({"Code": "None"})
        except ConditionalCheckFailed as failed:
            found = {"Item": failed.found} if failed.found else {}
            reasons.append({"Code": "ConditionalCheckFailed", "Message": failed.message, **found})
        except Impossible as impossible:
            reasons.append({"Code": "ValidationError", "Message": impossible.message})
    return made, reasons


def _cancelled(reasons: list[dict[str, Any]]) -> ServiceError:
    codes = ", ".join(reason["Code"] for reason in reasons)
    says = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    return ServiceError("TransactionCanceledException", says, members={"CancellationReasons": reasons})


def _reading(table: StoredTable, key: Key) -> float:
    return capacity.TRANSACTION * capacity.reading(table.size(key), consistent=True)


def _consumed(request: Request, units: Sequence[tuple[str, float]], kind: str) -> Answer:
    if not capacity.is_wanted(request):
        return {}
    by_table: dict[str, float] = {}
    for name, count in units:
        by_table[name] = by_table.get(name, 0.0) + count
    said = []
    for name, count in by_table.items():
        answered = capacity.consumed(request, name, count)["ConsumedCapacity"]
        said.append({**answered, f"{kind}CapacityUnits": count})
    return {"ConsumedCapacity": said}


def _said(actions: Sequence[Any]) -> str:
    return json.dumps(actions, sort_keys=True, default=repr)
