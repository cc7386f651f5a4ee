"""DynamoDB: reads and writes of single rows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stores.contract.places import FAILED, INVALID, Rows, key, n, names, refusal, s, values

ABSENT = {"ConditionExpression": "attribute_not_exists(pk)"}
TELL = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
EVERYTHING: dict[str, Any] = {
    "text": s("ä"), "empty": s(""), "number": n(12), "binary": {"B": b"\x00\xff"}, "yes": {"BOOL": True},
    "none": {"NULL": True}, "map": {"M": {"inner": {"M": {}}, "list": {"L": [n(1), s("x"), {"L": []}]}}},
    "texts": {"SS": ["a", "b"]},
    "numbers": {"NS": ["1", "2"]}, "binaries": {"BS": [b"a", b"b"]},
}  # fmt: skip


def test_a_row_reads_back_as_it_was_written(rows: Rows) -> None:
    rows.put(**EVERYTHING)
    found = rows.get()
    assert found
    assert {kind: sorted(found[kind][t]) for kind, t in (("texts", "SS"), ("numbers", "NS"), ("binaries", "BS"))} == {
        "texts": ["a", "b"], "numbers": ["1", "2"], "binaries": [b"a", b"b"]
    }  # fmt: skip
    sets = ("texts", "numbers", "binaries")
    assert {name: value for name, value in found.items() if name not in sets} == {
        name: value for name, value in EVERYTHING.items() if name not in sets
    }


def test_a_row_that_is_not_there_is_an_answer_without_an_item(rows: Rows) -> None:
    assert "Item" not in rows.call("get_item", Key=key("a"))


def test_what_was_given_away_or_handed_in_can_be_changed_without_changing_the_row(rows: Rows) -> None:
    given = {"M": {"list": {"L": [n(1)]}}}
    rows.put(map=given)
    given["M"]["list"]["L"].append(n(2))
    found = rows.get()
    assert found == {"map": {"M": {"list": {"L": [n(1)]}}}}
    found["map"]["M"]["list"]["L"].clear()
    assert rows.get() == {"map": {"M": {"list": {"L": [n(1)]}}}}


def test_a_put_replaces_the_whole_row_and_can_return_it(rows: Rows) -> None:
    assert "Attributes" not in rows.put(one=n(1), ReturnValues="ALL_OLD")
    assert rows.put(other=n(2), ReturnValues="ALL_OLD")["Attributes"] == key("a") | {"one": n(1)}
    assert rows.get() == {"other": n(2)}


def test_of_two_puts_where_nothing_may_be_the_first_wins(rows: Rows) -> None:
    rows.put(v=n(1), **ABSENT)
    answer = refusal(lambda: rows.put(v=n(2), **ABSENT), FAILED, "The conditional request failed")
    assert "Item" not in answer
    assert rows.get() == {"v": n(1)}


def test_a_failed_condition_tells_what_was_there(rows: Rows) -> None:
    rows.put(v=n(1))
    assert refusal(lambda: rows.put(v=n(2), **ABSENT, **TELL), FAILED)["Item"] == key("a") | {"v": n(1)}
    there: Any = {"ConditionExpression": "attribute_exists(pk)", **TELL}
    assert "Item" not in refusal(lambda: rows.put("b", **there), FAILED), "nothing was there"
    failed = refusal(lambda: rows.update("SET v = :v", ConditionExpression="v > :v", **TELL, **values(v=n(1))), FAILED)
    assert failed["Item"] == key("a") | {"v": n(1)}
    failed = refusal(lambda: rows.call("delete_item", Key=key("a"), **ABSENT, **TELL), FAILED)
    assert failed["Item"] == key("a") | {"v": n(1)}


def test_a_delete_is_done_once_or_not_at_all_without_a_complaint(rows: Rows) -> None:
    rows.put(one=n(1))
    assert rows.call("delete_item", Key=key("a"), ReturnValues="ALL_OLD")["Attributes"] == key("a") | {"one": n(1)}
    assert "Attributes" not in rows.call("delete_item", Key=key("a"), ReturnValues="ALL_OLD")
    assert rows.get() is None


def test_a_conditional_delete_leaves_what_it_did_not_expect(rows: Rows) -> None:
    rows.put(one=n(1))
    only_two: Any = {"ConditionExpression": "one = :two", **values(two=n(2))}
    refusal(lambda: rows.call("delete_item", Key=key("a"), **only_two), FAILED)
    assert rows.get() == {"one": n(1)}


def test_a_read_can_be_of_some_attributes(rows: Rows) -> None:
    rows.put(one=n(1), map={"M": {"x": n(2), "y": n(3)}})
    request: Any = {"ProjectionExpression": "#one, #map.#x, #gone", **names("one", "map", "x", "gone")}
    assert rows.call("get_item", Key=key("a"), **request)["Item"] == {"one": n(1), "map": {"M": {"x": n(2)}}}


@pytest.mark.parametrize("wanted", ["ALL_NEW", "UPDATED_NEW", "SOMETHING"])
def test_a_put_returns_the_old_row_or_nothing(rows: Rows, wanted: str) -> None:
    refusal(lambda: rows.put(ReturnValues=wanted), INVALID, "Return values set to invalid value")


@pytest.mark.parametrize(
    "given",
    [
        {"pk": s("p")}, {"sk": s("a")}, {**key("a"), "other": n(1)}, {"pk": s("p"), "sk": n(1)}, {"pk": s(""), "sk": s("a")},
        {"pk": s("p"), "sk": s("")},
    ],
    ids=["no sk", "no pk", "too many", "wrong type", "empty pk", "empty sk"],
)  # fmt: skip
def test_a_key_is_whole_and_of_the_right_type(rows: Rows, given: Any) -> None:
    refusal(lambda: rows.call("get_item", Key=given), INVALID)
    refusal(lambda: rows.call("delete_item", Key=given), INVALID)
    if "other" not in given:
        refusal(lambda: rows.call("put_item", Item=given), INVALID)


def test_an_empty_key_attribute_is_named(rows: Rows) -> None:
    refusal(lambda: rows.put(""), INVALID, "may not contain an empty string|cannot contain an empty string value. Key: sk")


@pytest.mark.parametrize("call", ["put_item", "get_item", "update_item", "delete_item", "query", "scan", "describe_table"])
def test_a_table_that_is_not_there_is_named_as_such(rows: Rows, call: str) -> None:
    request: dict[str, Any] = {"TableName": f"{rows.table}-gone"}
    if call == "put_item":
        request["Item"] = key("a")
    elif call.endswith("item"):
        request["Key"] = key("a")
    elif call == "query":
        request |= {"KeyConditionExpression": "pk = :p", **values(p=s("p"))}
    refusal(lambda: getattr(rows.dynamodb, call)(**request), "ResourceNotFoundException")


def test_a_batch_writes_and_deletes_many_rows(rows: Rows) -> None:
    rows.put("old")
    puts: list[Any] = [{"PutRequest": {"Item": key(f"{number:02d}") | {"v": n(number)}}} for number in range(24)]
    answer = rows.dynamodb.batch_write_item(RequestItems={rows.table: [*puts, {"DeleteRequest": {"Key": key("old")}}]})
    assert answer["UnprocessedItems"] == {}
    assert rows.sorts() == [f"{number:02d}" for number in range(24)]


def test_a_batch_has_at_most_25_rows(rows: Rows) -> None:
    puts: list[Any] = [{"PutRequest": {"Item": key(f"{number:02d}")}} for number in range(26)]
    refusal(lambda: rows.dynamodb.batch_write_item(RequestItems={rows.table: puts}), INVALID, "Too many items")
    assert rows.sorts() == []


def test_a_batch_has_no_row_twice(rows: Rows) -> None:
    puts: list[Any] = [{"PutRequest": {"Item": key("a") | {"v": n(number)}}} for number in range(2)]
    refusal(lambda: rows.dynamodb.batch_write_item(RequestItems={rows.table: puts}), INVALID, "contains duplicates")
    assert rows.sorts() == []


def test_an_answer_says_what_it_cost_if_it_is_asked(rows: Rows) -> None:
    total: Any = {"ReturnConsumedCapacity": "TOTAL"}
    assert rows.put(data=s("x" * 5000), **total)["ConsumedCapacity"] == {"TableName": rows.table, "CapacityUnits": 5.0}
    read = rows.call("get_item", Key=key("a"), ConsistentRead=True, **total)["ConsumedCapacity"]
    assert read == {"TableName": rows.table, "CapacityUnits": 2.0}
    read = rows.call("get_item", Key=key("gone"), **total)["ConsumedCapacity"]
    assert read == {"TableName": rows.table, "CapacityUnits": 0.5}
    assert "ConsumedCapacity" not in rows.call("get_item", Key=key("a"))


def test_every_answer_has_its_metadata(rows: Rows) -> None:
    metadata = rows.put()["ResponseMetadata"]
    assert metadata["HTTPStatusCode"] == 200
    assert {"RequestId", "HTTPHeaders", "RetryAttempts"} <= metadata.keys()


def test_a_table_is_made_once_and_described(rows: Rows) -> None:
    described = rows.call("describe_table")["Table"]
    assert (described["TableName"], described["TableStatus"]) == (rows.table, "ACTIVE")
    assert described["KeySchema"][1] == {"AttributeName": "sk", "KeyType": "RANGE"}
    refusal(lambda: Rows(rows.place, rows.table), "ResourceInUseException")
    assert rows.table in rows.dynamodb.list_tables()["TableNames"]


def test_a_table_tells_when_its_rows_expire(rows: Rows) -> None:
    wanted = {"AttributeName": "ttl", "Enabled": True}
    assert rows.call("update_time_to_live", TimeToLiveSpecification=wanted)["TimeToLiveSpecification"] == wanted
    described = rows.call("describe_time_to_live")["TimeToLiveDescription"]
    assert described == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    refusal(lambda: rows.call("update_time_to_live", TimeToLiveSpecification=wanted), INVALID, "already enabled")


def test_many_rows_are_read_by_their_keys_and_those_that_are_not_there_are_left_out(rows: Rows) -> None:
    for sort in "abc":
        rows.put(sort, v=s(sort))
    wanted = {rows.table: {"Keys": [key(sort) for sort in ("a", "c", "nothing")], "ConsistentRead": True}}
    answer = rows.dynamodb.batch_get_item(RequestItems=wanted, ReturnConsumedCapacity="TOTAL")
    found = sorted(answer["Responses"][rows.table], key=lambda item: item["sk"]["S"])
    assert found == [key(sort) | {"v": s(sort)} for sort in "ac"]
    assert answer["UnprocessedKeys"] == {}
    assert [used["CapacityUnits"] for used in answer["ConsumedCapacity"]] == [3.0]
    nothing = {rows.table: {"Keys": [key("nothing")]}}
    assert rows.dynamodb.batch_get_item(RequestItems=nothing)["Responses"] == {rows.table: []}


@pytest.mark.parametrize("sorts", [["a", "a"], [str(number) for number in range(101)]])
def test_many_rows_are_a_hundred_at_the_most_and_each_once(rows: Rows, sorts: list[str]) -> None:
    wanted = {rows.table: {"Keys": [key(sort) for sort in sorts]}}
    refusal(lambda: rows.dynamodb.batch_get_item(RequestItems=wanted), INVALID)
