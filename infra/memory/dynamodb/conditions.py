"""Conditions: read once, then held against items.

    condition := all ("OR" all)*
    all       := one ("AND" one)*
    one       := "NOT" one | "(" condition ")" | test
    test      := function | operand ("=" | "<>" | "<" | "<=" | ">" | ">=") operand
               | operand "BETWEEN" operand "AND" operand | operand "IN" "(" operand, … ")"
    operand   := path | :value | "size" "(" operand ")"

AWS: "Condition and filter expressions, operators, and functions in DynamoDB". What is missing makes a comparison false, and
`<>` true. Not known here: an operand in parentheses of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from infra.memory.dynamodb.attributes import ORDERED, Attribute, Item, compare, has, invalid, length
from infra.memory.dynamodb.expressions import ExpressionReader, Path, Placeholders
from infra.memory.service import ServiceError

FUNCTIONS = {"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2}
"""How many operands each takes."""

TYPES = ("B", "BOOL", "BS", "L", "M", "N", "NS", "NULL", "S", "SS")

COMPARISONS: dict[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}


@dataclass(frozen=True, slots=True)
class Operand:
    """A path, a value's placeholder, or the size of one of them."""

    path: Path = ()
    value: str = ""
    size: bool = False

    def of(self, item: Item, given: Placeholders) -> Attribute | None:
        """What it comes to for an item; None when there is no such thing."""
        found = given.values[self.value] if self.value else given.find(item, self.path)
        if not self.size or found is None:
            return found
        measured = length(found)
        return None if measured is None else {"N": str(measured)}

    def literal(self, given: Placeholders) -> Attribute | None:
        """Its value, if it is the same for every item."""
        return given.values[self.value] if self.value and not self.size else None


class ConditionPart(Protocol):
    """One part of a condition."""

    def holds(self, item: Item, given: Placeholders) -> bool:
        """Whether an item meets it; of no item, nothing is there."""

    def check(self, what: str, given: Placeholders) -> None:
        """Refuse operands that can never be right."""


@dataclass(frozen=True, slots=True)
class Both:
    """AND or OR."""

    word: str
    tests: tuple[ConditionPart, ...]

    def holds(self, item: Item, given: Placeholders) -> bool:
        answers = (test.holds(item, given) for test in self.tests)
        return all(answers) if self.word == "AND" else any(answers)

    def check(self, what: str, given: Placeholders) -> None:
        for test in self.tests:
            test.check(what, given)


@dataclass(frozen=True, slots=True)
class Not:
    """NOT."""

    test: ConditionPart

    def holds(self, item: Item, given: Placeholders) -> bool:
        return not self.test.holds(item, given)

    def check(self, what: str, given: Placeholders) -> None:
        self.test.check(what, given)


@dataclass(frozen=True, slots=True)
class Predicate:
    """An operator or a function, and its operands."""

    word: str
    operands: tuple[Operand, ...]

    def holds(self, item: Item, given: Placeholders) -> bool:
        first, *rest = [operand.of(item, given) for operand in self.operands]
        match self.word:
            case "attribute_exists":
                return first is not None
            case "attribute_not_exists":
                return first is None
            case "<>":
                return first is None or first != rest[0]
        if first is None:
            return False
        match self.word:
            case "=":
                return first == rest[0]
            case "IN":
                return first in rest
        if None in rest:
            return False
        others: Any = rest
        match self.word:
            case "BETWEEN":
                low, high = (compare(first, other) for other in others)
                return low is not None and high is not None and low >= 0 >= high
            case "attribute_type":
                return others[0].get("S") in first
            case "begins_with":
                ((kind, content),) = first.items()
                return kind in ("S", "B") and kind in others[0] and content.startswith(others[0][kind])
            case "contains":
                return has(first, others[0])
            case _:
                order = compare(first, others[0])
                return order is not None and COMPARISONS[self.word](order)

    def check(self, what: str, given: Placeholders) -> None:
        if problem := self._problem(given):
            raise invalid(f"Invalid {what}: {problem}")

    def _problem(self, given: Placeholders) -> str | None:
        """What is wrong with the operands, whatever the item is."""
        if self.word.startswith("attribute_") and not self.operands[0].path:
            return f"Operator or function requires a document path; operator or function: {self.word}"
        literals = [operand.literal(given) for operand in self.operands]
        allowed = {"attribute_type": ("S",), "begins_with": ("S", "B")}.get(
            self.word, ORDERED if self.word in (*COMPARISONS, "BETWEEN") else TYPES
        )
        for literal in literals:
            if literal is not None and not literal.keys() & set(allowed):
                says = "Incorrect operand type for operator or function"
                return f"{says}; operator or function: {self.word}, operand type: {next(iter(literal))}"
        if self.word != "IN" and self.operands[0].path and self.operands[0] in self.operands[1:]:
            says = "The first operand must be distinct from the remaining operands for this operator or function"
            names = ", ".join(str(step) for step in given.real(self.operands[0].path))
            return f"{says}; operator: {self.word}, first operand: [{names}]"
        if self.word == "attribute_type" and literals[1] and literals[1]["S"] not in TYPES:
            return f"Invalid attribute type name found; type: {literals[1]['S']}, valid types: {{{','.join(TYPES)}}}"
        return self._bounds(*literals[1:]) if self.word == "BETWEEN" else None

    @staticmethod
    def _bounds(lower: Attribute | None, upper: Attribute | None) -> str | None:
        if lower is None or upper is None:
            return None
        order = compare(lower, upper)
        if order is not None and order <= 0:
            return None
        shown = (f"AttributeValue: {{{kind}:{content}}}" for bound in (lower, upper) for kind, content in bound.items())
        needs = "same data type for lower and upper bounds"
        if order is not None:
            needs = "upper bound to be greater than or equal to lower bound"
        return f"The BETWEEN operator requires {needs}; lower bound operand: {next(shown)}, upper bound operand: {next(shown)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionExpression:
    """A condition that was read, and its placeholders."""

    what: str
    test: ConditionPart
    names: tuple[str, ...]
    values: tuple[str, ...]

    def bind(self, given: Placeholders) -> ConditionPart:
        """The condition, checked against the names and values of a request.

        Raises:
            ServiceError: a placeholder is not defined, or an operand can never be right.
        """
        given.use(self.what, self.names, self.values)
        self.test.check(self.what, given)
        return self.test


