"""By how much one version is better than another, as an interval (pure), in shares of the scale (`samples.Scale`).

Looked at at any time and as often as one likes, the interval is the guard's (decision 25), to both sides:

    the two means' difference  ±  standard error · boundary(information)

Looked at once, at a time that was fixed beforehand, it is Welch's (Biometrika 34, 1947), which is a third narrower. To look
earlier, and to end when the result pleases, makes that one worth nothing; so before its time it is not computed.

Either is told as if one client more had said the worst, and one the best: where all have said the same, the spread is not 0.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from chalicelib.rollouts.guard import ENDS, boundary
from chalicelib.rollouts.samples import Sample

NOTHING_KNOWN = (-1.0, 1.0)


def at_any_time(one: Sample, other: Sample, level: float) -> tuple[float, float]:
    """Where the first mean minus the second lies, at all times at once, but for a probability of `level`."""
    information = len(one) * len(other) / (len(one) + len(other))
    return _around(one, other, boundary(information, level / 2.0))


def at_its_time(one: Sample, other: Sample, level: float) -> tuple[float, float]:
    """Where it lies, looked at once, but for a probability of `level`."""
    first, second = (one + ENDS).variance(), (other + ENDS).variance()
    freedom = (first + second) ** 2 / (first**2 / (len(one) + 1) + second**2 / (len(other) + 1))
    return _around(one, other, quantile(1.0 - level / 2.0, freedom))


def _around(one: Sample, other: Sample, times: float) -> tuple[float, float]:
    middle = one.mean() - other.mean()
    width = times * math.sqrt((one + ENDS).variance() + (other + ENDS).variance())
    return max(-1.0, middle - width), min(1.0, middle + width)


def quantile(probability: float, freedom: float) -> float:
    """Of Student's t, by its expansion around the normal one (Abramowitz and Stegun 1964, 26.7.5): within 0.3 % for levels from
    0.01 to 0.2 and four degrees of freedom or more.
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4.0,
        (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / 96.0,
        (3.0 * z**7 + 19.0 * z**5 + 17.0 * z**3 - 15.0 * z) / 384.0,
        (79.0 * z**9 + 776.0 * z**7 + 1482.0 * z**5 - 1920.0 * z**3 - 945.0 * z) / 92160.0,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))
