"""DynamoDB: what conditions hold, and which are refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infra.memory.dynamodb.reserved import RESERVED
from tests.stores.contract.places import INVALID, Rows, n, refusal, s

ROW: dict[str, Any] = {
    "one": n(1), "ten": n(10), "txt": s("abc"), "doc": {"M": {"x": n(1), "deep": {"M": {"y": s("z")}}}},
    "lst": {"L": [n(1), s("q"), {"M": {"x": n(2)}}]}, "tags": {"SS": ["a", "b"]}, "bin": {"B": b"xyz"}, "yes": {"BOOL": True},
    "nil": {"NULL": True}, "numbers": {"NS": ["1", "2"]},
}  # fmt: skip
VALUES: dict[str, Any] = {
    ":one": n(1), ":two": n(2), ":three": n(3), ":ten": n("1e1"), ":a": s("a"), ":ab": s("ab"), ":z": s("z"), ":q": s("q"),
    ":lst": {"L": [n("1.0"), s("q"), {"M": {"x": n(2)}}]}, ":doc": {"M": {"deep": {"M": {"y": s("z")}}, "x": n("1.0")}},
    ":tags": {"SS": ["b", "a"]}, ":yes": {"BOOL": True}, ":nil": {"NULL": True}, ":y": {"B": b"y"}, ":xy": {"B": b"xy"},
    ":M": s("M"), ":N": s("N"), ":X": s("X"), ":empty": s(""), ":set1": {"NS": ["2", "1"]},
}  # fmt: skip

HOLD = """
    one = :one | ten = :ten | one <> :two | one < :two | one <= :one | ten > :two | ten >= :ten | :one = one | :two > one
    txt = :abc | txt < :z | txt > :a | bin > :xy | lst = :lst | doc = :doc | tags = :tags | numbers = :set1
    yes = :yes | nil = :nil
    one <> :a | gone <> :one | NOT gone = :one | NOT one > :two | not one > :two
    one BETWEEN :one AND :two | txt BETWEEN :a AND :z | :two BETWEEN one AND ten | one between :one and :two
    one IN (:one, :a) | txt IN (:z, :a, :abc) | :one IN (ten, one)
    attribute_exists(one) | attribute_exists(doc.deep.y) | attribute_exists(lst[2].x) | attribute_not_exists(gone)
    attribute_not_exists(doc.gone) | attribute_not_exists(txt.x) | attribute_not_exists(lst[3])
    attribute_type(doc, :M) | attribute_type(one, :N)
    begins_with(txt, :ab) | begins_with(bin, :xy) | begins_with(txt, :empty)
    contains(txt, :ab) | contains(tags, :a) | contains(lst, :q) | contains(lst, :one) | contains(bin, :y)
    contains(numbers, :one)
    size(txt) = :three | size(tags) = :two | size(lst) > :two | size(doc) = :two | size(bin) = :three | size(tags) < ten
    doc.x = :one | lst[0] = :one | lst[2].x = :two | doc.deep.y = :z
    one = :one AND txt = :abc | one = :two OR txt = :abc | NOT (one = :one AND txt = :a)
    one = :two AND txt = :a OR ten = :ten | ten = :ten OR one = :two AND txt = :a | (one = :one) AND (ten = :ten OR one = :two)
    one = :one and(attribute_exists(txt)or one = :two) | NOT one = :two AND ten = :ten
"""
FAIL = """
    one = :two | one <> :one | one < :one | gone = :one | gone < :one | gone >= :one | gone IN (:one)
    gone BETWEEN :one AND :two
    one = :a | one < :a | txt < :one | txt > :one | yes < one | lst < txt | ten BETWEEN :one AND :two | one IN (:two, :a)
    attribute_exists(gone) | attribute_exists(txt.x) | attribute_exists(lst[3]) | attribute_not_exists(one)
    attribute_type(gone, :M) | attribute_type(one, :M) | begins_with(one, :a) | begins_with(gone, :a) | begins_with(txt, :z)
    contains(txt, :z) | contains(txt, :one) | contains(gone, :a) | contains(one, :one) | contains(tags, :ab) | contains(doc, :a)
    size(gone) = :one | size(one) = :one | size(yes) = :one | size(txt) = :two
    one = :one AND txt = :a | one = :two OR txt = :a | NOT (one = :one OR txt = :a) | one = :two AND (txt = :abc OR ten = :ten)
    one = :one AND NOT txt = :abc
