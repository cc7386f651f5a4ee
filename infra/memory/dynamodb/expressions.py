"""What DynamoDB's expressions have in common: words, document paths, and placeholders for names and values.

AWS: "Using expressions in DynamoDB", and its pages on expression attribute names and values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.memory.dynamodb.attributes import Attribute, Item, copied, invalid, taken, walk
from infra.memory.dynamodb.reserved import RESERVED
from infra.memory.service import ServiceError

Path = tuple[str | int, ...]
"""Names and positions from the item inwards; a name is as it is written, `#name` where it is a placeholder."""

EXPRESSION_BYTES = 4096
"""AWS: "Service, account, and table quotas in Amazon DynamoDB", Expression parameters."""

_WORDS = re.compile(r"\s*(?:([#:]?\w+)|(<>|<=|>=|[=<>(),.+\[\]-])|(\S))")


class ExpressionReader:
    """Reads one expression, word after word."""

    def __init__(self, what: str, text: str) -> None:
        """`what` is the request's parameter, such as `ConditionExpression`."""
        self.what = what
        self.names: dict[str, None] = {}
        self.values: dict[str, None] = {}
        if not text.strip():
            raise self.refusal("The expression can not be empty;")
        if len(text.encode()) > EXPRESSION_BYTES:
            raise self.refusal("Expression size has exceeded the maximum allowed size;")
        self._words = ["".join(found) for found in _WORDS.findall(text)]
        self.at = 0
        self.group = (0, 0)
        """Where the last pair of parentheses was."""

    @property
    def next(self) -> str:
        """The word that follows, without moving on; empty at the end."""
        return self._words[self.at] if self.at < len(self._words) else ""

    def next_is(self, *keywords: str) -> bool:
        """Whether one of these follows; keywords may be written in any case."""
        return self.next.upper() in keywords

    def take(self) -> str:
        """The word that follows, moving on."""
        word = self.next
        if not word:
            raise self.syntax()
        self.at += 1
        return word

    def expect(self, *keywords: str) -> str:
        """One of these, in capitals."""
        if not self.next_is(*keywords):
            raise self.syntax()
        return self.take().upper()

    def optional(self, *keywords: str) -> bool:
        """Move on over one of these, if it follows."""
        if self.next_is(*keywords):
            self.at += 1
            return True
        return False

    def is_call(self) -> bool:
        """Whether a function and its bracket follow."""
        return re.match(r"[A-Za-z_]", self.next) is not None and self._words[self.at + 1 : self.at + 2] == ["("]

    def end(self) -> None:
        """There is no more."""
        if self.next:
            raise self.syntax()

    def path(self) -> Path:
        """A document path: `a`, `#a.b`, `a[0].c`."""
        steps: list[str | int] = [self._name()]
        while self.next in (".", "["):
            if self.take() == ".":
                steps.append(self._name())
                continue
            position = self.take()
            if not position.isdecimal():
                raise self.syntax()
            self.expect("]")
            steps.append(int(position))
        return tuple(steps)

    def _name(self) -> str:
        word = self.next
        if not re.match(r"[#A-Za-z_]", word):
            raise self.syntax()
        if word.startswith("#"):
            self.names[word] = None
        elif word.upper() in RESERVED:
            raise self.refusal(f"Attribute name is a reserved keyword; reserved keyword: {word}")
        return self.take()

    def value(self) -> str:
        """A placeholder of a value."""
        if not self.next.startswith(":"):
            raise self.syntax()
        self.values[self.next] = None
        return self.take()

    def refusal(self, why: str) -> ServiceError:
        """An error of this expression."""
        return invalid(f"Invalid {self.what}: {why}")

    def syntax(self) -> ServiceError:
        """An error where the reader stands. What DynamoDB calls near differs a little."""
        around = " ".join(self._words[max(0, self.at - 1) : self.at + 2])
        return self.refusal(f'Syntax error; token: "{self.next or "<EOF>"}", near: "{around}"')


