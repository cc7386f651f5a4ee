"""Sums that are exact, so that order, grouping, threads and CPU cannot change a bit.

A float64 sum of integers below 2**53 is exact. So every addend is first rounded to a multiple of a grid 2**-k, chosen so
coarse that the whole weighted sum, in units of the grid, stays below 2**53; after that every product and every partial sum
is an integer in those units, and addition is associative again. Rounding to the grid is one addition and one subtraction
of C = 1.5 * 2**(52 - k): near C, float64 has a spacing of exactly 2**-k (the classical trick; see Muller et al., "Handbook
of Floating-Point Arithmetic", 2nd ed., §5; Demmel and Nguyen, "Parallel Reproducible Summation", IEEE TC 2015, for the same
idea in reproducible reductions).

With total weight N < 2**b and every |x| < 2**e, the bounds are

    N * 2**e * 2**k <= 2**53   and   |x| < 2**(51 - k)     so     k = min(53 - b - e, 51 - e)

The error of one addend is at most 2**-(k+1): relative to its tensor's largest element about N * 2**-53. Elements far below
their tensor's largest one lose relative precision; that is the price, and for N below 2**28 it is finer than float32.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

_FINEST, _COARSEST = 1074, -970
"""Range of k for which 2**-k and C are float64 numbers."""


class SumOutOfRange(Exception):
    """No grid can hold this sum: the values are too large for their total weight."""


def grid_bits(exponent: int, total_weight: int) -> int:
    """The finest k for which a sum over a grid of 2**-k is exact, for |x| < 2**exponent and positive integer weights.

    Raises:
        SumOutOfRange: there is none.
    """
    k = min(53 - total_weight.bit_length() - exponent, 51 - exponent, _FINEST)
    if k < _COARSEST:
        raise SumOutOfRange(
            f"expected magnitudes below 2**{53 - total_weight.bit_length() - _COARSEST}, got up to 2**{exponent}"
        )
    return k


def round_to_grid(values: F64, k: int) -> None:
    """Round each element to the nearest multiple of 2**-k (ties to even), in place."""
    c = math.ldexp(1.5, 52 - k)
    values += c
    values -= c
