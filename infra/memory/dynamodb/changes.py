"""Update expressions: what one changes, and the item that comes of it.

    SET path = value, …        value := operand | operand "+" operand | operand "-" operand
    REMOVE path, …             operand := path | :value | "if_not_exists" "(" path "," operand ")"
    ADD path :value, …         to a number, or members to a set

AWS: "Update expressions". Every value is computed from the item as it was. Not known here: DELETE, `list_append` and
members of lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from infra.memory.dynamodb import numbers
from infra.memory.dynamodb.attributes import SETS, Attribute, Item, invalid, sorted_set
from infra.memory.dynamodb.expressions import ExpressionReader, Path, Placeholders, distinct
from infra.memory.service import ServiceError

WHAT = "UpdateExpression"

TYPE_NAMES = {
    "S": "STRING", "N": "NUMBER", "B": "BINARY", "BOOL": "BOOLEAN", "NULL": "NULL", "M": "MAP", "L": "LIST", "SS": "STRING_SET",
    "NS": "NUMBER_SET", "BS": "BINARY_SET",
}  # fmt: skip


class Impossible(ServiceError):
    """An update that is well written but cannot be made of the item that is there. A transaction is cancelled by it."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


@dataclass(frozen=True, slots=True)
class ValueOperand:
    """A path or a value; `otherwise` is what stands for a path that leads nowhere."""

    path: Path = ()
    value: str = ""
    otherwise: ValueOperand | None = None

    def of(self, item: Item, given: Placeholders) -> Attribute:
        """What it comes to."""
        found = given.values[self.value] if self.value else given.find(item, self.path)
        if found is None and self.otherwise is not None:
            return self.otherwise.of(item, given)
        if found is None:
            raise Impossible("The provided expression refers to an attribute that does not exist in the item")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """SET: a path and what it becomes, the first operand plus or minus the second."""

    path: Path
    first: ValueOperand
    sign: int = 1
    second: ValueOperand | None = None

    def of(self, item: Item, given: Placeholders) -> Attribute:
        """The new value."""
        first = self.first.of(item, given)
        return first if self.second is None else _sum(first, self.second.of(item, given), self.sign)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateExpression:
    """An update expression that was read, and its placeholders."""

    sets: tuple[Assignment, ...]
    removes: tuple[Path, ...]
    adds: tuple[tuple[Path, str], ...]
    names: tuple[str, ...]
    values: tuple[str, ...]

    def bind(self, given: Placeholders, key_names: tuple[str, ...]) -> tuple[Path, ...]:
        """The (real) paths that it changes.

        Raises:
            ServiceError: a placeholder is not defined, two paths overlap, the key would change, or ADD cannot add such a value.
        """
        given.use(WHAT, self.names, self.values)
        paths = [
            given.real(path) for path in (*(change.path for change in self.sets), *self.removes, *(p for p, _ in self.adds))
        ]
        distinct(WHAT, paths)
        for path in paths:
            if path[0] in key_names:
                part = "This attribute is part of the key"
                raise invalid(f"One or more parameter values were invalid: Cannot update attribute {path[0]}. {part}")
        for _, value in self.adds:
            ((kind, _),) = given.values[value].items()
            if kind != "N" and kind not in SETS:
                says = f"Incorrect operand type for operator or function; operator: ADD, operand type: {TYPE_NAMES[kind]}"
                raise invalid(f"Invalid {WHAT}: {says}, typeSet: ALLOWED_FOR_ADD_OPERAND")
        return tuple(paths)

    def apply(self, item: Item, given: Placeholders) -> Item:
        """The item as it will be; the one given stays as it is.

        Raises:
            Impossible: it cannot be made of this item.
        """
        made: list[tuple[Path, Attribute | None]] = [(change.path, change.of(item, given)) for change in self.sets]
        made += [(path, None) for path in self.removes]
        made += [(path, _sum_or_union(given.find(item, path), given.values[value])) for path, value in self.adds]
        for path, value in made:
            item = _with(item, given.real(path), value)
        return item


def _with(item: Item, path: Path, value: Attribute | None) -> Item:
    """An item with another value at a path, or with none; what is not on the path is shared."""
    name, *inside = path
    if not isinstance(name, str):
        raise NotImplementedError("an update of a member of a list is not answered by the store in this process")
    if inside:
        around = item.get(name, {})
        if "M" not in around:
            raise Impossible("The document path provided in the update expression is invalid for update")
        return {**item, name: {"M": _with(around["M"], tuple(inside), value)}}
    if value is None:
        return {other: kept for other, kept in item.items() if other != name}
    return {**item, name: value}


def _sum(one: Attribute, other: Attribute, sign: int) -> Attribute:
    if "N" not in one or "N" not in other:
        raise Impossible("An operand in the update expression has an incorrect data type")
    try:
        return {"N": numbers.total(one["N"], other["N"], sign)}
    except ServiceError as refused:
        raise Impossible(refused.message) from refused


def _sum_or_union(there: Attribute | None, added: Attribute) -> Attribute:
    """What ADD makes of what is there (AWS: "Update expressions", ADD)."""
    if there is None:
        return added
    if there.keys() != added.keys():
        raise Impossible("An operand in the update expression has an incorrect data type")
    ((kind, content),) = there.items()
    return _sum(there, added, 1) if kind == "N" else {kind: sorted_set(kind, {*content, *added[kind]})}


@lru_cache(maxsize=4096)
def read(text: str) -> UpdateExpression:
    """An update expression, read.

    Raises:
        ServiceError: it is not written as DynamoDB's grammar wants it.
    """
    reader = ExpressionReader(WHAT, text)
    sets: list[Assignment] = []
    removes: list[Path] = []
    adds: list[tuple[Path, str]] = []
    seen: set[str] = set()
    while reader.next:
        clause = reader.expect("SET", "REMOVE", "ADD", "DELETE")
        if clause in seen:
            raise reader.refusal(f'The "{clause}" section can only be used once in an update expression;')
        seen.add(clause)
        while True:
            match clause:
                case "SET":
                    sets.append(_assignment(reader))
                case "REMOVE":
                    removes.append(reader.path())
                case "ADD":
                    adds.append((reader.path(), reader.value()))
                case _:
                    raise NotImplementedError("DELETE in an UpdateExpression is not answered by the store in this process")
            if not reader.optional(","):
                break
    return UpdateExpression(
        sets=tuple(sets), removes=tuple(removes), adds=tuple(adds), names=tuple(reader.names), values=tuple(reader.values)
    )


def _assignment(reader: ExpressionReader) -> Assignment:
    path = reader.path()
    reader.expect("=")
    first = _operand(reader)
    if reader.next not in ("+", "-"):
        return Assignment(path=path, first=first)
    sign = 1 if reader.take() == "+" else -1
    return Assignment(path=path, first=first, sign=sign, second=_operand(reader))


def _operand(reader: ExpressionReader) -> ValueOperand:
    if reader.next.startswith(":"):
        return ValueOperand(value=reader.value())
    if not reader.is_call():
        return ValueOperand(path=reader.path())
    name = reader.take()
    if name == "list_append":
        raise NotImplementedError("list_append is not answered by the store in this process")
    if name != "if_not_exists":
        raise reader.refusal(f"Invalid function name; function: {name}")
    reader.expect("(")
    path = reader.path()
    reader.expect(",")
    otherwise = _operand(reader)
    reader.expect(")")
    return ValueOperand(path, otherwise=otherwise)
