"""Products of matrices, and sums, that have the same bits on every CPU, under every BLAS, and with any number of threads.

A float64 matrix product is rounded in an order that a BLAS kernel chooses. One of whole numbers is exact as long as every
partial sum stays below 2**53, whatever the order. So both factors are cut into `LIMBS` slices of whole numbers, each row of
the left one and each column of the right one by its own power of two; the products of slices are exact, whoever computes them,
and what is left is element-wise (Ozaki, Ogita, Oishi and Rump, "Error-free transformations of matrix multiplication by using
fast routines of matrix multiplication and its applications", Numerical Algorithms 59, 2012, §3).

With k addends and slices of b bits the bound is k * 2**(2 b) <= 2**53. Three slices have 51 bits or
more for a k up to 2**18, so a product is about as good as one in float64: its error is about 2**-51 of the largest element of
the row, times that of the column, for each addend.

Vectors are rows here, because rows lie side by side in memory.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from muster.aggregation.exact import F64

Exponents = npt.NDArray[np.int32]

LIMBS = 3
"""Slices of a number. What the product of two leaves out is below 2**-(3 b) of the largest."""

CHUNK = 1 << 18
"""Elements of a factor that are sliced at once, so that the slices stay in cache."""

LOWEST = -900
"""The exponent below which a row's largest element counts as that: powers of two end at 2**1023."""

LONGEST = 1 << 18
"""The most addends of a product."""


def product(left: F64, right: F64) -> F64:
    """A matrix (a, k) times another one (k, b), of finite numbers below 2**500; k from 1 to `LONGEST`."""
    rows, inner = left.shape
    columns = right.shape[1]
    bits = (53 - (inner - 1).bit_length()) // 2
    found: F64 = np.empty((rows, columns))
    tall, wide = max(1, CHUNK // inner), max(1, CHUNK // inner)
    for first in range(0, columns, wide):
        some = right[:, first : first + wide]
        across = exponents(some, 0)
        slices = np.concatenate(_sliced(some, across[None, :], bits), axis=1)
        count = some.shape[1]
        for top in range(0, rows, tall):
            part = left[top : top + tall]
            down = exponents(part, 1)
            one, two, three = _sliced(part, down[:, None], bits)
            by_one, by_two, by_three = one @ slices, two @ slices[:, : 2 * count], three @ slices[:, :count]
            total = by_one[:, 2 * count :] + by_two[:, count:] + by_three
            total *= 2.0**-bits
            total += by_one[:, count : 2 * count] + by_two[:, :count]
            total *= 2.0**-bits
            total += by_one[:, :count]
            found[top : top + tall, first : first + wide] = np.ldexp(total, down[:, None] + across[None, :] - 2 * bits)
    return found


def exponents(values: F64, axis: int) -> Exponents:
    """The e with |x| < 2**e for all x along the axis, at least `LOWEST`; 0 where all are 0."""
    largest = np.maximum(values.max(axis=axis), -values.min(axis=axis))
    found = np.frexp(largest)[1].astype(np.int32)
    return np.asarray(np.maximum(found, np.int32(LOWEST)))


def _sliced(values: F64, exponent: Exponents, bits: int) -> list[F64]:
    """Whole numbers l with values = sum over s of l[s] * 2**(exponent - (s + 1) * bits), all but what is below the last."""
    rest = values * np.ldexp(1.0, bits - exponent)
    slices = []
    for _ in range(LIMBS):
        whole = np.rint(rest)
        slices.append(whole)
        rest -= whole
        rest *= 2.0**bits
    return slices


def folded(values: F64) -> F64:
    """The sums along the last axis: its second half is added to its first one, again and again. The array is used up."""
    length = values.shape[-1]
    if not length:
        return values.sum(axis=-1)  # type: ignore[no-any-return]
    while length > 1:
        half = (length + 1) // 2
        values[..., : length - half] += values[..., half:length]
        length = half
    found: F64 = values[..., 0]
    return found


def lengths(vectors: F64) -> F64:
    """The L2 norms of some rows."""
    found: F64 = np.sqrt(folded(vectors * vectors))
    return found


NEGLIGIBLE = 2.0**-40
"""What is left of a vector without its projections, relative to itself, below which nothing is: it is made of rounding."""


def orthonormal(vectors: F64, others: F64) -> F64:
    """Orthonormal rows that together with `others`, which are orthonormal, span what all rows span; fewer where they are not
    independent.

    Gram-Schmidt in blocks, and all of it twice, which is enough (Giraud, Langou, Rozloznik and van den Eshof, "Rounding error
    analysis of the classical Gram-Schmidt orthogonalization process", Numerische Mathematik 101, 2005).
    """
    before = lengths(vectors)
    for _ in range(2):
        if len(others) and len(vectors):
            vectors = vectors - product(product(vectors, others.T), others)
        vectors = _among_themselves(vectors, before)
        before = np.ones(len(vectors))
    return vectors


def _among_themselves(vectors: F64, before: F64) -> F64:
    kept = np.empty_like(vectors)
    count = 0
    for vector, length in zip(vectors, before, strict=True):
        left = vector[None, :]
        for _ in range(2 if count else 0):
            left = left - product(product(left, kept[:count].T), kept[:count])
        now = float(lengths(left)[0])
        if now > NEGLIGIBLE * float(length):
            kept[count] = left[0] / now
            count += 1
    return kept[:count]
