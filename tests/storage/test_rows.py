"""Numbers: what goes into a row comes out of it again, what could not is refused, and what lies in a row already is read."""

from __future__ import annotations

import math
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.storage.dynamo import Table
from chalicelib.storage.rows import LARGEST, SMALLEST, NotStorable, UnknownKind, from_stored, to_stored
from tests.fleet import SESSION, World

KEY = {"pk": "test", "sk": "row"}


def stored(value: Any) -> Any:
    """A value as DynamoDB is given it."""
    return TypeSerializer().serialize(to_stored(value))


floats = st.floats(min_value=-LARGEST, max_value=LARGEST).filter(lambda x: x == 0 or abs(x) >= SMALLEST)
whole = st.integers(-(2**63), 2**63 - 1)
plain = whole | st.text() | st.booleans() | st.none()


@given(st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_what_is_stored_reads_back_also_by_the_strict_reader(value: Any) -> None:
    attribute = stored(value)
    assert from_stored(attribute) == value
    TypeDeserializer().deserialize(attribute)


@given(floats)
def test_a_float_comes_back_as_itself_and_is_written_with_no_more_digits_than_it_needs(value: float) -> None:
    attribute = stored(value)
    assert float(from_stored(attribute)) == value
    assert float(TypeDeserializer().deserialize(attribute)) == value
    mantissa = attribute["N"].partition("E")[0].strip("-").replace(".", "").strip("0")
    assert len(mantissa) <= 17, attribute


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.0001e37, -1e38, 1e308])
def test_a_float_that_could_not_be_read_back_is_not_written(value: float) -> None:
    with pytest.raises(NotStorable, match="expected a finite float of at most 1e\\+37, got"):
        to_stored({"metrics": [{"loss": value}]})


def test_an_int_that_could_not_be_read_back_is_not_written() -> None:
    assert stored(10**38 - 1) == {"N": "9" * 38}
    for value in (10**38, -(10**38)):
        with pytest.raises(NotStorable, match="at most 38 digits, got one of 39"):
            to_stored(value)


@pytest.mark.parametrize("digits", ["4" + "0" * 38, "1" * 60, "-" + "9" * 126, "4E+38", "1.5E-130", "0." + "0" * 129 + "1"])
def test_any_number_that_lies_in_a_row_is_read(digits: str) -> None:
    assert from_stored({"M": {"norm": {"N": digits}}}) == {"norm": float(digits)}


def test_a_kind_of_attribute_that_no_row_of_ours_has_is_no_value() -> None:
    assert from_stored({"L": [{"NS": ["1"]}, {"B": b"1"}]}) == [UnknownKind("NS"), UnknownKind("B")]
    assert from_stored({"SS": ["a", "b"]}) == {"a", "b"}


def test_a_row_with_39_digits_is_read_from_a_table(world: World) -> None:
    client = SESSION.client("dynamodb")
    attributes: Any = {"pk": {"S": "test"}, "sk": {"S": "row"}, "norm": {"N": "4" + "0" * 38}}
    client.put_item(TableName=world.settings.rounds_table, Item=attributes)
    found = Table(client, world.settings.rounds_table).get(KEY)
    assert found
    assert found["norm"] == 4e38
