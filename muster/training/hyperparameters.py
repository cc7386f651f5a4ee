"""What a trainer understands of a round's hyperparameters, as data; and what came, held against it.

A word that the trainer does not know, a value of another type, one out of its bounds: each is refused by a sentence with the
name, what was expected, and what came. Nothing is ignored, so that a misspelt word is not found out in round 7.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from muster.device.failures import BadHyperparameter, MistypedHyperparameter, UnknownHyperparameter
from muster.device.trainer import Hyperparameters

Scalar = bool | int | float | str

_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameter:
    """One word of an operator to a trainer: its type (`bool`, `int`, `float`, `str`), what it is by default, its bounds."""

    name: str
    type: type
    default: Scalar
    says: str
    """What it does, in a sentence."""
    least: float | None = None
    most: float | None = None
    above: float | None = None
    """It must be more than this."""
    below: float | None = None
    """It must be less than this."""

    @property
    def expected(self) -> str:
        """What is accepted, for people."""
        bounds = (("at least", self.least), ("more than", self.above), ("at most", self.most), ("less than", self.below))
        told = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
        return f"{_KINDS[self.type]} {told}".strip()

    def read(self, value: object) -> Scalar:
        """A value as the type that was declared; a whole number is a number too, and 3.0, as a schedule gives it, a whole one.

        Raises:
            MistypedHyperparameter (a TypeError): it is of another type.
            BadHyperparameter (a ValueError): it is out of bounds, or not finite.
        """
        if self.type is int and isinstance(value, float) and value.is_integer():
            value = int(value)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        fits = is_whole or isinstance(value, float) if self.type is float else is_whole if self.type is int else None
        if not (isinstance(value, self.type) if fits is None else fits):
            raise MistypedHyperparameter(
                f"hyperparameter {self.name!r}: expected {self.expected}, got {value!r} ({type(value).__name__})"
            )
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not self._holds(value):
            raise BadHyperparameter(f"hyperparameter {self.name!r}: expected {self.expected}, got {value!r}")
        return float(value) if self.type is float and isinstance(value, int) else value  # type: ignore[return-value]

    def _holds(self, value: float) -> bool:
        return (
            math.isfinite(value)
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )


def read(declared: Sequence[Hyperparameter], given: Hyperparameters) -> dict[str, Scalar]:
    """A value for every declared word: the one that was given, or its default.

    Raises:
        MistypedHyperparameter (a TypeError): a value is of another type than was declared.
        BadHyperparameter (a ValueError): a value is out of its bounds.
        UnknownHyperparameter (a ValueError): a word is not declared; those that are spelt alike are named.
    """
    by_name: Mapping[str, Hyperparameter] = {one.name: one for one in declared}
    for name in given:
        if name not in by_name:
            raise UnknownHyperparameter(f"unknown hyperparameter {name!r}: {near(name, by_name)}")
    return {name: one.read(given.get(name, one.default)) for name, one in by_name.items()}


def near(name: str, known: Collection[str]) -> str:
    """Which of the known names may have been meant; all of them, when none is like it."""
    alike = difflib.get_close_matches(name, list(known), n=3)
    return f"did you mean {' or '.join(map(repr, alike))}?" if alike else f"expected one of {', '.join(sorted(known))}"
