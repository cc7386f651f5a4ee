"""Rollouts in which two versions are reported on: so many new devices a tick, each with one number from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chalicelib.rollouts.guard import Evidence, Finding, Guard, compare
from chalicelib.rollouts.samples import STEPS

Steps = np.ndarray
"""Steps of the scale: int64."""

KINDS = ("bell-shaped", "skewed", "binary", "rare")
"""How devices' numbers are spread: sd 0.15 around 0.7; an exponential below 1, mean 0.85; yes for 9 in 10; no for 1 in 100."""

LIES = ("force", "block")
"""What liars want: that the candidate looks worse than it is, or better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a rollout goes."""

    kind: str = "bell-shaped"
    loss: float = 0.0
    """By how much the candidate is truly worse."""
    candidates: int = 12
    others: int = 60
    """Devices that report in a tick."""
    ticks: int = 120
    liars: float = 0.0
    lie: str = "force"


@dataclass(frozen=True, slots=True)
class Ended:
    """What the guard found, and after how many reports on the candidate; the last tick's when it found nothing."""

    finding: Finding
    reports: int


def run(course: Course, guard: Guard, seed: int, *, promotes: bool = False) -> Ended:
    """One rollout, looked at on every tick, until its candidate is found worse, or (`promotes`) not worse."""
    dice, evidence = np.random.default_rng(seed), Evidence()
    for candidate, stable in windows(course, dice):
        evidence = evidence.after(guard, candidate, stable)
        finding = compare(guard, evidence).finding
        if finding is Finding.WORSE or (promotes and finding is Finding.NOT_WORSE):
            return Ended(finding, len(evidence.candidate))
    return Ended(Finding.OPEN, course.candidates * course.ticks)


def windows(course: Course, dice: np.random.Generator) -> Iterator[tuple[list[int], list[int]]]:
    """What is reported in each tick, of the candidate and of the stable version."""
    for _ in range(course.ticks):
        candidate = _measured(course.kind, course.loss, course.candidates, dice)
        stable = _measured(course.kind, 0.0, course.others, dice)
        for steps, wanted in ((candidate, course.lie == "block"), (stable, course.lie == "force")):
            steps[dice.random(len(steps)) < course.liars] = STEPS if wanted else 0
        yield candidate.tolist(), stable.tolist()


def _measured(kind: str, loss: float, count: int, dice: np.random.Generator) -> Steps:
    match kind:
        case "bell-shaped":
            values = dice.normal(0.7 - loss, 0.15, count)
        case "skewed":
            values = 1.0 - dice.exponential(0.15 + loss, count)
        case "binary":
            values = (dice.random(count) < 0.9 - loss).astype(float)
        case "rare":
            values = (dice.random(count) < 0.99 - loss).astype(float)
        case _:
            raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    return np.rint(np.clip(values, 0.0, 1.0) * STEPS).astype(np.int64)
