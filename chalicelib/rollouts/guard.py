"""Whether a candidate is worse than the stable version, asked as often as one likes (pure; decision 25).

Devices that run the candidate, and others that run the stable version at the same time, say one number each. A test that is
repeated at every tick sooner or later finds a difference where there is none. So the interval here holds at all times at once:

    the two means' difference  ±  standard error · boundary(information)        (Robbins, Ann. Math. Stat. 41, 1970; Howard,
                                                                                 Ramdas, McAuliffe, Sekhon, Ann. Stat. 49, 2021)

With an estimated standard error it is exact for many devices only (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, Ann. Stat. 52,
2024), so it is not asked before some have reported. Until then, and after, a wager stands beside it: a capital that bets on the
candidate's being worse, pair by pair, and can hardly grow while it is not, whatever the numbers' distribution and however few
there are (Waudby-Smith and Ramdas, J. R. Stat. Soc. B 86, 2024; Ville 1939). It finds what is grossly worse at once.

Some devices may lie. With a share of liars both means are taken without that share at either end, the interval is widened by
the most that so many could have moved them, and the wager grants them the whole scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from chalicelib.rollouts.samples import STEPS, Sample

WAGER_SHARE = 0.1
"""Of the level, for the wager; the interval has the rest."""

STAKES = 8
"""How many wagers of different stakes the capital is divided between."""

BEST_AT = 80.0
"""The information for which the boundary is as low as can be: 96 candidates beside five times as many others."""

NEAR = 20.0
"""How near the right share a broken split is looked for: as near as so many devices would show it."""

ENDS = Sample.of((0, STEPS))
"""One device at either end of the scale."""


class Finding(StrEnum):
    """What is known of a candidate."""

    WORSE = "worse"
    NOT_WORSE = "not-worse"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What counts as worse, and how sure one has to be. Differences are in shares of the scale (`samples.Scale`)."""

    margin: float
    """By so much a candidate may be worse without being called so."""
    level: float = 0.05
    """How probable it may be at most that a candidate is ever called worse that is not; and the same for not worse."""
    liars: float = 0.0
    """The share of devices, of either version, that may say anything."""
    least: int = 24
    """Reports of either version before which the interval says nothing."""

    def __post_init__(self) -> None:
        """Held to what it can mean.

        Raises:
            ValueError: a member is out of its bounds.
        """
        bounds = (
            ("margin", 0.0 <= self.margin < 1.0, "at least 0 and less than 1"),
            ("level", 0.0 < self.level <= 0.2, "more than 0 and at most 0.2"),
            ("liars", 0.0 <= self.liars <= 0.25, "at least 0 and at most 0.25"),
            ("least", self.least >= 2, "at least 2"),
        )
        for name, holds, expected in bounds:
            if not holds:
                raise ValueError(f"{name}: expected {expected}, got {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that the guard remembers of the reports so far."""

    candidate: Sample = field(default_factory=Sample)
    stable: Sample = field(default_factory=Sample)
    logs: tuple[float, ...] = (0.0,) * STAKES
    """Of the capital, by stake; it begins with 1."""

    def after(self, guard: Guard, candidate: Sequence[int], stable: Sequence[int]) -> Evidence:
        """With the reports of one window: steps of the scale, in an order that no report decides."""
        pairs = [(a - b) / STEPS for a, b in zip(*_matched(candidate, stable), strict=True)]
        logs = tuple(
            log + math.fsum(math.log1p(stake * (_least_honest(guard) - pair)) for pair in pairs)
            for log, stake in zip(self.logs, _stakes(guard), strict=True)
        )
        return Evidence(candidate=self.candidate + Sample.of(candidate), stable=self.stable + Sample.of(stable), logs=logs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What the evidence says: the candidate's mean minus the stable version's lies, at all times at once, in an interval."""

    finding: Finding
    low: float
    high: float
    capital: float
    """Of the wager: it proves a candidate worse from 1 / (`WAGER_SHARE` · level) on."""


def compare(guard: Guard, evidence: Evidence) -> Difference:
    """Hold evidence against a guard. Too few reports are never good news: the finding is then open."""
    low, high = interval(guard, evidence.candidate, evidence.stable)
    top = max(evidence.logs)
    log_capital = top + math.log(math.fsum(math.exp(log - top) for log in evidence.logs) / len(evidence.logs))
    finding = Finding.OPEN
    if low > -guard.margin:
        finding = Finding.NOT_WORSE
    if high < -guard.margin or log_capital >= -math.log(WAGER_SHARE) - math.log(guard.level):
        finding = Finding.WORSE
    return Difference(finding=finding, low=low, high=high, capital=math.exp(min(log_capital, 700.0)))


def interval(guard: Guard, candidate: Sample, stable: Sample) -> tuple[float, float]:
    """Where the difference of the means lies; from -1 to 1 while there are too few reports.

    Its lower end, on which a candidate goes on, is told as if one device more had said the worst, and one the best: where a few
    have all said the same, their spread is not 0.
    """
    if min(len(candidate), len(stable)) < guard.least:
        return -1.0, 1.0
    times = boundary(len(candidate) * len(stable) / (len(candidate) + len(stable)), (1.0 - WAGER_SHARE) * guard.level)
    (least, most), (stable_least, stable_most) = _honest_mean(candidate, guard.liars), _honest_mean(stable, guard.liars)
    low = least - stable_most - times * _doubted_error(candidate, stable, guard.liars)
    high = most - stable_least + times * _error(candidate, stable, guard.liars)
    return max(-1.0, low), min(1.0, high)


def _error(candidate: Sample, stable: Sample, trimmed: float) -> float:
    return math.sqrt(candidate.variance(trimmed) + stable.variance(trimmed))


def _doubted_error(candidate: Sample, stable: Sample, trimmed: float) -> float:
    """The same, as if one honest device more had said the worst of each, and one the best: also where only those that are
    trimmed away said anything else than the others.
    """
    held = ((sample.winsorised(trimmed) + ENDS).variance() / (1.0 - 2.0 * trimmed) ** 2 for sample in (candidate, stable))
    return math.sqrt(sum(held))


def boundary(information: float, level: float) -> float:
    """How many standard errors a sum of so much information may ever be off on one side, but for a probability of `level`
    (the normal mixture of Howard et al. 2021, one-sided: half of the two-sided one of twice the level).
    """
    doubled = -2.0 * (math.log(2.0) + math.log(level))  # in logarithms: the square of the smallest level would be 0
    rho = BEST_AT / (doubled + math.log1p(doubled))
    return math.sqrt((1.0 + rho / information) * (math.log1p(information / rho) + doubled))


def split_is_broken(candidates: int, others: int, share: float, level: float) -> bool:
    """Whether so many reports of either version cannot come from a split that gives the candidate `share` of the devices; asked
    as often as one likes, with a probability of at most `level` to say so of one that does.

    The odds of the counts under a share that is near the right one, and unknown, against the right one (Lindon and Malek,
    "Anytime-valid inference for multinomial count data", NeurIPS 2022).

    Raises:
        ValueError: the share is not between 0 and 1: then one report on the other side would be the proof.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"share: expected more than 0 and less than 1, got {share!r}")
    first, second = NEAR * share, NEAR * (1.0 - share)
    odds = _log_beta(first + candidates, second + others) - _log_beta(first, second)
    odds -= candidates * math.log(share) + others * math.log1p(-share)
    return odds >= -math.log(level)


def _log_beta(first: float, second: float) -> float:
    return math.lgamma(first) + math.lgamma(second) - math.lgamma(first + second)


def _honest_mean(sample: Sample, liars: float) -> tuple[float, float]:
    """Between what the trimmed mean of the honest ones lies: with all liars at the top, or all at the bottom."""
    if not liars:
        return sample.mean(), sample.mean()
    near, far = liars * (1.0 - liars), liars + liars * (1.0 - liars)
    return sample.mean(near, 1.0 - far), sample.mean(far, 1.0 - near)


def _least_honest(guard: Guard) -> float:
    """The smallest mean difference, lies included, of a candidate that is not worse: where all liars that run it say 0, and all
    others 1, (1 - liars) · difference - liars.
    """
    return -guard.margin - guard.liars


def _stakes(guard: Guard) -> list[float]:
    """From small to nearly the largest with which no pair can take all of the capital."""
    most = 0.95 / (1.0 - _least_honest(guard))
    return [most * (number + 1) / STAKES for number in range(STAKES)]


def _matched(candidate: Sequence[int], stable: Sequence[int]) -> tuple[list[float], list[float]]:
    """As many groups of either side as the smaller one has reports, told by their means."""
    number = min(len(candidate), len(stable))
    return _means(candidate, number), _means(stable, number)


def _means(steps: Sequence[int], groups: int) -> list[float]:
    bounds = [len(steps) * number // groups for number in range(groups + 1)] if groups else []
    return [sum(steps[a:b]) / (b - a) for a, b in pairwise(bounds)]
