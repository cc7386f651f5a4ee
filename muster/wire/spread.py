"""How far the elements of a tensor are spread: one whole number says how fine a grid has to be for almost all of them.

    level = the largest whole number for which the average of min(1, 2**level / |x|), x not zero, is at most `SPOILED`

Numbers that are wrong by up to 2**(level - p), and are then rounded to a float of p bits, are rounded wrongly about once in
2,048 times: whether a value x falls on the other side of a rounding boundary is as likely as its error is large beside
2**-p * |x|. Of a bell curve the level lies about 18 bits below the largest of a million elements, of log-normal values of
σ = 4 about 50 bits below.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SPOILED = 1 / 2048
"""The share of nonzero elements for which the level may be too coarse."""

ALL_BELOW = 1 << 16
"""Elements up to which each one is looked at."""

EVERY = 7
"""Of longer tensors one element in so many is: a number that has nothing to do with how tensors are laid out."""

NO_LEVEL = 2000
"""Stands for the level of a tensor that is all zero: no grid is too coarse for it."""

_BIAS, _MANTISSA = 1023, 52


class Spread:
    """Counts elements by their binary exponent."""

    def __init__(self, elements: int) -> None:
        self._every = 1 if elements <= ALL_BELOW else EVERY
        self._counts = np.zeros(2048, np.int64)

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Count some finite elements of the tensor."""
        exponents = (values[:: self._every].view(np.int64) >> _MANTISSA) & 0x7FF
        self._counts += np.bincount(exponents, minlength=2048)

    @property
    def level(self) -> int:
        """The level of all elements that were counted; float64's subnormal numbers count as zeros."""
        (there,) = np.nonzero(self._counts[1:])
        if not there.size:
            return NO_LEVEL
        shares = self._counts[there + 1] / self._counts[there + 1].sum()
        lowest = there + 1 - _BIAS  # |x| >= 2**lowest
        levels = np.arange(lowest[0] - 12, lowest[-1] + 1)
        spoiled = (np.exp2(np.minimum(0, levels[:, None] - lowest)) * shares).sum(axis=1)
        return int(levels[np.flatnonzero(spoiled <= SPOILED)[-1]])
