"""Frozen dataclasses to DynamoDB items and back, by pydantic, so that a row read is a row checked."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import TypeAdapter

Row = TypeVar("Row")
Item = dict[str, Any]

SMALLEST = 1e-128
"""Magnitudes below it are stored as zero: DynamoDB holds those from 1e-130 to 1e125 (AWS: "Supported data types")."""


def to_item(row: object) -> Item:
    """A dataclass as an item's attributes, without those that are None."""
    dumped: Item = _adapter(type(row)).dump_python(row, mode="json", exclude_none=True)
    return dumped


def from_item(kind: type[Row], item: Item) -> Row:
    """An item's attributes as a dataclass; keys and bookkeeping attributes are passed over.

    Raises:
        pydantic.ValidationError: the stored row is not what this release writes.
    """
    adapter: TypeAdapter[Row] = _adapter(kind)
    return adapter.validate_python(item)


def storable(values: Mapping[str, float]) -> dict[str, float]:
    """Some numbers as they will read back from a row. What is compared with a row is made so first."""
    return {name: float(value) if abs(value) >= SMALLEST else 0.0 for name, value in values.items()}


def to_stored(value: Any) -> Any:
    """Floats as the decimals that boto3 insists on: the shortest decimal that reads back as the same float.

    One that is too small is stored as zero; the messages admit none that is too large.
    """
    if isinstance(value, float):
        return Decimal(repr(value)) if abs(value) >= SMALLEST else Decimal(0)
    if isinstance(value, dict):
        return {key: to_stored(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_stored(item) for item in value]
    return value


def from_stored(value: Any) -> Any:
    """Decimals as int where they are whole, else as float."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: from_stored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_stored(item) for item in value]
    return value


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """The adapter of a row's class; making one is slow, so each is made once."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]
