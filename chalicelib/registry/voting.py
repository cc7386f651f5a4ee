"""The statistics of judges of whom some may lie: how much better a candidate is, and how sure that is (pure).

A rank test (Wilcoxon, Biometrics Bulletin 1, 1945; with zeros Pratt, JASA 54, 1959) weighs each direction by the rank of its
size, and a lie of -1 always has the highest rank: two such judges of ten leave a rank sum of at most 36 of 55, p = 0.21, and
nothing would ever be deployed. Hence the sign test.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

ONE_IN = 5
"""One client in so many may lie, unless a model's configuration says otherwise."""


def midmean(values: Iterable[float], one_in: int = ONE_IN) -> float:
    """The mean of the middle half: without the lowest and the highest quarter, each rounded up, but never without all.

    That is for one liar in five. For another number a quarter more than may lie are left out on either side; with 0 nobody
    lies, and it is the plain mean. As long as no more than those are lies, of at least three values, the result lies between
    the lowest and the highest of the others (Tukey, Exploratory Data Analysis, 1977). The median would lie there for more
    liars, but is 0 whenever half of the judges see no difference, as judges with few examples mostly do.
    """
    ordered = sorted(values)
    trim = min(-(-5 * len(ordered) // (4 * one_in)), (len(ordered) - 1) // 2) if one_in else 0
    kept = ordered[trim : len(ordered) - trim]
    return min(max(math.fsum(kept) / len(kept), kept[0]), kept[-1])  # rounding must not lead out of what was found


def sign_test(better: int, worse: int, bought: int) -> float:
    """How probable it is that so many judges find a candidate better that is not, although `bought` say what they like.

    The one-sided sign test, exact: without the bought, each judge that sees a difference sees either one with probability
    1/2. Those that see none are left out (Dixon and Mood, JASA 41, 1946). The bought ones do most in favour of a candidate
    by finding it better; so that is what is assumed: P(X >= better - bought), X binomial of better + worse - bought, 1/2.
    """
    honest, least = better + worse - bought, better - bought
    if least <= 0:
        return 1.0
    tail = term = 1  # of binomial coefficients, from C(honest, honest) down to C(honest, least)
    for chosen in range(honest, least, -1):
        term = term * chosen // (honest - chosen + 1)
        tail += term
    return tail / (1 << honest)


def may_lie(judges: int, one_in: int) -> int:
    """How many of some judges may be bought, one in so many; 0 for none."""
    return judges // one_in if one_in else 0
