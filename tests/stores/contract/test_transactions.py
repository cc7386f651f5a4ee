"""DynamoDB: all of the writes of a transaction, or none."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from infra.memory.dynamodb.api import DynamoDB
from tests.stores.contract.places import CANCELLED, INVALID, Rows, key, n, refusal, s, values

ABSENT = {"ConditionExpression": "attribute_not_exists(pk)"}
THERE = {"ConditionExpression": "attribute_exists(pk)"}
TELL = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


def test_every_kind_of_action_is_done(rows: Rows) -> None:
    for sort in ("changed", "deleted", "checked"):
        rows.put(sort, v=n(1))
    rows.transact(
        rows.action("Put", "put", Item={"v": n(1)}, **ABSENT),
        rows.action("Update", "changed", UpdateExpression="SET v = v + :v ADD tags :t", **values(v=n(1), t={"SS": ["x"]})),
        rows.action("Delete", "deleted", **THERE),
        rows.action("ConditionCheck", "checked", ConditionExpression="v = :v", **values(v=n(1))),
    )
    assert rows.sorts() == ["changed", "checked", "put"]
    assert rows.get("changed") == {"v": n(2), "tags": {"SS": ["x"]}}
    assert (rows.get("put"), rows.get("checked")) == ({"v": n(1)}, {"v": n(1)})


@pytest.mark.parametrize("last", ["Put", "Update", "Delete", "ConditionCheck"])
def test_a_condition_that_fails_undoes_all(rows: Rows, last: str) -> None:
    rows.put("one", v=n(1))
    rows.put("two", v=n(1))
    update: Any = {"UpdateExpression": "SET v = :v", **values(v=n(2))}
    failing: Any = {"ConditionExpression": "v = :two", "ExpressionAttributeValues": {":two": n(2)}, **TELL}
    if last == "Update":
        failing |= {"UpdateExpression": "SET v = :two"}
    actions = [
        rows.action("Put", "new", Item={"v": n(1)}), rows.action("Update", "one", **update), rows.action(last, "two", **failing)
    ]  # fmt: skip
    answer = refusal(lambda: rows.transact(*actions), CANCELLED, r"\[None, None, ConditionalCheckFailed\]")
    one, two, reason = answer["CancellationReasons"]
    assert (one, two) == ({"Code": "None"}, {"Code": "None"})
    assert (reason["Code"], reason["Item"]) == ("ConditionalCheckFailed", key("two") | {"v": n(1)})
    assert reason["Message"].startswith("The conditional request failed")
    assert (rows.sorts(), rows.get("one"), rows.get("two")) == (["one", "two"], {"v": n(1)}, {"v": n(1)})


def test_every_condition_that_fails_is_told_and_its_row_only_if_it_is_wanted(rows: Rows) -> None:
    rows.put("one", v=n(1))
    actions = [
        rows.action("Put", "one", **ABSENT, **TELL), rows.action("Put", "none", **THERE, **TELL),
        rows.action("ConditionCheck", "other", **THERE), rows.action("Put", "good", **ABSENT),
    ]  # fmt: skip
    reasons = refusal(lambda: rows.transact(*actions), CANCELLED)["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == [*["ConditionalCheckFailed"] * 3, "None"]
    assert [reason.get("Item") for reason in reasons] == [key("one") | {"v": n(1)}, None, None, None]


def test_conditions_look_at_the_rows_as_they_were_before_any_write(rows: Rows) -> None:
    refusal(lambda: rows.transact(rows.action("Put", "a"), rows.action("ConditionCheck", "b", **THERE)), CANCELLED)
    assert rows.sorts() == []


@pytest.mark.parametrize(
    ("update", "says"),
    [
        ({"UpdateExpression": "SET gone.x = :v", **values(v=n(1))}, "The document path provided"),
        ({"UpdateExpression": "ADD v :v", **values(v={"SS": ["x"]})}, "incorrect data type"),
        ({"UpdateExpression": "SET fill = :v", **values(v=s("x" * 409_600))}, "Item size to update has exceeded"),
    ],
    ids=["path", "type", "size"],
)
def test_an_update_that_cannot_be_made_of_the_row_cancels(rows: Rows, update: Any, says: str) -> None:
    """AWS: "TransactWriteItems", CancellationReasons, Validation Error."""
    rows.put("one", v=n(1))
    actions = [rows.action("Put", "new"), rows.action("Update", "one", **update)]
    none, reason = refusal(lambda: rows.transact(*actions), CANCELLED)["CancellationReasons"]
    assert (none["Code"], reason["Code"]) == ("None", "ValidationError")
    assert says in reason["Message"]
    assert (rows.sorts(), rows.get("one")) == (["one"], {"v": n(1)})


def test_no_row_is_written_twice(rows: Rows) -> None:
    for kinds in (("Put", "Put"), ("Put", "Delete"), ("Put", "ConditionCheck")):
        actions = [rows.action(kind, "a", **(THERE if kind.endswith("Check") else {})) for kind in kinds]
        refusal(partial(rows.transact, *actions), INVALID, "cannot include multiple operations on one item")
    assert rows.sorts() == []


def test_a_transaction_has_at_most_100_actions(rows: Rows) -> None:
    actions = [rows.action("Put", f"{number:03d}") for number in range(101)]
    refusal(lambda: rows.transact(*actions), INVALID, "Member must have length less than or equal to 100")
    assert rows.sorts() == []
    rows.transact(*actions[:100])
    assert len(rows.sorts()) == 100


def test_a_transaction_has_at_most_four_megabytes(rows: Rows) -> None:
    actions = [rows.action("Put", f"{number:02d}", Item={"fill": s("x" * 400_000)}) for number in range(11)]
    refusal(lambda: rows.transact(*actions), INVALID)
    assert rows.sorts() == []
    rows.transact(*actions[:10])


def test_an_action_is_one_action(rows: Rows) -> None:
    both = rows.action("Put", "a") | rows.action("Delete", "b")
    refusal(lambda: rows.transact(both), INVALID, "can only contain one of Check, Put, Update or Delete")
    refusal(lambda: rows.transact({}), INVALID)


def test_what_is_not_valid_in_one_action_refuses_all(rows: Rows) -> None:
    good = rows.action("Put", "good")
    for bad, says in (
        (rows.action("Put", ""), "empty string"), (rows.action("Put", "a", Item={"v": n("x")}), "numeric|number"),
        (rows.action("Put", "a", Item={"fill": s("x" * 409_600)}), "Item size has exceeded"),
        (rows.action("Put", "a", **ABSENT, **values(v=n(1))), "unused in expressions"),
        (rows.action("Put", "a", ConditionExpression="v = :nowhere", **values(v=n(1))), "nowhere"),
        (rows.action("Update", "a", UpdateExpression="SET v = :v :v", **values(v=n(1))), "Syntax error"),
    ):  # fmt: skip
        refusal(partial(rows.transact, good, bad), INVALID, says)
    assert rows.sorts() == []


def test_a_token_makes_a_transaction_happen_once(rows: Rows) -> None:
    token = uuid4().hex
    add = rows.action("Update", "a", UpdateExpression="ADD v :v", **values(v=n(1)))
    for _ in range(3):
        rows.transact(add, ClientRequestToken=token)
    assert rows.get() == {"v": n(1)}
    rows.transact(add, ClientRequestToken=uuid4().hex)
    assert rows.get() == {"v": n(2)}


def test_a_token_is_of_one_transaction(rows: Rows) -> None:
    token = uuid4().hex
    rows.transact(rows.action("Put", "a"), ClientRequestToken=token)
    other = rows.action("Put", "b")
    refusal(lambda: rows.transact(other, ClientRequestToken=token), "IdempotentParameterMismatchException")
    assert rows.sorts() == ["a"]


def test_a_token_is_forgotten_after_ten_minutes() -> None:
    now = [0.0]
    dynamodb = DynamoDB(lambda: now[0])
    parts = [("pk", "HASH"), ("sk", "RANGE")]
    schema = [{"AttributeName": name, "KeyType": kind} for name, kind in parts]
    types = [{"AttributeName": name, "AttributeType": "S"} for name, _ in parts]
    made = {"TableName": "t", "KeySchema": schema, "AttributeDefinitions": types, "BillingMode": "PAY_PER_REQUEST"}
    dynamodb.answer("CreateTable", made)
    add: Any = {"TableName": "t", "Key": key("a"), "UpdateExpression": "ADD v :v", **values(v=n(1))}
    sums = []
    for _ in range(4):
        dynamodb.answer("TransactWriteItems", {"TransactItems": [{"Update": add}], "ClientRequestToken": "token"})
        sums.append(dynamodb.answer("GetItem", {"TableName": "t", "Key": key("a")})["Item"]["v"])
        now[0] += 301.0
    assert sums == [n(1), n(1), n(2), n(2)]


def test_a_cancelled_transaction_leaves_its_token_free(rows: Rows) -> None:
    token = uuid4().hex
    there = rows.action("Put", "a", **THERE)
    refusal(lambda: rows.transact(there, ClientRequestToken=token), CANCELLED)
    rows.put("a", v=n(1))
    rows.transact(there, ClientRequestToken=token)
    assert rows.get() == {}


def test_a_token_has_at_most_36_characters(rows: Rows) -> None:
    refusal(lambda: rows.transact(rows.action("Put", "a"), ClientRequestToken="t" * 37), INVALID, "clientRequestToken")
    assert rows.sorts() == []


def test_a_transaction_of_a_table_that_is_not_there_is_named_as_such(rows: Rows) -> None:
    put: Any = {"Put": {"TableName": f"{rows.table}-gone", "Item": key("a")}}
    refusal(lambda: rows.transact(rows.action("Put", "a"), put), "ResourceNotFoundException")
    assert rows.sorts() == []


def test_a_transaction_says_what_it_cost(rows: Rows) -> None:
    answer = rows.transact(rows.action("Put", "a"), rows.action("Put", "b", Item={"fill": s("x" * 2000)}),
                           ReturnConsumedCapacity="TOTAL")  # fmt: skip
    (cost,) = answer["ConsumedCapacity"]
    assert (cost["TableName"], cost["CapacityUnits"]) == (rows.table, 6.0)


def test_rows_are_read_together(rows: Rows) -> None:
    rows.put("a", v=n(1))
    gets: list[Any] = [{"Get": {"TableName": rows.table, "Key": key(sort)}} for sort in ("a", "gone")]
    assert rows.dynamodb.transact_get_items(TransactItems=gets)["Responses"] == [{"Item": key("a") | {"v": n(1)}}, {}]
    refusal(lambda: rows.dynamodb.transact_get_items(TransactItems=[gets[0]] * 2), INVALID, "multiple operations on one item")
