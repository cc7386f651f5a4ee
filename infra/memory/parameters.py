"""botocore's check of a call's parameters, made quick for those that are right.

A service's model says what each parameter may be. botocore walks through it with each call; here it is turned, once a shape,
into a predicate that says whether a value is surely right. Of whatever is not, botocore says what it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.validate import ParamValidator, ValidationErrors

Predicate = Callable[[Any], bool]

_SCALARS: dict[str, type] = {
    "string": str, "integer": int, "long": int, "boolean": bool, "blob": bytes, "timestamp": datetime, "double": float,
}  # fmt: skip
"""The type that is surely right, though others may be too; what else there is, botocore judges."""


class Parameters(ParamValidator):
    """Knows each shape that it has seen: a shape is the model's own, which lives as long as this process."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Shape, Predicate]] = {}

    def validate(self, params: Any, shape: Shape) -> ValidationErrors:
        """What botocore finds wrong with a call's parameters; nothing, if they are right."""
        if self.is_sure(shape)(params):
            return ValidationErrors()
        errors: ValidationErrors = super().validate(params, shape)
        return errors

    def is_sure(self, shape: Shape) -> Predicate:
        """Whether a value is surely what a shape allows."""
        if (found := self._known.get(id(shape))) is not None:
            return found[1]
        made: Predicate
        if shape.name == "AttributeValue":
            made = _is_attribute
        elif isinstance(shape, StructureShape):
            made = self._structure(shape)
        elif isinstance(shape, ListShape):
            made = self._list(shape)
        elif isinstance(shape, MapShape):
            made = self._map(shape)
        else:
            made = _scalar(shape)
        self._known[id(shape)] = shape, made
        return made

    def _structure(self, shape: StructureShape) -> Predicate:
        if shape.is_document_type or shape.is_tagged_union:
            return _never
        required = frozenset(shape.metadata.get("required", []))
        members: dict[str, Predicate] = {}

        def is_right(value: Any) -> bool:
            if not isinstance(value, dict) or not required <= value.keys():
                return False
            for name, held in value.items():
                if name not in members:
                    if name not in shape.members:
                        return False
                    members[name] = self.is_sure(shape.members[name])
                if not members[name](held):
                    return False
            return True

        return is_right

    def _list(self, shape: ListShape) -> Predicate:
        member, least = self.is_sure(shape.member), shape.metadata.get("min", 0)
        return lambda value: isinstance(value, list) and len(value) >= least and all(map(member, value))

    def _map(self, shape: MapShape) -> Predicate:
        key, held = self.is_sure(shape.key), self.is_sure(shape.value)
        return lambda value: isinstance(value, dict) and all(map(key, value)) and all(map(held, value.values()))


def _never(value: Any) -> bool:
    return False


def _scalar(shape: Shape) -> Predicate:
    expected, least = _SCALARS.get(shape.type_name), shape.metadata.get("min")
    if expected is None or {"hostLabel", "jsonvalue"} & shape.serialization.keys():  # for which there are more rules
        return _never
    if least is None:
        return lambda value: isinstance(value, expected)
    if expected is str or expected is bytes:
        return lambda value: isinstance(value, expected) and len(value) >= least
    return lambda value: isinstance(value, expected) and value >= least


_ATTRIBUTES = {"S": str, "N": str, "BOOL": bool, "NULL": bool, "B": bytes}
_SETS = {"SS": str, "NS": str, "BS": bytes}


def _is_attribute(value: Any) -> bool:
    """Whether a value is surely an attribute's in DynamoDB."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    ((kind, held),) = value.items()
    if kind == "M":
        return isinstance(held, dict) and all(isinstance(name, str) and _is_attribute(inner) for name, inner in held.items())
    if kind == "L":
        return isinstance(held, list) and all(map(_is_attribute, held))
    if kind in _SETS:
        return isinstance(held, list) and all(isinstance(each, _SETS[kind]) for each in held)
    return kind in _ATTRIBUTES and isinstance(held, _ATTRIBUTES[kind])
