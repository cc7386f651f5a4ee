"""The best approximation of low rank of a matrix that is given as a sum of outer products, the same bits on every machine.

    M = sum over k of left[k] ⊗ right[k]          left (terms, outputs), right (terms, inputs); M itself is never made

Eckart and Young ("The approximation of one matrix by another of lower rank", Psychometrika 1, 1936): the best one in the
Frobenius norm keeps the largest singular values. They are found in a Krylov space: blocks M Mᵀ applied again and again to a few
vectors of random signs, each made orthogonal to all before (Golub, Luk and Overton, "A block Lanczos method for computing the
singular values and corresponding singular vectors of a matrix", ACM TOMS 7, 1981; Musco and Musco, "Randomized block Krylov
methods for stronger and faster approximate singular value decomposition", NeurIPS 2015). Of a matrix whose rank is no larger
than a block, the first block already spans all of it. Of any other the space grows until the residuals |M v - σ u| say that
singular values are where they were found. The small matrix that is left is decomposed by Jacobi rotations of pairs of
columns (Hestenes, "Inversion of matrices by biorthogonalization and related results", J. SIAM 6, 1958), in the order of a
tournament (Brent and Luk, SIAM J. Sci. Stat. Comput. 6, 1985).

LAPACK rounds otherwise on every CPU. Here whatever is not element-wise goes through `matrices.product` or is added up in an
order that is fixed, so that neither the BLAS nor its threads have a say. The sums over terms are exact, as those of `exact`
are: the order of the terms has none either.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muster.aggregation.exact import F64
from muster.aggregation.matrices import exponents, folded, lengths, orthonormal, product

Numbers = npt.NDArray[np.intp]

SPARE = 8
"""Vectors of a block beyond the wanted rank: with some to spare, what is wanted stands out."""

BASIS = 256
"""Vectors of the space at most, or four blocks. Further ones would cost more than they could still find."""

RESIDUAL = 2.0**-32
"""The residuals at which the space is large enough, relative to the largest singular value."""

NOISE = 2.0**-44
"""Singular values below this, relative to the largest one, are rounding errors."""

SWEEPS, PARALLEL = 40, 2.0**-49
"""Passes over all pairs at most (ten are usual), and the cosine of two columns that are perpendicular."""


@dataclass(frozen=True, slots=True)
class Truncated:
    """Singular values, largest first, all above the noise; and their vectors, as rows: (found, outputs), (found, inputs)."""

    values: F64
    outputs: F64
    inputs: F64


def truncated(left: F64, right: F64, rank: int, seed: bytes) -> Truncated:
    """The `rank` largest singular values of the sum of left[k] ⊗ right[k], finite, and their vectors. Both are used up.

    Signs are such that the largest component of each vector of inputs (the first of equals) is positive. `seed` draws the first
    vectors, which nobody should be able to choose a matrix against.
    """
    left, right, scale = balanced(left, right)
    if not len(left):
        return Truncated(np.empty(0), left, right)
    found = _Space(left, right, rank=rank, seed=seed).found()
    signs = np.sign(np.take_along_axis(found.inputs, np.abs(found.inputs).argmax(axis=1)[:, None], axis=1))
    return Truncated(np.ldexp(found.values, scale), found.outputs * signs, found.inputs * signs)


def balanced(left: F64, right: F64) -> tuple[F64, F64, int]:
    """The same sum, without terms that are zero, divided by 2**scale, in the same memory: the largest elements of a term's two
    vectors are about equal, and none is above 1. So a term of a giant and a tiny vector takes no bits from the others.
    """
    there = np.flatnonzero(left.any(axis=1) & right.any(axis=1))
    if not len(there):
        return left[:0], right[:0], 0
    for number, term in enumerate(there):
        if number != term:
            left[number], right[number] = left[term], right[term]
    left, right = left[: len(there)], right[: len(there)]
    one, other = exponents(left, 1), exponents(right, 1)
    scale = int((one + other).max())
    size = one + other - scale
    half = size // 2
    np.ldexp(left, (half - one)[:, None], out=left)
    np.ldexp(right, (size - half - other)[:, None], out=right)
    return left, right, scale


class _Space:
    """The space: orthonormal rows `q` of outputs and `p` of inputs, and M p for each of the latter."""

    def __init__(self, left: F64, right: F64, *, rank: int, seed: bytes) -> None:
        self._left, self._right, self._rank = left, right, rank
        self._block = min(rank + SPARE, len(left), left.shape[1], right.shape[1])
        self._most = max(BASIS, 4 * self._block)
        self._signs = random_signs(seed, self._block, right.shape[1])
        self.q: F64 = np.empty((0, left.shape[1]))
        self.p: F64 = np.empty((0, right.shape[1]))
        self.mp: F64 = np.empty((0, left.shape[1]))

    def found(self) -> Truncated:
        """Grow until the residuals are small, or the space is complete, or as large as it may be."""
        more = orthonormal(self._forth(self._signs), self.q)
        looked = 0
        while True:
            self.q = np.concatenate([self.q, more])
            inputs = orthonormal(self._back(more), self.p)
            self.p = np.concatenate([self.p, inputs])
            outputs = self._forth(inputs) if len(inputs) else np.empty((0, self.q.shape[1]))
            self.mp = np.concatenate([self.mp, outputs])
            beyond = outputs
            for _ in range(2):
                if len(beyond):
                    beyond = beyond - product(product(beyond, self.q.T), self.q)
            more = orthonormal(beyond, self.q) if len(beyond) else beyond
            ends = not len(more) or len(self.q) + len(more) > self._most
            if ends or 2 * len(self.p) >= 3 * looked:
                looked = len(self.p)
                if not len(self.p):  # all terms together are zero
                    return Truncated(np.empty(0), self.q[:0], self.p)
                values, us, vs = self._decomposed()
                left_over = lengths(product(vs[:, -len(inputs) :], beyond)) if len(inputs) else np.zeros(1)
                if ends or left_over.max() <= RESIDUAL * values[0]:
                    return Truncated(values, product(us, self.q), product(vs, self.p))

    def _decomposed(self) -> tuple[F64, F64, F64]:
        """The largest singular values in the space above the noise, and the coordinates of their vectors."""
        columns, turned = jacobi(product(self.mp, self.q.T))
        values = lengths(columns)
        order = np.argsort(-values, kind="stable")[: self._rank]
        order = order[: max(1, int((values[order] > NOISE * values[order[0]]).sum()))]
        return values[order], columns[order] / values[order][:, None], turned[order]

    def _forth(self, vectors: F64) -> F64:
        """M times some vectors of inputs."""
        return product(product(vectors, self._right.T), self._left)

    def _back(self, vectors: F64) -> F64:
        """Mᵀ times some vectors of outputs."""
        return product(product(vectors, self._left.T), self._right)


def random_signs(seed: bytes, count: int, length: int) -> F64:
    """Rows of 1 and -1, drawn from a hash: one sequence for one seed, whatever becomes of libraries."""
    drawn = hashlib.shake_256(seed).digest(-(-count * length // 8))
    bits = np.unpackbits(np.frombuffer(drawn, np.uint8), count=count * length)
    return bits.reshape(count, length).astype(np.float64) * 2.0 - 1.0


def jacobi(columns: F64) -> tuple[F64, F64]:
    """The columns of a matrix, given as rows (n, m), turned until they are perpendicular; and the turn, orthogonal (n, n):
    columns turned = turn @ columns.
    """
    count = len(columns)
    even = count + count % 2
    work = np.zeros((even, columns.shape[1] + even))  # the columns, and beside them what has become of the unit matrix
    work[:count, : columns.shape[1]] = columns
    work[:, columns.shape[1] :] = np.eye(even)
    rounds = list(tournament(even))
    for _ in range(SWEEPS):
        turned = [_turn(work, columns.shape[1], one, other) for one, other in rounds]
        if not any(turned):
            break
    return work[:count, : columns.shape[1]], work[:count, columns.shape[1] : columns.shape[1] + count]


def tournament(players: int) -> list[tuple[Numbers, Numbers]]:
    """Rounds in which each of an even number of players meets another one, until each has met all others."""
    circle = list(range(1, players))
    rounds = []
    for _ in range(players - 1):
        seated = [0, *circle]
        half = players // 2
        rounds.append((np.array(seated[:half]), np.array(seated[half:][::-1])))
        circle = [circle[-1], *circle[:-1]]
    return rounds


def _turn(work: F64, length: int, one: Numbers, other: Numbers) -> bool:
    """Turn each pair of columns until they are perpendicular; whether any was not (Golub and Van Loan, "Matrix Computations",
    4th ed., §8.6.3; the smaller of the two angles).
    """
    a, b = work[one], work[other]
    x, y = a[:, :length], b[:, :length]
    square_x, square_y, inner = folded(x * x), folded(y * y), folded(x * y)
    slanted = np.abs(inner) > PARALLEL * np.sqrt(square_x) * np.sqrt(square_y)
    if not slanted.any():
        return False
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        zeta = (square_y - square_x) / (2.0 * inner)
        tangent = np.copysign(1.0, zeta) / (np.abs(zeta) + np.sqrt(1.0 + zeta * zeta))
    tangent = np.where(slanted, tangent, 0.0)
    cosine = 1.0 / np.sqrt(1.0 + tangent * tangent)
    sine = cosine * tangent
    work[one] = cosine[:, None] * a - sine[:, None] * b
    work[other] = sine[:, None] * a + cosine[:, None] * b
    return True
