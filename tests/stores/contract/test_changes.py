"""DynamoDB: what an update makes of a row."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stores.contract.places import FAILED, INVALID, Rows, key, n, names, refusal, s, values

ROW: dict[str, Any] = {
    "num": n(1), "txt": s("abc"), "doc": {"M": {"x": n(1), "deep": {"M": {}}}}, "tags": {"SS": ["a"]}, "numbers": {"NS": ["1"]},
}  # fmt: skip
A, B, AB = {"SS": ["a"]}, {"SS": ["b"]}, {"SS": ["a", "b"]}


def sorted_sets(row: Any) -> Any:
    return {name: {"SS": sorted(value["SS"])} if "SS" in value else value for name, value in row.items()}


@pytest.mark.parametrize(
    ("expression", "given", "changed"),
    [
        ("SET num = :v", {"v": n(2)}, {"num": n(2)}),
        ("SET fresh = :v, txt = :w", {"v": n(2), "w": s("x")}, {"fresh": n(2), "txt": s("x")}),
        ("SET doc.x = :v", {"v": n(2)}, {"doc": {"M": {"x": n(2), "deep": {"M": {}}}}}),
        ("SET doc.deep.y = :v", {"v": n(2)}, {"doc": {"M": {"x": n(1), "deep": {"M": {"y": n(2)}}}}}),
        ("SET doc.newer = :v, num = :v", {"v": n(2)}, {"num": n(2), "doc": {"M": ROW["doc"]["M"] | {"newer": n(2)}}}),
        ("SET txt = num, num = txt", {}, {"txt": n(1), "num": s("abc")}),
        ("SET num = num + :v", {"v": n("0.5")}, {"num": n("1.5")}),
        ("SET num = num - :v", {"v": n(3)}, {"num": n(-2)}),
        ("SET num = if_not_exists(num, :v), more = if_not_exists(more, :v)", {"v": n(7)}, {"more": n(7)}),
        ("ADD num :v", {"v": n(2)}, {"num": n(3)}),
        ("ADD fresh :v", {"v": n(2)}, {"fresh": n(2)}),
        ("ADD tags :v", {"v": B}, {"tags": AB}),
        ("ADD tags :v", {"v": A}, {}),
        ("ADD fresh :v", {"v": AB}, {"fresh": AB}),
        ("ADD num :v SET txt = :w", {"v": n(2), "w": s("x")}, {"num": n(3), "txt": s("x")}),
        ("set num = :v add numbers :w", {"v": n(2), "w": {"NS": ["1.0"]}}, {"num": n(2)}),
        ("REMOVE gone, doc.x", {}, {"doc": {"M": {"deep": {"M": {}}}}}),
    ],
)  # fmt: skip
def test_an_update_changes_what_it_names_and_nothing_else(rows: Rows, expression: str, given: Any, changed: Any) -> None:
    rows.put(**ROW)
    answer = rows.update(expression, ReturnValues="ALL_NEW", **(values(**given) if given else {}))
    assert sorted_sets(answer["Attributes"]) == key("a") | ROW | changed
    assert sorted_sets(rows.get()) == ROW | changed


def test_an_attribute_can_be_removed(rows: Rows) -> None:
    rows.put(**ROW)
    rows.update("REMOVE num")
    assert "num" not in (rows.get() or ROW)


def test_an_update_of_no_row_makes_one(rows: Rows) -> None:
    rows.update("SET v = :v ADD tags :t", **values(v=n(1), t=A))
    assert rows.get() == {"v": n(1), "tags": A}


def test_an_update_without_an_expression_makes_a_row_of_a_key(rows: Rows) -> None:
    rows.call("update_item", Key=key("a"))
    assert rows.get() == {}


@pytest.mark.parametrize(
    ("wanted", "returned"),
    [
        ("NONE", None), ("ALL_OLD", {"v": n(1), "w": n(1)}), ("ALL_NEW", {"v": n(2), "w": n(1)}), ("UPDATED_OLD", {"v": n(1)}),
        ("UPDATED_NEW", {"v": n(2)}),
    ],
)  # fmt: skip
def test_an_update_returns_what_is_wanted(rows: Rows, wanted: str, returned: Any) -> None:
    rows.put(v=n(1), w=n(1))
    attributes = rows.update("SET v = :v", ReturnValues=wanted, **values(v=n(2))).get("Attributes")
    assert attributes == (returned | key("a") if wanted.startswith("ALL") else returned)


def test_an_update_of_no_row_returns_no_old_one(rows: Rows) -> None:
    assert not rows.update("SET v = :v", ReturnValues="ALL_OLD", **values(v=n(2))).get("Attributes")


def test_a_failed_condition_leaves_the_row(rows: Rows) -> None:
    rows.put(v=n(1))
    two: Any = {"ConditionExpression": "v = :was", **values(v=n(3), was=n(2))}
    refusal(lambda: rows.update("SET v = :v", **two), FAILED)
    refusal(lambda: rows.update("SET v = :v", "none", **two), FAILED)
    assert (rows.get(), rows.sorts()) == ({"v": n(1)}, ["a"])


def test_names_and_values_are_shared_by_the_update_and_its_condition(rows: Rows) -> None:
    rows.put(v=n(1))
    rows.update("SET #v = :v", ConditionExpression="#v <> :v", **names("v"), **values(v=n(2)))
    assert rows.get() == {"v": n(2)}


@pytest.mark.parametrize(
    ("expression", "given", "says"),
    [
        ("SET pk = :v", {"v": s("x")}, "Cannot update attribute pk. This attribute is part of the key"),
        ("REMOVE sk", {}, "Cannot update attribute sk. This attribute is part of the key"),
        ("SET num = :v, num = :w", {"v": n(1), "w": n(2)}, "Two document paths overlap with each other"),
        ("SET doc = :v, doc.x = :w", {"v": n(1), "w": n(2)}, "Two document paths overlap with each other"),
        ("SET num = :v SET txt = :v", {"v": n(1)}, 'The "SET" section can only be used once'),
        ("SET gone.x = :v", {"v": n(1)}, "The document path provided in the update expression is invalid for update"),
        ("SET txt.x = :v", {"v": n(1)}, "The document path provided in the update expression is invalid for update"),
        ("SET num = gone", {}, "refers to an attribute that does not exist in the item"),
        ("SET num = txt + :v", {"v": n(1)}, "An operand in the update expression has an incorrect data type"),
        ("ADD txt :v", {"v": n(1)}, "An operand in the update expression has an incorrect data type"),
        ("ADD num :v", {"v": A}, "An operand in the update expression has an incorrect data type"),
        ("ADD tags :v", {"v": {"NS": ["1"]}}, "An operand in the update expression has an incorrect data type"),
        ("ADD num :v", {"v": s("x")}, "Incorrect operand type for operator or function; operator: ADD, operand type: STRING"),
        ("SET num = :v", {"v": n(1), "w": n(1)}, "unused in expressions: keys: {:w}"),
        ("SET num = :nowhere", {"v": n(1)}, ":nowhere"),
        ("SET num := :v", {"v": n(1)}, "Syntax error"),
        ("CHANGE num = :v", {"v": n(1)}, "Syntax error"),
        ("SET num = made_up(num, :v)", {"v": n(1)}, "Invalid function name"),
        ("SET name = :v", {"v": n(1)}, "reserved keyword: name"),
        ("", {}, "The expression can not be empty"),
    ],
)
def test_an_update_that_cannot_be_is_refused(rows: Rows, expression: str, given: Any, says: str) -> None:
    rows.put(**ROW)
    refusal(lambda: rows.update(expression, **(values(**given) if given else {})), INVALID, says)
    assert rows.get() == ROW


def test_a_name_that_is_not_defined_is_refused(rows: Rows) -> None:
    refusal(lambda: rows.update("SET #nowhere = :v", **values(v=n(1))), INVALID, "#nowhere")
    refusal(lambda: rows.update("SET v = :v", **values(v=n(1)), **names("v")), INVALID, "unused in expressions: keys: {#v}")
