"""A memory that forgets what was not asked for the longest: names in it may come from anybody."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

Name = TypeVar("Name")
Value = TypeVar("Value")

MOST = 1000
"""What one memory holds."""


class Recent(Generic[Name, Value]):
    """At most `MOST` values by name."""

    def __init__(self) -> None:
        self._values: OrderedDict[Name, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: Name) -> Value | None:
        """The value of that name, which is the latest now, or None."""
        if name not in self._values:
            return None
        self._values.move_to_end(name)
        return self._values[name]

    def put(self, name: Name, value: Value) -> None:
        """Remember a value; the one that was not asked for the longest makes room."""
        self._values[name] = value
        self._values.move_to_end(name)
        if len(self._values) > MOST:
            self._values.popitem(last=False)
