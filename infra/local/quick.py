"""moto's slowest lines, made quick.

moto tries a dozen spellings of each of the ten members of every DynamoDB attribute that it serialises, which is half of all its
work here. The members of an attribute have one spelling. A query compares the keys of all rows of a table, and asks of each
comparison what the type of both is; most are strings. And at every request, its server looks through its own folders for the
names of the services that it has, and through the class that answers for the names of its methods; they stay the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from moto import backends
from moto.core import responses, utils
from moto.core.model import Shape
from moto.core.serialize import ResponseSerializer
from moto.dynamodb.models.dynamo_type import DynamoType

_ATTRIBUTE_MEMBERS = frozenset({"S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL"})
_slow = ResponseSerializer.get_value
_found = backends.list_of_moto_modules
_cast = vars(DynamoType)["cast_value"].fget


def _quick(self: ResponseSerializer, value: Any, key: str, shape: Shape) -> Any:
    """A member of a value to be serialised."""
    return value.get(key) if key in _ATTRIBUTE_MEMBERS and isinstance(value, dict) else _slow(self, value, key, shape)


@cache
def _modules() -> Iterable[str]:
    """The services that moto has."""
    return tuple(_found())


def _value(self: DynamoType) -> Any:
    """What an attribute's value is compared by."""
    return self.value if self.type == "S" else _cast(self)


def quicken() -> None:
    """Use the quick ways in this process, from now on."""
    ResponseSerializer.get_value = _quick  # type: ignore[method-assign]
    backends.list_of_moto_modules = _modules
    DynamoType.cast_value = property(_value)  # type: ignore[assignment, method-assign]
    responses.method_names_from_class = cache(utils.method_names_from_class)  # type: ignore[attr-defined]
