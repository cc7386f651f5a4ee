"""Writes that know their own repeats, and losers that learn what was there."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.rounds.judgement import Measurement
from chalicelib.storage.answers import BrokenAnswer
from chalicelib.storage.dynamo import NEW, Condition, ConditionFailed, Put, Table, Update
from chalicelib.storage.rows import from_item, storable, to_item
from tests.fleet import SESSION, World

KEY = {"pk": "test", "sk": "row"}
IS_ONE = Condition("#value = :one", "the value is one", {":one": 1})


@pytest.fixture
def table(world: World) -> Table:
    return Table(SESSION.client("dynamodb"), world.settings.rounds_table)


def twice(world: World) -> None:
    """From now on every response is lost once, and the request sent again."""
    world.calls.between = lambda operation, proceed: (proceed(), proceed())[1]


def test_a_put_whose_response_was_lost_succeeds_and_a_second_put_loses(world: World, table: Table) -> None:
    twice(world)
    table.put(Put(table=table, key=KEY, item={"value": 1}))
    with pytest.raises(ConditionFailed) as lost:
        table.put(Put(table=table, key=KEY, item={"value": 2}))
    assert lost.value.found
    assert lost.value.found["value"] == 1


def test_an_update_whose_response_was_lost_succeeds_though_its_condition_no_longer_holds(world: World, table: Table) -> None:
    table.put(Put(table=table, key=KEY, item={"value": 1}))
    twice(world)
    assert table.update_and_read(Update(table=table, key=KEY, condition=IS_ONE, set={"value": 2}))["value"] == 2
    with pytest.raises(ConditionFailed):
        table.update(Update(table=table, key=KEY, condition=IS_ONE, set={"value": 3}))


def test_a_transaction_is_all_or_nothing_and_knows_its_own_repeat(world: World, table: Table) -> None:
    other = {"pk": "test", "sk": "other"}
    table.put(Put(table=table, key=KEY, item={"value": 1}))
    twice(world)
    table.transact(
        [
            Update(table=table, key=KEY, condition=IS_ONE, set={"value": 2}),
            Put(table=table, key=other, item={"value": 9}, condition=NEW),
        ]
    )
    assert table.get(KEY)["value"] == 2  # type: ignore[index]
    world.calls.between = None
    third = {"pk": "test", "sk": "third"}
    with pytest.raises(ConditionFailed) as lost:
        table.transact(
            [
                Put(table=table, key=third, item={"value": 3}, condition=NEW),
                Put(table=table, key=other, item={"value": 4}, condition=NEW),
            ]
        )
    assert lost.value.found
    assert lost.value.found["value"] == 9
    assert table.get(third) is None


def test_an_update_of_nothing_finds_nothing(table: Table) -> None:
    with pytest.raises(ConditionFailed) as lost:
        table.update(Update(table=table, key=KEY, condition=IS_ONE, set={"value": 2}))
    assert lost.value.found is None
    assert table.get(KEY) is None


def test_a_query_goes_through_all_pages_and_stops_at_its_limit(table: Table) -> None:
    for number in range(12):
        table.put(
            Put(table=table, key={"pk": "many", "sk": f"row#{number:03d}"}, item={"number": number, "ballast": "x" * 300_000})
        )
    table.put(Put(table=table, key={"pk": "many", "sk": "zebra"}, item={"number": 99}))
    assert [item["number"] for item in table.query("many", "row#")] == list(range(12))
    assert [item["number"] for item in table.query("many", "row#", newest_first=True, limit=5)] == [11, 10, 9, 8, 7]
    below = list(table.query("many", "row#", newest_first=True, below="row#004", limit=3))
    assert [item["number"] for item in below] == [4, 3, 2]
    assert table.last("many", "row#")["number"] == 11  # type: ignore[index]
    assert table.last("many", "nothing#") is None


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@pytest.mark.parametrize(
    "value",
    [0.1, 1 / 3, 1e-30, 1e30, -1e30, 1e22, 1.0, 2.0**53 + 2, 5e-128, 1.7976931348623157e36, 123456789.123456789, 0.0],
)
def test_a_metric_goes_through_a_table_and_comes_back_to_the_last_bit(table: Table, value: float) -> None:
    measured = Measurement(10, {"loss": value})
    table.put(Put(table=table, key=KEY, item=to_item(measured)))
    table.update(
        Update(
            table=table, key=KEY, condition=Condition("attribute_exists(#pk)", "it is there"), set={"extra": {"again": value}}
        )
    )
    item = table.get(KEY)
    assert item
    found = from_item(Measurement, item).metrics["loss"]
    assert isinstance(found, float)
    assert bits(found) == bits(value) == bits(float(item["extra"]["again"]))


def test_what_is_too_small_for_a_row_is_zero_and_known_to_be(table: Table) -> None:
    values = {"tiny": 1e-200, "minus": -1e-129, "zero": -0.0, "whole": 3, "kept": 1e-128}
    table.put(Put(table=table, key=KEY, item={"metrics": values}))
    item = table.get(KEY)
    assert item
    assert storable(values) == {"tiny": 0.0, "minus": 0.0, "zero": 0.0, "whole": 3.0, "kept": 1e-128} == item["metrics"]


def test_rows_are_read_by_their_keys_a_hundred_at_a_time(world: World, table: Table) -> None:
    wanted = [{"pk": f"many-{number}", "sk": "row"} for number in range(130)]
    for number in (0, 99, 129):
        table.put(Put(table=table, key=wanted[number], item={"value": number}))
    with world.calls.count() as calls:
        found = table.get_all(wanted)
    assert {key: row["value"] for key, row in found.items()} == {(f"many-{n}", "row"): n for n in (0, 99, 129)}
    assert calls == ["BatchGetItem"] * 2
    assert table.get_all([]) == {}


def test_rows_that_were_left_out_are_asked_for_again_and_never_taken_for_missing(world: World, table: Table) -> None:
    table.put(Put(table=table, key=KEY, item={"value": 1}))
    short = iter([True, False])

    def throttled(operation: str, proceed: Callable[[], Any]) -> Any:
        answer = proceed()
        if operation == "BatchGetItem" and next(short, is_always):
            (items,) = answer["Responses"].values()
            answer["UnprocessedKeys"] = {table.name: {"Keys": [{n: item[n] for n in ("pk", "sk")} for item in items]}}
            items.clear()
        return answer

    is_always = False
    world.calls.between = throttled
    assert table.get_all([KEY])[KEY["pk"], KEY["sk"]]["value"] == 1
    is_always = True
    with pytest.raises(BrokenAnswer, match="all but 1"):
        table.get_all([KEY])
