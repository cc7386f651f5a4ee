"""DynamoDB's attribute values, such as `{"S": "text"}`: how they are checked, measured and compared.

A value that was taken in is never changed afterwards. Sets are kept sorted and numbers in their only text, so that equal
values are equal dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from infra.memory.dynamodb import numbers
from infra.memory.service import ServiceError

Attribute = dict[str, Any]
Item = dict[str, Attribute]

ITEM_BYTES = 400 * 1024
"""Names and values of one item (AWS: "Service, account, and table quotas in Amazon DynamoDB", Item size)."""

DEEPEST = 32
"""Maps and lists in one another (the same page, Nesting depth)."""

SETS = {"SS": "S", "NS": "N", "BS": "B"}
ORDERED = ("S", "N", "B")
"""What `<` compares."""


def invalid(message: str) -> ServiceError:
    """A request that DynamoDB finds not valid."""
    return ServiceError("ValidationException", message)


def taken(value: Mapping[str, Any], depth: int = 0) -> Attribute:
    """A value from outside, checked, and a copy of it.

    Raises:
        ServiceError: DynamoDB does not hold such values.
    """
    if len(value) != 1:
        says = "has more than one datatypes set" if value else "is empty"
        raise invalid(f"Supplied AttributeValue {says}, must contain exactly one of the supported datatypes")
    ((kind, content),) = value.items()
    if depth > DEEPEST:
        raise invalid("Nesting Levels have exceeded supported limits")
    match kind:
        case "S" | "BOOL":
            return {kind: content}
        case "N":
            return {kind: numbers.normalised(content)}
        case "B":
            return {kind: bytes(content)}
        case "NULL":
            if content is not True:
                says = "Null attribute value types must have the value of true"
                raise invalid(f"One or more parameter values were invalid: {says}")
            return {kind: True}
        case "M":
            return {kind: {name: taken(member, depth + 1) for name, member in content.items()}}
        case "L":
            return {kind: [taken(member, depth + 1) for member in content]}
        case _:
            return {kind: as_set(kind, content)}


def as_set(kind: str, content: list[Any]) -> list[Any]:
    """The members of a set, sorted."""
    if not content:
        words = {"SS": "An string set", "NS": "An number set", "BS": "Binary sets"}
        raise invalid(f"One or more parameter values were invalid: {words[kind]}  may not be empty")
    members = {taken({SETS[kind]: member})[SETS[kind]] for member in content}
    if len(members) < len(content):
        listed = ", ".join(str(member) for member in content)
        raise invalid(f"One or more parameter values were invalid: Input collection [{listed}] contains duplicates.")
    return sorted_set(kind, members)


def sorted_set(kind: str, members: set[Any]) -> list[Any]:
    """Members in the order in which they are kept."""
    order: Callable[[Any], Any] | None = Decimal if kind == "NS" else None
    return sorted(members, key=order)


def copied(value: Attribute) -> Attribute:
    """A value to be given away."""
    ((kind, content),) = value.items()
    if kind == "M":
        return {kind: copied_item(content)}
    if kind == "L":
        return {kind: [copied(member) for member in content]}
    return {kind: list(content) if kind in SETS else content}


def copied_item(item: Item) -> Item:
    """An item to be given away."""
    return {name: copied(value) for name, value in item.items()}


def size_of(item: Item) -> int:
    """Bytes of an item (AWS: "DynamoDB Item sizes and formats")."""
    total = 0
    for name, value in item.items():
        total += _bytes(name) + _size(value)
    return total


def _size(value: Attribute) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return _bytes(content)
        case "N":
            return numbers.size(content)
        case "B":
            return len(content)
        case "BOOL" | "NULL":
            return 1
        case "M":
            return 3 + len(content) + size_of(content)
        case "L":
            return 3 + sum(1 + _size(member) for member in content)
        case _:
            return sum(_size({SETS[kind]: member}) for member in content)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def compare(one: Attribute, other: Attribute) -> int | None:
    """-1, 0 or 1 as one text, number or binary comes before, at or after the other; None when they cannot be compared."""
    ((kind, content),) = one.items()
    if kind not in ORDERED or kind not in other:
        return None
    mine, theirs = content, other[kind]
    if kind == "N":
        mine, theirs = Decimal(mine), Decimal(theirs)
    return int(mine > theirs) - int(mine < theirs)


def length(value: Attribute) -> int | None:
    """What `size()` says of a value; None of one that has no size."""
    ((kind, content),) = value.items()
    return None if kind in ("N", "BOOL", "NULL") else len(content)


def has(value: Attribute, wanted: Attribute) -> bool:
    """What `contains()` says: a part of a text or binary, a member of a set or list."""
    ((kind, content),) = value.items()
    if kind == "L":
        return wanted in content
    ((wanted_kind, wanted_content),) = wanted.items()
    return wanted_kind == SETS.get(kind, kind) and kind in (*SETS, "S", "B") and wanted_content in content


def walk(item: Item, path: tuple[str | int, ...]) -> Iterator[Attribute]:
    """The value at a document path, or nothing."""
    found: Attribute = {"M": item}
    for step in path:
        if isinstance(step, int):
            if step >= len(found.get("L", ())):
                return
            found = found["L"][step]
        else:
            member = found["M"].get(step) if "M" in found else None
            if member is None:
                return
            found = member
    yield found