@lru_cache(maxsize=4096)
def read(text: str, what: str = "ConditionExpression") -> ConditionExpression:
    """A condition, read.

    Raises:
        ServiceError: it is not written as DynamoDB's grammar wants it.
    """
    reader = ExpressionReader(what, text)
    test = _any(reader)
    reader.end()
    return ConditionExpression(what=what, test=test, names=tuple(reader.names), values=tuple(reader.values))


def _any(reader: ExpressionReader) -> ConditionPart:
    tests = [_all(reader)]
    while reader.optional("OR"):
        tests.append(_all(reader))
    return tests[0] if len(tests) == 1 else Both("OR", tuple(tests))


def _all(reader: ExpressionReader) -> ConditionPart:
    tests = [_one(reader)]
    while reader.optional("AND"):
        tests.append(_one(reader))
    return tests[0] if len(tests) == 1 else Both("AND", tuple(tests))


def _one(reader: ExpressionReader) -> ConditionPart:
    if reader.optional("NOT"):
        return Not(_one(reader))
    if reader.next == "(":
        return _group(reader)
    if reader.is_call() and reader.next != "size":
        return _function(reader)
    first = _operand(reader)
    if first.size and not reader.next_is("=", "<>", "<", "<=", ">", ">=", "BETWEEN", "IN"):
        raise _misused(reader, "size")
    match reader.expect("=", "<>", "<", "<=", ">", ">=", "BETWEEN", "IN"):
        case "BETWEEN":
            low = _operand(reader)
            reader.expect("AND")
            return Predicate("BETWEEN", (first, low, _operand(reader)))
        case "IN":
            return Predicate("IN", (first, *_operands(reader)))
        case operator:
            return Predicate(operator, (first, _operand(reader)))


def _group(reader: ExpressionReader) -> ConditionPart:
    begin = reader.at
    reader.expect("(")
    test = _any(reader)
    if reader.group == (begin + 1, reader.at - 1):
        raise reader.refusal("The expression has redundant parentheses;")
    reader.expect(")")
    reader.group = (begin, reader.at - 1)
    return test


def _function(reader: ExpressionReader) -> ConditionPart:
    name = reader.take()
    if name not in FUNCTIONS:
        raise reader.refusal(f"Invalid function name; function: {name}")
    operands = _operands(reader)
    if len(operands) != FUNCTIONS[name]:
        says = "Incorrect number of operands for operator or function"
        raise reader.refusal(f"{says}; operator or function: {name}, number of operands: {len(operands)}")
    if reader.next in ("=", "<>", "<", "<=", ">", ">="):
        raise _misused(reader, name)
    return Predicate(name, tuple(operands))


def _misused(reader: ExpressionReader, name: str) -> ServiceError:
    return reader.refusal(f"The function is not allowed to be used this way in an expression; function: {name}")


def _operands(reader: ExpressionReader) -> list[Operand]:
    reader.expect("(")
    operands = [_operand(reader)]
    while reader.optional(","):
        operands.append(_operand(reader))
    reader.expect(")")
    return operands


def _operand(reader: ExpressionReader) -> Operand:
    if reader.next.startswith(":"):
        return Operand(value=reader.value())
    if not reader.is_call():
        return Operand(path=reader.path())
    name = reader.take()
    if name != "size":
        raise _misused(reader, name) if name in FUNCTIONS else reader.refusal(f"Invalid function name; function: {name}")
    reader.expect("(")
    inner = _operand(reader)
    reader.expect(")")
    return Operand(inner.path, inner.value, size=True)
