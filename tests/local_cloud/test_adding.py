"""moto, as the local cloud has it, adds any numbers that DynamoDB would."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.dynamodb.exceptions import IncorrectDataType
from moto.dynamodb.models.dynamo_type import DynamoType

from infra.local.adding import add_numbers

NUMBERS = st.decimals(-(10**15), 10**15, places=12) | st.integers(-(10**15), 10**15).map(Decimal)


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_sums_are_exact_and_can_be_added_to_however_small_they_are(numbers: list[Decimal]) -> None:
    add_numbers()
    total = DynamoType({"N": "0"})
    for number in numbers:
        total = total + DynamoType({"N": str(number)})
    assert Decimal(total.value) == sum(numbers)
    assert "E" not in total.value


def test_the_smallest_amount_is_added_twice() -> None:
    add_numbers()
    tiny = DynamoType({"N": "6E-7"})
    assert (tiny + tiny).value == "0.0000012"
    assert (DynamoType({"N": "1"}) + DynamoType({"N": "2"})).value == "3"


@pytest.mark.parametrize(("first", "second"), [({"N": "1"}, {"S": "1"}), ({"S": "1"}, {"S": "1"})])
def test_what_is_no_number_is_refused_as_moto_refuses_it(first: dict[str, str], second: dict[str, str]) -> None:
    add_numbers()
    with pytest.raises((IncorrectDataType, TypeError)):
        DynamoType(first) + DynamoType(second)
