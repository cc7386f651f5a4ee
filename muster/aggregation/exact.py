"""Sums that are exact, so that order, grouping, threads and CPU cannot change a bit.

A float64 sum of integers below 2**53 is exact. So every addend is first rounded to a multiple of a grid 2**-k, chosen so
coarse that the whole sum, in units of the grid, stays below 2**53; after that every partial sum is an integer in those units,
and addition is associative again. Rounding to the grid is one addition and one subtraction of C = 1.5 * 2**(52 - k): near C,
float64 has a spacing of exactly 2**-k (the classical trick; see Muller et al., "Handbook of Floating-Point Arithmetic", 2nd
ed., §5; Demmel and Nguyen, "Parallel Reproducible Summation", IEEE TC 2015, for the same idea in reproducible reductions).

With n addends and every |y| < 2**e, the bounds are

    n * 2**e * 2**k <= 2**53   and   |y| < 2**(51 - k)     so     k = min(53 - ceil(log2 n), 51) - e

The error of one addend is at most 2**-(k+1): a hundred addends keep 46 bits below the largest of them. Weights do not count:
they are multiplied in before (`multiplied`).

What the first grid leaves over can be rounded to a second one and summed beside it (**two limbs**): it is at most half a step
of the first grid, so the second one may be as many bits finer again. The two sums stand for one number; `quotient` divides it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]

_FINEST, _COARSEST = 1074, -970
"""Range of k for which 2**-k and C are float64 numbers."""

_UPPER = np.int64(-1 << 27)
"""A mask: what is left of a float64 has 26 bits, and what it takes away at most 27, so that products of halves are exact."""

_STEP = 1 << 15
"""Elements that are divided at once, so that what is worked with stays in cache."""


class SumOutOfRange(Exception):
    """No grid can hold this sum: the values are too large."""


def addend_bits(count: int) -> int:
    """Bits that a grid has below the largest of so many addends, one or more."""
    return min(53 - (count - 1).bit_length(), 51)


def grid_bits(exponent: int, count: int) -> int:
    """The finest k for which a sum of so many addends over a grid of 2**-k is exact, for |y| < 2**exponent.

    Raises:
        SumOutOfRange: there is none.
    """
    k = min(addend_bits(count) - exponent, _FINEST)
    if k < _COARSEST:
        raise SumOutOfRange(f"expected magnitudes below 2**{addend_bits(count) - _COARSEST}, got up to 2**{exponent}")
    return k


def anchor(k: int) -> float:
    """C of the grid 2**-k; of a grid finer than float64's smallest number, that number's."""
    return math.ldexp(1.5, 52 - min(k, _FINEST))


def anchors(exponents: npt.NDArray[np.int16], bits: int) -> F64:
    """C for each of many sums, from the exponent of its own largest addend, for so many bits below it (`addend_bits`)."""
    found: F64 = np.ldexp(1.5, exponents + np.int16(52 - bits))
    return found


def finer(c: float | F64, bits: int) -> float | F64:
    """C of the second grid, from that of the first one: so many bits finer, at most `addend_bits`."""
    return c * math.ldexp(1.0, -bits)


def round_to_grid(values: F64, c: float | F64) -> None:
    """Round each element to the nearest multiple of the grid that `c` stands for (ties to even), in place."""
    values += c
    values -= c


def split(values: F64, c: float | F64, bits: int, rounded: F64) -> None:
    """Values as multiples of the first grid, in `rounded`, and of the second one, in the place of the values."""
    np.add(values, c, out=rounded)
    rounded -= c
    values -= rounded
    round_to_grid(values, finer(c, bits))


def left_over(x: F64, factor: float, rounded: F64, scratch: F64, out: F64) -> None:
    """The product factor * x without `rounded`, as if the product had not been rounded: right to 2**-77 of the product.

    `rounded` is the product on its first grid. The halves of two float64 numbers have exact products (Dekker, "A
    Floating-Point Technique for Extending the Available Precision", Numerische Mathematik 18, 1971, §5); no fused
    multiply-add is needed, which some CPUs have and others do not.
    """
    upper, lower = halves(factor)
    if not factor or math.frexp(factor)[0] == 0.5:  # a power of two: the product is exact
        np.multiply(x, factor, out=out)
        out -= rounded
        return
    np.bitwise_and(x.view(np.int64), _UPPER, out=scratch.view(np.int64))
    np.multiply(scratch, upper, out=out)
    out -= rounded
    if lower:
        out += scratch * lower
    np.subtract(x, scratch, out=scratch)
    if lower:
        out += scratch * lower
    scratch *= upper
    out += scratch


def halves(number: float) -> tuple[float, float]:
    """A number as a sum: of at most 26 bits, and of the rest."""
    upper = float((np.array([number]).view(np.int64) & _UPPER).view(np.float64)[0])
    return upper, number - upper


def quotient(high: F64, low: F64, divisor: int) -> F64:
    """(high + low) / divisor, in the place of `high`: the nearest float64, or the one beside it. The divisor is below 2**53.

    One step of division with the remainder computed as if in twice the precision (Handbook, 2nd ed., §4.7).
    """
    upper, lower = halves(float(divisor))
    for start in range(0, high.size, _STEP):
        first, second = high[start : start + _STEP], low[start : start + _STEP]
        total = first + second
        rest = total - first
        rest = (first - (total - rest)) + (second - rest)  # what the addition lost (Knuth's TwoSum)
        q = total / divisor
        product = q * divisor
        left = (q.view(np.int64) & _UPPER).view(np.float64)
        right = q - left
        error = left * upper - product + left * lower + right * upper + right * lower
        first[:] = q + (total - product - error + rest) / divisor
    return high
