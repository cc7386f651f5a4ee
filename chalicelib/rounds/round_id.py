"""A round's name: parsed once, where it comes in, and carried as a value from there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

FORM = r"[a-z][a-z0-9-]{0,47}\.[1-9][0-9]{0,7}"
"""A model's name, and the number of one of its rounds, without leading zeros: a round has one name."""


@dataclass(frozen=True, slots=True, order=True)
class RoundId:
    """`<model>.<number>`, as devices, keys, messages and logs write it."""

    model: str
    number: int

    def __str__(self) -> str:
        return f"{self.model}.{self.number}"

    @classmethod
    def parse(cls, text: str) -> RoundId | None:
        """The name that a text is, or None when it is none."""
        if not re.fullmatch(FORM, text):
            return None
        model, _, number = text.rpartition(".")
        return cls(model, int(number))


def _of_row(value: Any) -> Any:
    return RoundId.parse(value) if isinstance(value, str) else value


RoundName = Annotated[RoundId, BeforeValidator(_of_row), PlainSerializer(str)]
"""A round's name in a row."""
