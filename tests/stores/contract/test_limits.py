"""DynamoDB: what a row, a key and a number can hold."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from infra.memory.dynamodb.attributes import size_of
from tests.stores.contract.places import INVALID, Rows, key, n, refusal, s, values

LIMIT = 400 * 1024


def padded(rest: dict[str, Any], over: int = 0) -> dict[str, Any]:
    """A row that is as long as a row can be, and `over` bytes longer."""
    return rest | {"fill": s("x" * (LIMIT + over - size_of(key("a") | rest | {"fill": s("")})))}


@pytest.mark.parametrize(
    "rest",
    [
        {}, {"n": n(0)}, {"n": n(1)}, {"n": n(12)}, {"n": n(123)}, {"n": n(-1)}, {"n": n(100)}, {"n": n("1.5")},
        {"n": n("0.1")}, {"n": n("1" * 38)}, {"n": n("-12.34")}, {"ä": s("ä")}, {"b": {"B": b"\x00" * 5}},
        {"x": {"BOOL": True}}, {"x": {"NULL": True}}, {"l": {"L": []}}, {"l": {"L": [s("ab"), n(1)]}},
        {"m": {"M": {}}}, {"m": {"M": {"k": s("ab")}}},
        {"s": {"SS": ["a", "bc"]}}, {"s": {"NS": ["1", "23"]}}, {"l": {"L": [{"L": []}, {"M": {"a": {"M": {}}}}]}},
    ],
    ids=str,
)  # fmt: skip
def test_a_row_holds_400_kilobytes_and_not_one_more(rows: Rows, rest: dict[str, Any]) -> None:
    rows.put(**padded(rest))
    refusal(lambda: rows.put("b", **padded(rest, 1)), INVALID, "Item size has exceeded the maximum allowed size")
    assert rows.sorts() == ["a"]


def test_an_update_makes_no_row_longer_than_that(rows: Rows) -> None:
    rows.put(v=n(1))
    row = {"fill": s("x" * LIMIT)}
    refusal(lambda: rows.update("SET fill = :v", **values(v=row["fill"])), INVALID, "Item size to update has exceeded")
    assert rows.get() == {"v": n(1)}


def test_a_partition_key_has_2048_bytes_and_a_sort_key_1024(rows: Rows) -> None:
    rows.call("put_item", Item=key("é" * 512, "é" * 1024))
    refusal(lambda: rows.call("put_item", Item=key("a", "x" * 2049)), INVALID, "2048 bytes")
    refusal(lambda: rows.call("put_item", Item=key("x" * 1025)), INVALID, "1024 bytes")
    refusal(lambda: rows.call("put_item", Item=key("é" * 513)), INVALID, "1024 bytes")


def test_a_key_by_itself_is_no_longer_either(rows: Rows) -> None:
    refusal(lambda: rows.call("get_item", Key=key("x" * 1025)), INVALID, "1024 bytes")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("1.0", "1"), ("0010", "10"), ("1e2", "100"), ("-0", "0"), ("1e-3", "0.001"), ("+5", "5"), (".5", "0.5"), ("5.", "5"),
        ("4e38", "4" + "0" * 38), ("1E-20", "0." + "0" * 19 + "1"), ("-12.50", "-12.5"),
    ],
)  # fmt: skip
def test_a_number_is_kept_in_one_form(rows: Rows, given: str, kept: str) -> None:
    rows.put(v=n(given))
    assert rows.get() == {"v": n(kept)}
    assert rows.meets("v = :v", **values(v=n(kept)))


@pytest.mark.parametrize(
    "number",
    [
        "1" * 38, "-" + "9" * 38, "0." + "1" * 38, "9." + "9" * 37 + "e125", "1e-130", "-1e-130", "1e125", "123456.789",
        "1" + "0" * 100, "1.2345678901234567e-120",
    ],
)  # fmt: skip
def test_a_number_of_38_digits_comes_back_exactly(rows: Rows, number: str) -> None:
    rows.put(v=n(number))
    found = rows.get()
    assert found
    assert Decimal(found["v"]["N"]) == Decimal(number)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("1" * 39, "38"), ("0." + "1" * 39, "38"), ("1" + "0" * 37 + "1", "38"), ("1e126", "Number overflow"),
        ("-1e126", "Number overflow"), ("1e-131", "Number underflow"), ("12a", "number|numeric"), ("", "number|numeric"),
        (" 1", "number|numeric"), ("Infinity", "number|numeric"), ("NaN", "number|numeric"), ("0x10", "number|numeric"),
        ("1_000", "number|numeric"),
    ],
)  # fmt: skip
def test_what_is_no_such_number_is_refused(rows: Rows, number: str, says: str) -> None:
    refusal(lambda: rows.put(v=n(number)), INVALID, says)
    assert rows.get() is None


def test_a_sum_is_exact_or_refused(rows: Rows) -> None:
    rows.put(v=n("1" * 38), w=n("0.1"))
    refusal(lambda: rows.update("ADD v :v", **values(v=n("0.1"))), INVALID, "38")
    rows.update("ADD w :v", **values(v=n("0.2")))
    assert rows.get() == {"v": n("1" * 38), "w": n("0.3")}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"SS": []}, "may not be empty"), ({"NS": []}, "may not be empty"), ({"SS": ["a", "a"]}, "duplicates"),
        ({"NS": ["1", "1.0"]}, "duplicates"), ({"NULL": False}, "Null attribute value types must have the value of true"),
        ({"S": "a", "N": "1"}, "more than one datatypes set"), ({}, "Supplied AttributeValue is empty"),
        ({"M": {"x": {"L": [{"N": "x"}]}}}, "number|numeric"),
    ],
)  # fmt: skip
def test_what_is_no_value_is_refused(rows: Rows, value: Any, says: str) -> None:
    refusal(lambda: rows.put(v=value), INVALID, says)
    refusal(lambda: rows.update("SET v = :v", **values(v=value)), INVALID, says)
    assert rows.get() is None


def test_texts_may_be_empty_even_in_sets(rows: Rows) -> None:
    rows.put(v=s(""), w={"SS": [""]}, x={"B": b""})
    assert rows.get() == {"v": s(""), "w": {"SS": [""]}, "x": {"B": b""}}
