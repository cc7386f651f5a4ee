"""What devices measured of one version, one number each, as counts on a scale (pure).

    0.7312 on a scale from 0 to 1  ──▶  one more at step 731 of 1,000

A sample of thousands of devices is a few hundred whole numbers. Samples can be added in any order to the same bits, and their
moments are exact. A number beyond the scale counts at its end: what one device says moves a mean by at most the scale's length
over the number of devices.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from operator import add, mul

from muster.wire.deciding import DecidingMetric

STEPS = 1_000
"""Of a scale. Its values are told in shares of its length, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The values that are told apart: from `worst` to `best`, either of which may be the larger number."""

    worst: float
    best: float

    def __post_init__(self) -> None:
        """Held to what has a length.

        Raises:
            ValueError: there is no finite distance between the two, or none at all.
        """
        if not 0.0 < abs(self.best - self.worst) < math.inf:
            raise ValueError(f"scale: expected two numbers apart from each other, got {self.worst!r} and {self.best!r}")

    @classmethod
    def of(cls, metric: DecidingMetric) -> Scale:
        """All that a metric can be."""
        ends = (metric.lowest, metric.highest) if metric.direction == "higher" else (metric.highest, metric.lowest)
        return cls(worst=ends[0], best=ends[1])

    def value(self, share: float) -> float:
        """What lies at a share of its length, in units of the metric."""
        return self.worst + share * (self.best - self.worst)

    def step(self, value: float) -> int:
        """Where a value lies, the better the higher, from 0 to `STEPS`; not a number lies with the worst."""
        share = (value - self.worst) / (self.best - self.worst)
        return round(min(max(share, 0.0), 1.0) * STEPS) if share == share else 0


NOBODY = (0,) * (STEPS + 1)


@dataclass(frozen=True, slots=True)
class Sample:
    """How many devices reported each step, from 0 to `STEPS`."""

    counts: tuple[int, ...] = NOBODY

    @classmethod
    def of(cls, steps: Iterable[int]) -> Sample:
        """A sample of some devices.

        Raises:
            ValueError: a step is below 0 or above `STEPS`.
        """
        counts = list(NOBODY)
        for step in steps:
            if not 0 <= step <= STEPS:
                raise ValueError(f"steps: expected whole numbers from 0 to {STEPS}, got {step!r}")
            counts[step] += 1
        return cls(tuple(counts))

    def __add__(self, other: Sample) -> Sample:
        """Both together."""
        return Sample(tuple(map(add, self.counts, other.counts)))

    def __len__(self) -> int:
        """How many devices."""
        return sum(self.counts)

    def mean(self, low: float = 0.0, high: float = 1.0) -> float:
        """The mean of those from one quantile to another, in shares of the scale.

        Raises:
            ValueError: there is nobody between the two.
        """
        number = len(self)
        if number and (low, high) == (0.0, 1.0):
            whole: int = sum(map(mul, self.counts, range(STEPS + 1)))
            return whole / number / STEPS
        passed = list(accumulate(self.counts))
        totals: list[int] = list(accumulate(map(mul, self.counts, range(STEPS + 1))))

        def total(first: float) -> float:
            """Of the steps of the lowest `first` devices, of the last of whom a part may count."""
            step = bisect_left(passed, first)
            return totals[step] - (passed[step] - first) * step

        weight = (high - low) * number
        if weight <= 0:
            raise ValueError(f"expected somebody between the quantiles {low:g} and {high:g} of {number} devices")
        return (total(high * number) - total(low * number)) / weight / STEPS

    def variance(self, trimmed: float = 0.0) -> float:
        """Of the mean without a share at either end, estimated from the winsorised sample, in squared shares of the scale
        (Tukey and McLaughlin, Sankhya 25, 1963; Yuen, Biometrika 61, 1974). With nothing trimmed, the mean's usual one; of
        fewer than two devices 1, the largest there is.
        """
        number = len(self)
        if number < 2:
            return 1.0
        held = self.winsorised(trimmed).counts
        weighted: list[int] = list(map(mul, held, range(STEPS + 1)))
        squares: int = sum(map(mul, weighted, range(STEPS + 1)))
        total = sum(weighted)
        spread = (squares * number - total * total) / (number * (number - 1))
        return spread / STEPS**2 / number / (1.0 - 2.0 * trimmed) ** 2

    def winsorised(self, trimmed: float) -> Sample:
        """The sample whose lowest and highest devices, a share at either end, said what the next ones say."""
        number = len(self)
        if not trimmed or not number:
            return self
        passed = list(accumulate(self.counts))
        lowest, highest = bisect_right(passed, trimmed * number), bisect_left(passed, (1.0 - trimmed) * number)
        below, above = sum(self.counts[:lowest]), sum(self.counts[highest + 1 :])
        held = [count if lowest <= step <= highest else 0 for step, count in enumerate(self.counts)]
        held[lowest] += below
        held[highest] += above
        return Sample(tuple(held))
