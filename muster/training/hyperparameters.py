"""What a trainer understands of a round's hyperparameters, as data; and what came, held against it.

A word that the trainer does not know, a value of another type, one out of its bounds: each is refused by a sentence with the
name, what was expected, and what came. Nothing is ignored, so that a misspelt word is not found out in round 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from muster.device.failures import BadHyperparameter, MistypedHyperparameter, UnknownHyperparameter
from muster.device.trainer import Hyperparameters
from muster.wire.hyperparameters import HyperparameterSchema
from muster.wire.spelling import near

Scalar = bool | int | float | str

_TYPES: Mapping[type, Literal["boolean", "integer", "number", "string"]] = {
    bool: "boolean", int: "integer", float: "number", str: "string",
}  # fmt: skip


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

    def __post_init__(self) -> None:
        """Held to what a configuration can say of it.

        Raises:
            TypeError: `type` is none of the four.
            pydantic.ValidationError: the bounds are not those of a number, or no number keeps them.
        """
        if self.type not in _TYPES:
            raise TypeError(f"hyperparameter {self.name!r}: type: expected bool, int, float or str, got {self.type!r}")
        _ = self.schema

    @property
    def schema(self) -> HyperparameterSchema:
        """Its type and its bounds, as a model's configuration says them."""
        return HyperparameterSchema(
            type=_TYPES[self.type],
            minimum=self.least,
            maximum=self.most,
            exclusive_minimum=self.above,
            exclusive_maximum=self.below,
        )

    def read(self, value: object) -> Scalar:
        """A value as the type that was declared; a whole number is a number too, and 3.0, as a schedule gives it, a whole one.

        Raises:
            MistypedHyperparameter (a TypeError): it is of another type.
            BadHyperparameter (a ValueError): it is out of bounds, or not finite.
        """
        schema = self.schema
        if not schema.is_of_type(value):
            raise MistypedHyperparameter(
                f"hyperparameter {self.name!r}: expected {schema.expected}, got {value!r} ({type(value).__name__})"
            )
        if not schema.holds(value):
            raise BadHyperparameter(f"hyperparameter {self.name!r}: expected {schema.expected}, got {value!r}")
        made: Scalar = self.type(value)
        return made


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


def schema_of(trainer: object) -> dict[str, HyperparameterSchema] | None:
    """What a trainer, or a class of them, says that it understands, as a model's configuration says it; None if it does not.

    It says so by `HYPERPARAMETERS`, a sequence of `Hyperparameter`.

    Raises:
        TypeError: `HYPERPARAMETERS` is something else.
    """
    declared = getattr(trainer, "HYPERPARAMETERS", None)
    if declared is None:
        return None
    if isinstance(declared, str) or not all(isinstance(one, Hyperparameter) for one in declared):
        raise TypeError(f"HYPERPARAMETERS: expected a sequence of muster.training.Hyperparameter, got {declared!r}")
    return {one.name: one.schema for one in declared}