"""
REFUSED = {
    "one = :nowhere": "An expression attribute value used in expression is not defined; attribute value: :nowhere",
    "#nowhere = :one": "An expression attribute name used in the document path is not defined; attribute name: #nowhere",
    "one = :one AND": "Syntax error",
    "one = :one one": "Syntax error",
    "(one = :one": "Syntax error",
    "one :one": "Syntax error",
    "AND one = :one": "Syntax error|reserved",
    "one = = :one": "Syntax error",
    "((one = :one))": "redundant parentheses",
    "name = :one": "Attribute name is a reserved keyword; reserved keyword: name",
    "doc.Value = :one": "Attribute name is a reserved keyword; reserved keyword: Value",
    "is_there(one)": "Invalid function name; function: is_there",
    "attribute_exists(one, ten)": "Incorrect number of operands for operator or function",
    "begins_with(one)": "Incorrect number of operands for operator or function",
    "size(one)": "The function is not allowed to be used this way in an expression; function: size",
    "attribute_exists(one) = :one": "The function is not allowed to be used this way in an expression",
    "attribute_exists(:one)": "Operator or function requires a document path",
    "one < :yes": "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
    "begins_with(one, :one)": "Incorrect operand type for operator or function",
    "attribute_type(one, :one)": "Incorrect operand type for operator or function",
    "attribute_type(one, :X)": "Invalid attribute type name found; type: X",
    "one BETWEEN :two AND :one": "requires upper bound to be greater than or equal to lower bound",
    "one BETWEEN :one AND :z": "requires same data type for lower and upper bounds",
    "one = one": "The first operand must be distinct from the remaining operands",
}
VALUES[":abc"] = s("abc")


def conditions(txt: str) -> list[str]:
    return [part.strip() for line in txt.strip().splitlines() for part in line.split("|")]


def used(condition: str) -> dict[str, Any]:
    """The values that a condition uses, as a parameter."""
    found = {name: VALUES[name] for name in re.findall(r":\w+", condition) if name in VALUES}
    return {"ExpressionAttributeValues": found} if found else {}


@pytest.mark.parametrize("condition", conditions(HOLD))
def test_a_condition_holds(rows: Rows, condition: str) -> None:
    rows.put(**ROW)
    assert rows.meets(condition, **used(condition))


@pytest.mark.parametrize("condition", conditions(FAIL))
def test_a_condition_does_not_hold(rows: Rows, condition: str) -> None:
    rows.put(**ROW)
    assert not rows.meets(condition, **used(condition))


@pytest.mark.parametrize("condition", list(REFUSED))
def test_a_condition_that_is_not_well_written_is_refused(rows: Rows, condition: str) -> None:
    rows.put(**ROW)
    request = {"ConditionExpression": condition, **used(condition)}
    refusal(lambda: rows.put(other=n(1), **request), INVALID, REFUSED[condition])
    assert rows.get() != {"other": n(1)}


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"ConditionExpression": "one = :one", "ExpressionAttributeValues": {":one": n(1), ":two": n(2)}}, "unused.*:two"),
        ({"ConditionExpression": "attribute_exists(one)", "ExpressionAttributeValues": {":two": n(2)}}, "unused.*:two"),
        ({"ConditionExpression": "attribute_exists(one)", "ExpressionAttributeNames": {"#x": "one"}}, "unused.*#x"),
        ({"ExpressionAttributeValues": {":one": n(1)}}, "can only be specified when using expressions"),
        ({"ExpressionAttributeNames": {"#x": "one"}}, "can only be specified when using expressions"),
        ({"ConditionExpression": "attribute_exists(one)", "ExpressionAttributeValues": {}}, "Values must not be empty"),
        ({"ConditionExpression": "attribute_exists(one)", "ExpressionAttributeNames": {}}, "Names must not be empty"),
        ({"ConditionExpression": ""}, "The expression can not be empty"),
    ],
    ids=["value", "only value", "name", "value without", "name without", "no values", "no names", "no condition"],
)
def test_a_placeholder_that_nothing_uses_is_refused(rows: Rows, request_: Any, says: str) -> None:
    refusal(lambda: rows.put(other=n(1), **request_), INVALID, says)
    assert rows.get() is None


def test_a_condition_of_no_row_finds_nothing_there(rows: Rows) -> None:
    assert rows.meets("attribute_not_exists(pk)", "gone")
    assert not rows.meets("attribute_exists(pk)", "gone")


def test_a_condition_can_speak_of_the_key(rows: Rows) -> None:
    rows.put(**ROW)
    assert rows.meets("sk = :a", "a", **used("sk = :a"))


def test_a_name_may_have_a_dot_when_it_is_a_placeholder(rows: Rows) -> None:
    rows.put(**{"a.b": n(1)})
    dotted: Any = {"ExpressionAttributeNames": {"#x": "a.b"}}
    assert rows.meets("attribute_exists(#x)", **dotted)
    assert rows.meets("attribute_not_exists(a.b)")


@pytest.mark.parametrize("word", ["name", "State", "TTL", "count", "begun"])
def test_reserved_words_are_refused_in_any_case(rows: Rows, word: str) -> None:
    if word.upper() in RESERVED:
        refusal(lambda: rows.meets(f"attribute_exists({word})"), INVALID, f"reserved keyword: {word}")
    else:
        assert not rows.meets(f"attribute_exists({word})")
