"""Hyperparameters that change from round to round: what a configuration says, and what a round's devices are given.

    {"learning_rate": {"schedule": "linear", "start": 0.1, "end": 0.0, "rounds": 11}}  ──▶  round 2: {"learning_rate": 0.09}

Rounds are counted from 1 in the model's whole life. After its last round a schedule stays at its end. What comes out is a
number that a message can hold: finite, and within ±1e30.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from muster.wire.messages import Finite, Request, Scalar, Whole

LARGEST_NUMBER, SMALLEST_NUMBER = 1e30, 1e-60
"""Beyond the one, and below the other, a staircase does not go on."""

LAST_ROUND = 10**12
"""No model comes to it, and every schedule has come to its end by then."""

Rounds = Annotated[int, Field(ge=1, le=10**6)]


class Ramp(Request):
    """From `start` in the first round to `end` in round `rounds`: in a straight line, or along half a cosine (Loshchilov and
    Hutter, "SGDR", ICLR 2017, eq. 5).
    """

    schedule: Literal["linear", "cosine"]
    start: Finite
    end: Finite
    rounds: Rounds

    @property
    def extremes(self) -> tuple[float, ...]:
        """Between these lie all of its values."""
        return (self.start, self.end)

    def at(self, number: int) -> float:
        """The value in a round."""
        share = 1.0 if number >= self.rounds else (number - 1) / (self.rounds - 1)
        if self.schedule == "cosine":
            share = (1.0 - math.cos(math.pi * share)) / 2.0
        low, high = sorted((self.start, self.end))
        return min(high, max(low, self.start * (1.0 - share) + self.end * share))  # rounding leads out of neither end


class Staircase(Request):
    """`start`, times `factor` after every `every` rounds. It comes as near to 0 as it likes, and never there."""

    schedule: Literal["steps"]
    start: Finite
    factor: Annotated[float, Field(gt=0.0, le=1e3)]
    every: Rounds

    @property
    def extremes(self) -> tuple[float, ...]:
        """Between these lie all of its values."""
        return (self.start, self.at(LAST_ROUND))

    def at(self, number: int) -> float:
        """The value in a round."""
        steps = (number - 1) // self.every
        size, beyond = abs(self.start), steps * math.log10(self.factor) > 300.0  # whatever it began with
        grown = LARGEST_NUMBER if beyond and size else size if beyond else size * self.factor**steps
        return math.copysign(min(LARGEST_NUMBER, max(min(size, SMALLEST_NUMBER), grown)), self.start)


class RoundTable(Request):
    """A value for each round, the first for round 1."""

    schedule: Literal["table"]
    values: Annotated[list[Whole | Finite], Field(min_length=1, max_length=100)]

    @property
    def extremes(self) -> tuple[int | float, ...]:
        """All of its values."""
        return tuple(self.values)

    def at(self, number: int) -> int | float:
        """The value in a round."""
        return self.values[min(number, len(self.values)) - 1]


Schedule = Annotated[Ramp | Staircase | RoundTable, Field(discriminator="schedule")]


def given(hyperparameters: Mapping[str, Scalar | Ramp | Staircase | RoundTable], number: int) -> dict[str, Scalar]:
    """What the devices of a round are given."""
    return {
        name: value.at(number) if isinstance(value, Ramp | Staircase | RoundTable) else value
        for name, value in hyperparameters.items()
    }
