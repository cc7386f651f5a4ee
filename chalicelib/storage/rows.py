"""Frozen dataclasses to DynamoDB items and back, by pydantic, so that a row read is a row checked.

A number goes into a row only if it can come out again: `to_stored` refuses the others. What lies in a row already, whoever
wrote it, can always be read: `from_stored` takes any number that DynamoDB holds. boto3's own deserializer does not: it raises
`decimal.Rounded` at the 39th digit, and 4e38 comes back with 39 of them.

A row may yet be one that this release cannot read: another release wrote it, or somebody changed it by hand. It is
`Unreadable`, and one such row stops nothing else: who reads many rows names it in the log and passes over it (`readable`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from chalicelib.log import log

Row = TypeVar("Row")
Item = dict[str, Any]

SMALLEST = 1e-128
"""Magnitudes below it are stored as zero: DynamoDB holds those from 1e-130 to 1e125 (AWS: "Supported data types")."""

LARGEST = 1e37
"""No float of a larger magnitude is stored: it, and every whole number up to it, has at most the 38 digits that any reader
takes. What comes from outside is bounded far below, at 1e30."""

DIGITS = 38
"""Digits that a number of DynamoDB has at most (AWS: "Supported data types"). Whole numbers of no more are read as int."""


class NotStorable(Exception):
    """A number would be written that could not be read back: a bug, found before it can do harm."""


class Unreadable(Exception):
    """A row is not what this release writes. `item` is what is there (without types)."""

    def __init__(self, kind: str, item: Item, why: str) -> None:
        self.kind = kind
        self.item = item
        self.pk, self.sk = str(item.get("pk")), str(item.get("sk"))
        super().__init__(f"row {self.pk} / {self.sk} cannot be read as a {kind}: {why}")

    @property
    def number(self) -> int:
        """What its key ends in, of a row that is numbered."""
        return int(self.sk.rpartition("#")[2])

    def tell(self) -> None:
        """Name it in the log: it is passed over."""
        log.warning("row passed over", kind=self.kind, pk=self.pk, sk=self.sk, why=str(self))


def to_item(row: object) -> Item:
    """A dataclass as an item's attributes, without those that are None."""
    dumped: Item = _adapter(type(row)).dump_python(row, mode="json", exclude_none=True)
    return dumped


def from_item(kind: type[Row], item: Item) -> Row:
    """An item's attributes as a dataclass; keys and bookkeeping attributes are passed over.

    Raises:
        Unreadable: the stored row is not what this release writes.
    """
    adapter: TypeAdapter[Row] = _adapter(kind)
    try:
        return adapter.validate_python(item)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the row"
        raise Unreadable(kind.__name__, item, f"{where}: {first['msg']}") from error


def each(kind: type[Row], items: Iterable[Item]) -> Iterator[Row | Unreadable]:
    """Every row, or what says that it cannot be read."""
    for item in items:
        try:
            yield from_item(kind, item)
        except Unreadable as unreadable:
            yield unreadable


def told(rows: Iterable[Row | Unreadable]) -> Iterator[Row]:
    """The rows that can be read; the others are named in the log."""
    for row in rows:
        if isinstance(row, Unreadable):
            row.tell()
        else:
            yield row


def readable(kind: type[Row], items: Iterable[Item]) -> Iterator[Row]:
    """The same of items."""
    return told(each(kind, items))


def page(rows: Iterable[Row | Unreadable], number: Callable[[Row], int]) -> tuple[list[Row], int | None]:
    """Those rows of a page, newest first, that can be read, and below which number the next page begins; None on the last one.
    The others are named in the log.
    """
    found: list[Row] = []
    last = 0
    for row in rows:
        if isinstance(row, Unreadable):
            row.tell()
            last = row.number
        else:
            found.append(row)
            last = number(row)
    return found, last if last > 1 else None


def readable_one(kind: type[Row], item: Item | None) -> Row | None:
    """A row, or None when there is none, or none that can be read; that is named in the log."""
    return next(readable(kind, [item] if item else []), None)


def unreadable(kind: type[Row], items: Iterable[Item]) -> int:
    """How many of some rows cannot be read."""
    return sum(isinstance(row, Unreadable) for row in each(kind, items))


def storable(values: Mapping[str, float]) -> dict[str, float]:
    """Some numbers as they will read back from a row. What is compared with a row is made so first."""
    return {name: float(value) if abs(value) >= SMALLEST else 0.0 for name, value in values.items()}


def to_stored(value: Any) -> Any:
    """Floats as the decimals that boto3 insists on; other values as they are.

    A float is written as the shortest decimal that reads back as the same float, at most 17 digits and an exponent; one that
    is too small, as zero.

    Raises:
        NotStorable: a float that is not finite or beyond `LARGEST`, or an int of more than `DIGITS` digits.
    """
    if isinstance(value, float):
        return _decimal(value)
    if isinstance(value, int) and abs(value) >= 10**DIGITS:
        raise NotStorable(f"expected an int of at most {DIGITS} digits, got one of {len(str(abs(value)))}")
    if isinstance(value, dict):
        return {key: to_stored(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_stored(item) for item in value]
    return value


def _decimal(value: float) -> Decimal:
    magnitude = abs(value)
    if not magnitude <= LARGEST:
        raise NotStorable(f"expected a finite float of at most {LARGEST:g}, got {value}")
    if magnitude < SMALLEST:
        return Decimal(0)
    return Decimal(repr(value)).normalize()


def from_stored(attribute: Mapping[str, Any]) -> Any:
    """A DynamoDB attribute, such as `{"N": "1"}`, as a plain value. A number is an int where it is whole and has at most
    `DIGITS` digits, else a float, however many it has.
    """
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            return _number(value)
        case "NULL":
            return None
        case "M":
            return {name: from_stored(member) for name, member in value.items()}
        case "L":
            return [from_stored(member) for member in value]
        case "SS":
            return set(value)
        case _:
            return UnknownKind(kind)


def _number(digits: str) -> int | float:
    value = Decimal(digits)  # exact, whatever its length: only arithmetic rounds
    return int(value) if abs(value) < 10**DIGITS and value == value.to_integral_value() else float(value)


@dataclass(frozen=True, slots=True)
class UnknownKind:
    """Stands for an attribute of a kind that no row of ours has (bytes, sets of numbers); no dataclass takes it."""

    kind: str


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    """The adapter of a row's class; making one is slow, so each is made once."""
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]
