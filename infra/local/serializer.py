"""moto's slowest line, made quick.

moto tries a dozen spellings of each of the ten members of every DynamoDB attribute that it serialises, which is half of all its
work here. The members of an attribute have one spelling.
"""

from __future__ import annotations

from typing import Any

from moto.core.model import Shape
from moto.core.serialize import ResponseSerializer

_ATTRIBUTE_MEMBERS = frozenset({"S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"})
_slow = ResponseSerializer.get_value


def _quick(self: ResponseSerializer, value: Any, key: str, shape: Shape) -> Any:
    """A member of a value to be serialised."""
    return value.get(key) if key in _ATTRIBUTE_MEMBERS and isinstance(value, dict) else _slow(self, value, key, shape)


def quicken() -> None:
    """Use the quick way in this process, from now on."""
    ResponseSerializer.get_value = _quick  # type: ignore[method-assign]