@dataclass(slots=True)
class Placeholders:
    """Names and values of one request, and which of them its expressions used."""

    names: Mapping[str, str]
    values: Mapping[str, Attribute]
    used: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, request: Mapping[str, Any], *expressions: str) -> Placeholders:
        """Those of a request, which may have these expressions."""
        given = [name for name in expressions if name in request]
        for part in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
            if part in request and not given:
                why = "" if part.endswith("Names") or len(expressions) != 1 else f": {expressions[0]} is null"
                raise invalid(f"{part} can only be specified when using expressions{why}")
            if part in request and not request[part]:
                raise invalid(f"{part} must not be empty")
        values = {name: taken(value) for name, value in request.get("ExpressionAttributeValues", {}).items()}
        return cls(request.get("ExpressionAttributeNames", {}), values)

    def use(self, what: str, names: Iterable[str], values: Iterable[str]) -> None:
        """An expression uses these.

        Raises:
            ServiceError: one is not defined.
        """
        for kind, wanted, defined in (
            ("name used in the document path", names, self.names), ("value used in expression", values, self.values)
        ):  # fmt: skip
            for name in wanted:
                if name not in defined:
                    short = kind.split()[0]
                    says = f"An expression attribute {kind} is not defined; attribute {short}: {name}"
                    raise invalid(f"Invalid {what}: {says}")
                self.used.add(name)

    def all_used(self) -> None:
        """Every expression was read.

        Raises:
            ServiceError: a name or a value was not used.
        """
        for part, defined in (("Names", self.names), ("Values", self.values)):
            if unused := [name for name in defined if name not in self.used]:
                listed = ", ".join(unused)
                raise invalid(f"Value provided in ExpressionAttribute{part} unused in expressions: keys: {{{listed}}}")

    def real(self, path: Path) -> Path:
        """A path with its placeholders replaced."""
        return tuple(self.names.get(step, step) if isinstance(step, str) else step for step in path)

    def find(self, item: Item, path: Path) -> Attribute | None:
        """The value at a path of an item, or None."""
        if len(path) == 1:
            return item.get(self.names.get(str(path[0]), str(path[0])))
        return next(walk(item, self.real(path)), None)


def distinct(what: str, paths: Iterable[Path]) -> None:
    """No path leads to, or through, where another leads.

    Raises:
        ServiceError: two do.
    """
    seen: list[Path] = []
    for path in paths:
        for other in seen:
            common = min(len(path), len(other))
            if path[:common] == other[:common]:
                one, two = (f"[{', '.join(_said(step) for step in way)}]" for way in (other, path))
                says = "Two document paths overlap with each other; must remove or rewrite one of these paths"
                raise invalid(f"Invalid {what}: {says}; path one: {one}, path two: {two}")
        seen.append(path)


def _said(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else step


def projected(item: Item, paths: Iterable[Path]) -> Item:
    """The parts of an item that lie at these (real) paths. Parts of lists are not known here."""
    found: Item = {}
    for path in paths:
        names = [step for step in path if isinstance(step, str)]
        if len(names) < len(path):
            raise NotImplementedError("a projection of a member of a list is not answered by the store in this process")
        value = next(walk(item, path), None)
        if value is None:
            continue
        inside = found
        for name in names[:-1]:
            inside = inside.setdefault(name, {"M": {}})["M"]
        inside[names[-1]] = copied(value)
    return found


def projection(request: Mapping[str, Any], placeholders: Placeholders) -> list[Path]:
    """The (real) paths of a request's ProjectionExpression; none when it has none."""
    text = request.get("ProjectionExpression")
    if text is None:
        return []
    reader = ExpressionReader("ProjectionExpression", text)
    paths = [reader.path()]
    while reader.optional(","):
        paths.append(reader.path())
    reader.end()
    placeholders.use(reader.what, reader.names, reader.values)
    found = [placeholders.real(path) for path in paths]
    distinct(reader.what, found)
    return found
