"""What devices measured of one version, one number each, as counts on a scale (pure).

    0.7312 on a scale from 0 to 1  ──▶  one more at step 731 of 1,000

A sample of thousands of devices is a few hundred whole numbers. Samples can be added in any order to the same bits, and their
moments are exact. A number beyond the scale counts at its end: what one device says moves a mean by at most the scale's length
over the number of devices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

STEPS = 1_000
"""Of a scale. Its values are told in shares of its length, from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The values that are told apart: from `worst` to `best`, either of which may be the larger number."""

    worst: float
    best: float

    def step(self, value: float) -> int:
        """Where a value lies, the better the higher, from 0 to `STEPS`; not a number lies with the worst."""
        share = (value - self.worst) / (self.best - self.worst)
        return round(min(max(share, 0.0), 1.0) * STEPS) if share == share else 0


@dataclass(frozen=True, slots=True)
class Sample:
    """How many devices reported which step."""

    counts: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, steps: Iterable[int]) -> Sample:
        """A sample of some devices."""
        return cls(Counter(steps))

    def __add__(self, other: Sample) -> Sample:
        """Both together."""
        return Sample(Counter(self.counts) + Counter(other.counts))

    def __len__(self) -> int:
        """How many devices."""
        return sum(self.counts.values())

    def mean(self, low: float = 0.0, high: float = 1.0) -> float:
        """The mean of those from one quantile to another, in shares of the scale.

        Raises:
            ValueError: there is nobody between the two.
        """
        if (low, high) == (0.0, 1.0) and self.counts:
            return sum(step * count for step, count in self.counts.items()) / len(self) / STEPS
        first, last, passed = low * len(self), high * len(self), 0
        total = weight = 0.0
        for step in sorted(self.counts):
            here = min(last, passed + self.counts[step]) - max(first, passed)
            passed += self.counts[step]
            if here > 0:
                total, weight = total + step * here, weight + here
        if not weight:
            raise ValueError(f"expected somebody between the quantiles {low:g} and {high:g} of {len(self)} devices")
        return total / weight / STEPS

    def variance(self, trimmed: float = 0.0) -> float:
        """Of the mean without a share at either end, estimated from the winsorised sample, in squared shares of the scale
        (Tukey and McLaughlin, Sankhya 25, 1963; Yuen, Biometrika 61, 1974). With nothing trimmed, the mean's usual one.
        """
        number = len(self)
        if number < 2:
            return 1.0
        lowest, highest = (self._quantile(trimmed), self._quantile(1.0 - trimmed)) if trimmed else (0, STEPS)
        total = squares = 0
        for step, count in self.counts.items():
            held = min(max(step, lowest), highest)
            total, squares = total + held * count, squares + held * held * count
        spread = (squares * number - total * total) / (number * (number - 1))
        return spread / STEPS**2 / number / (1.0 - 2.0 * trimmed) ** 2

    def _quantile(self, share: float) -> int:
        passed, step = 0, 0
        for step in sorted(self.counts):
            passed += self.counts[step]
            if passed > share * len(self):
                return step
        return step
