"""DynamoDB: queries, scans and their pages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stores.contract.places import INVALID, Rows, key, n, names, refusal, s, values

SORTS = ["a", "a#1", "a#2", "a#3", "b", "b#1", "ä"]


def query(rows: Rows, condition: str = "pk = :p", /, **request: Any) -> dict[str, Any]:
    given = {":p": s("p")} | {f":{name}": s(request.pop(name)) for name in list(request) if name[0].islower()}
    used = {name: value for name, value in given.items() if name in condition.replace(",", " ").replace(")", " ").split()}
    return rows.call("query", KeyConditionExpression=condition, ExpressionAttributeValues=used, ConsistentRead=True, **request)


def sorts(answer: dict[str, Any]) -> list[str]:
    return [item["sk"]["S"] for item in answer["Items"]]


@pytest.fixture
def many(rows: Rows) -> Rows:
    for sort in (*SORTS[3:], *SORTS[:3]):
        rows.put(sort, v=s(sort))
    rows.call("put_item", Item=key("a#2", "other"))
    return rows


@pytest.mark.parametrize(
    ("condition", "given", "expected"),
    [
        ("pk = :p", {}, SORTS), ("pk = :p AND sk = :x", {"x": "a#2"}, ["a#2"]), ("pk = :p AND sk = :x", {"x": "c"}, []),
        ("pk = :p AND begins_with(sk, :x)", {"x": "a#"}, ["a#1", "a#2", "a#3"]),
        ("pk = :p AND begins_with(sk, :x)", {"x": "b#1"}, ["b#1"]), ("pk = :p AND begins_with(sk, :x)", {"x": "c"}, []),
        ("pk = :p AND sk BETWEEN :x AND :y", {"x": "a#1", "y": "b"}, ["a#1", "a#2", "a#3", "b"]),
        ("pk = :p AND sk BETWEEN :x AND :y", {"x": "a#", "y": "a~"}, ["a#1", "a#2", "a#3"]),
        ("pk = :p AND sk >= :x", {"x": "b"}, ["b", "b#1", "ä"]), ("pk = :p AND sk > :x", {"x": "b"}, ["b#1", "ä"]),
        ("pk = :p AND sk <= :x", {"x": "a#1"}, ["a", "a#1"]), ("pk = :p AND sk < :x", {"x": "a#1"}, ["a"]),
        ("sk > :x AND pk = :p", {"x": "b"}, ["b#1", "ä"]), ("pk=:q", {"q": "nobody"}, []),
    ],
)  # fmt: skip
def test_a_query_finds_rows_of_one_partition_in_order(many: Rows, condition: str, given: Any, expected: list[str]) -> None:
    used = {f":{name}": s(text) for name, text in given.items()} | ({":p": s("p")} if ":p" in condition else {})
    for forward in (True, False):
        answer = many.call(
            "query", KeyConditionExpression=condition, ExpressionAttributeValues=used, ScanIndexForward=forward
        )  # fmt: skip
        assert sorts(answer) == (expected if forward else expected[::-1])
        assert (answer["Count"], answer["ScannedCount"], "LastEvaluatedKey" in answer) == (len(expected), len(expected), False)


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 8])
def test_pages_of_any_length_are_the_whole_once(many: Rows, limit: int, forward: bool) -> None:
    found: list[str] = []
    start: dict[str, Any] = {}
    while True:
        page = query(many, Limit=limit, ScanIndexForward=forward, **start)
        assert page["Count"] <= limit
        found += sorts(page)
        if "LastEvaluatedKey" not in page:
            break
        assert page["LastEvaluatedKey"] == key(found[-1])
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert found == (SORTS if forward else SORTS[::-1])


def test_a_page_that_ends_with_its_limit_says_where_though_there_is_no_more(many: Rows) -> None:
    assert query(many, Limit=len(SORTS))["LastEvaluatedKey"] == key(SORTS[-1])


def test_a_page_may_begin_after_a_row_that_is_gone(many: Rows) -> None:
    assert sorts(query(many, ExclusiveStartKey=key("a#25"))) == ["a#3", "b", "b#1", "ä"]
    assert sorts(query(many, ExclusiveStartKey=key("a#25"), ScanIndexForward=False)) == ["a#2", "a#1", "a"]
    found = query(many, "pk = :p AND begins_with(sk, :x)", x="a#", ExclusiveStartKey=key("a#2"))
    assert sorts(found) == ["a#3"]


def test_a_page_ends_at_a_megabyte(rows: Rows) -> None:
    for number in range(12):
        rows.put(f"{number:02d}", data=s("x" * 300_000))
    counts, start = [], dict[str, Any]()
    while True:
        page = query(rows, **start)
        counts.append(page["Count"])
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert sum(counts) == 12
    assert set(counts) - {0} <= {3, 4}, "whether the row that crosses the line is on the page is nobody's promise"


def test_a_query_can_be_of_some_attributes(many: Rows) -> None:
    many.put("z", v=n(1), other=n(2))
    request: Any = {"ProjectionExpression": "#v, #sk", **names("v", "sk", "pk")}
    found = query(many, "#pk = :p AND begins_with(#sk, :x)", x="z", **request)
    assert found["Items"] == [{"v": n(1), "sk": s("z")}]


def test_a_query_says_what_it_cost(many: Rows) -> None:
    many.put("large", data=s("x" * 9000))
    found = query(many, "pk = :p AND sk = :x", x="large", ReturnConsumedCapacity="TOTAL")
    assert found["ConsumedCapacity"] == {"TableName": many.table, "CapacityUnits": 3.0}


@pytest.mark.parametrize(
    ("condition", "given", "says"),
    [
        ("sk = :x", {"x": s("a")}, "Query condition missed key schema element"),
        ("pk = :p AND v = :x", {"p": s("p"), "x": s("a")}, "Query condition missed key schema element"),
        ("pk > :p", {"p": s("p")}, "Query key condition not supported"),
        ("pk = :p OR sk = :x", {"p": s("p"), "x": s("a")}, "Invalid operator used in KeyConditionExpression: OR"),
        ("pk = :p AND sk <> :x", {"p": s("p"), "x": s("a")}, "Invalid operator used in KeyConditionExpression: <>"),
        (
            "pk = :p AND contains(sk, :x)",
            {"p": s("p"), "x": s("a")},
            "Invalid operator used.*: contains",
        ),
        ("pk = :p AND sk > :x AND sk < :y", {"p": s("p"), "x": s("a"), "y": s("b")}, "only contain one condition per key"),
        (
            "pk = :p AND sk BETWEEN :y AND :x",
            {"p": s("p"), "x": s("a"), "y": s("b")},
            "upper bound to be greater",
        ),
        ("pk = :p AND begins_with(sk, :x)", {"p": s("p"), "x": s("")}, "cannot contain an empty string value. Key: sk"),
        ("pk = :p", {"p": s("")}, "cannot contain an empty string value. Key: pk"),
        ("pk = :p", {"p": n(1)}, "Condition parameter type does not match schema type"),
        ("pk = :p", {"p": s("p"), "x": n(1)}, "unused in expressions: keys: {:x}"),
        ("pk = :nowhere", {"p": s("p")}, "not defined; attribute value: :nowhere"),
        ("pk = :p AND", {"p": s("p")}, "Syntax error"),
    ],
)
def test_a_query_that_is_not_one_range_of_one_partition_is_refused(rows: Rows, condition: str, given: Any, says: str) -> None:
    refusal(lambda: rows.call("query", KeyConditionExpression=condition, **values(**given)), INVALID, says)


@pytest.mark.parametrize(
    "start", [{"pk": s("p")}, key("a", "other"), {"pk": s("p"), "sk": n(1)}], ids=["half", "other", "type"]
)
def test_a_query_begins_where_it_looks(many: Rows, start: Any) -> None:
    refusal(lambda: query(many, ExclusiveStartKey=start), INVALID)


def test_a_scan_reads_every_row_once_whatever_the_page(many: Rows) -> None:
    for limit in (1, 3, 100):
        found: list[tuple[str, str]] = []
        start: dict[str, Any] = {}
        while True:
            page = many.call("scan", Limit=limit, ConsistentRead=True, **start)
            found += [(item["pk"]["S"], item["sk"]["S"]) for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        assert sorted(found) == sorted([*(("p", sort) for sort in SORTS), ("other", "a#2")])


def test_the_segments_of_a_scan_are_the_whole_once(rows: Rows) -> None:
    places = [(f"p{number}", "a") for number in range(20)]
    for partition, sort in places:
        rows.call("put_item", Item=key(sort, partition))
    found: list[tuple[str, str]] = []
    for segment in range(3):
        items = rows.call("scan", Segment=segment, TotalSegments=3)["Items"]
        found += [(item["pk"]["S"], item["sk"]["S"]) for item in items]
    assert sorted(found) == sorted(places)


def test_a_segment_is_one_of_all(rows: Rows) -> None:
    refusal(lambda: rows.call("scan", Segment=3, TotalSegments=3), INVALID)
    refusal(lambda: rows.call("scan", Segment=0), INVALID)
