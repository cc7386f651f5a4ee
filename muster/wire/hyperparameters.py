"""What a trainer understands of a round's hyperparameters: types and bounds in JSON Schema's words, and what does not fit them.

A model's configuration may say it (`RoundConfig.hyperparameter_schema`), so that a misspelt word is refused to the operator who
writes it and not, round after round, by a thousand devices. A trainer holds what it is given against the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from muster.wire.messages import Finite, MetricName, Request, Scalar
from muster.wire.scheduling import Ramp, RoundTable, Staircase
from muster.wire.spelling import near

MOST_HYPERPARAMETERS = 32

_KINDS = {"boolean": "true or false", "integer": "a whole number", "number": "a number", "string": "a text"}


class HyperparameterSchema(Request):
    """The type of a hyperparameter, and the bounds of a number (JSON Schema 2020-12, "Validation", 6.1.1 and 6.2)."""

    type: Literal["boolean", "integer", "number", "string"]
    minimum: Finite | None = None
    maximum: Finite | None = None
    exclusive_minimum: Finite | None = Field(None, description="it is more than this")
    exclusive_maximum: Finite | None = Field(None, description="it is less than this")

    @model_validator(mode="after")
    def _bounds_are_a_numbers(self) -> HyperparameterSchema:
        bounds = {self.minimum, self.maximum, self.exclusive_minimum, self.exclusive_maximum} - {None}
        if bounds and self.type not in ("integer", "number"):
            raise ValueError(f"expected bounds of numbers alone, got some of a {self.type}")
        least = max((bound for bound in (self.minimum, self.exclusive_minimum) if bound is not None), default=-math.inf)
        most = min((bound for bound in (self.maximum, self.exclusive_maximum) if bound is not None), default=math.inf)
        if least > most or (least == most and not self.holds(least)):
            raise ValueError(f"expected bounds that some number keeps, got {self.expected}")
        return self

    @property
    def expected(self) -> str:
        """What is accepted, for people."""
        bounds = (
            ("at least", self.minimum),
            ("more than", self.exclusive_minimum),
            ("at most", self.maximum),
            ("less than", self.exclusive_maximum),
        )
        told = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
        return f"{_KINDS[self.type]} {told}".strip()

    def is_of_type(self, value: object) -> bool:
        """Whether a value is of the type; a whole number is a number too, and 3.0, as a schedule gives it, a whole one."""
        if isinstance(value, bool):
            return self.type == "boolean"
        if isinstance(value, str):
            return self.type == "string"
        if isinstance(value, int):
            return self.type in ("integer", "number")
        return isinstance(value, float) and (self.type == "number" or (self.type == "integer" and value.is_integer()))

    def holds(self, value: object) -> bool:
        """Whether a value of the type is within the bounds."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return True
        return (
            math.isfinite(value)
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.exclusive_minimum is None or value > self.exclusive_minimum)
            and (self.exclusive_maximum is None or value < self.exclusive_maximum)
        )


Schemas = Annotated[dict[MetricName, HyperparameterSchema], Field(max_length=MOST_HYPERPARAMETERS)]


def check(schemas: Mapping[str, HyperparameterSchema], given: Mapping[str, Scalar | Ramp | Staircase | RoundTable]) -> None:
    """Hold what a configuration says against what trainers understand, whatever the round.

    Raises:
        ValueError: a word is not declared, or a value that it has in some round is of another type or out of bounds.
    """
    for name, value in given.items():
        if name not in schemas:
            raise ValueError(f"unknown hyperparameter {name!r}: {near(name, schemas)}")
        schema = schemas[name]
        if schema.type != "number" and isinstance(value, (Ramp, Staircase)):
            raise ValueError(f"hyperparameter {name!r}: expected {schema.expected}, or a table of such; a ramp has no others")
        for one in value.extremes if isinstance(value, (Ramp, Staircase, RoundTable)) else (value,):
            if not schema.is_of_type(one) or not schema.holds(one):
                raise ValueError(f"hyperparameter {name!r}: expected {schema.expected}, got {one!r}")
