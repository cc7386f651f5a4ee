"""moto adds numbers as DynamoDB does.

It takes a number without a point for a whole one, and so none that Python writes with an exponent alone, such as 6E-7; and it
writes sums so itself, which it then cannot add to.
"""

from __future__ import annotations

from decimal import Context, Decimal

from moto.dynamodb.models.dynamo_type import DDBType, DynamoType

DIGITS = Context(prec=38)
"""That DynamoDB keeps of a number (Amazon DynamoDB: "Supported data types")."""

_other = DynamoType.__add__


def _sum(self: DynamoType, other: DynamoType) -> DynamoType:
    """Two numbers, added exactly, and written without an exponent; of anything else, what moto says."""
    if not (self.is_number() and other.is_number()):
        return _other(self, other)
    return DynamoType({DDBType.NUMBER: f"{DIGITS.add(Decimal(self.value), Decimal(other.value)):f}"})


def add_numbers() -> None:
    """Add so in this process, from now on."""
    DynamoType.__add__ = _sum  # type: ignore[method-assign]
