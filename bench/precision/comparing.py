"""A mean beside the exact one: rounded as the model's dtype is, and in units of its last place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from muster.wire.arrays import Array


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found of some elements."""

    correct: float
    """The share that is what the exact mean is when it is rounded once."""
    worst_ulps: float
    """The largest distance of the float64 mean, as it is cast, from the exact one, in ulps of the dtype."""


def compare(found: Array, exact: Sequence[Fraction], dtype: str) -> Comparison:
    """Of means in float64, cast to a model's dtype, and the exact ones."""
    cast = found.astype(dtype)
    right, worst = 0, Fraction(0)
    for value, true in zip(cast, exact, strict=True):
        ulp = Fraction(float(np.spacing(np.abs(value))))
        worst = max(worst, abs(Fraction(float(value)) - true) / ulp)
        right += nearest(true, dtype) == float(value)
    return Comparison(right / len(exact), float(worst))


def nearest(true: Fraction, dtype: str) -> float:
    """The number of a float dtype that is nearest to an exact one, ties to even."""
    info = np.finfo(dtype)
    if not true:
        return 0.0
    exponent = max(_exponent(abs(true)), int(info.minexp))
    step = Fraction(2) ** (exponent - int(info.nmant))
    rounded = round(true / step) * step  # round() of a fraction takes ties to even
    return math.ldexp(rounded.numerator, -(rounded.denominator.bit_length() - 1)) if rounded.denominator else 0.0


def _exponent(value: Fraction) -> int:
    """The e with 2**e <= value < 2**(e + 1)."""
    guess = value.numerator.bit_length() - value.denominator.bit_length()
    return guess if Fraction(2) ** guess <= value else guess - 1
