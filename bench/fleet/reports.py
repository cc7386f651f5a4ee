"""What a simulated day shows (pure): how near the ceiling came, how rounds filled, what devices sent, how an outage ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.fleet.day import FleetDay
from bench.fleet.plans import DayPlan
from bench.fleet.traffic import KINDS

MINUTE = 60
FIRST = 15
"""Minutes after an outage within which the rate is as usual again."""
SWING = 1.25
"""By how much a rate may differ from the usual one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayReport:
    """One day, in figures."""

    requests: dict[str, int]
    mean_per_second: float
    busiest_second: int
    busiest_at: int
    """Seconds since midnight."""
    busiest_obedient: int
    """The same, without those who ignore the pace."""
    throttled: int
    """By the gateway."""
    throttled_obedient: int
    rounds: int
    reached: int
    """Rounds that reached their goal."""
    missed: list[float]
    """When the others opened: seconds since midnight."""
    filled_seconds: tuple[float, float]
    """Until as many places as the goal were taken, in rounds that reached it: on average, and the longest."""
    rash_places: float
    """The share of places that devices took which ignore the pace."""
    idle_devices: int
    idle_mean: float
    idle_most: int
    """Requests of devices that had no place on that day."""


def report(day: FleetDay) -> DayReport:
    """What it shows."""
    every, devices = day.traffic.all, day.devices
    courses = [course for course in day.rounds.courses if course.opened_at >= 0 and course.done_after is not None]
    first = courses[0].number if courses else 0
    idle = (devices.place_in < first) & (devices.enrolled_at < 0) & ~devices.is_rash
    filled = [course.filled_after for course in courses if course.reached and course.filled_after is not None]
    return DayReport(
        requests={kind: int(day.traffic.of_the_day(kind).sum()) for kind in (*KINDS, "rash", "unanswered")},
        mean_per_second=round(float(every.mean()), 1),
        busiest_second=int(every.max()),
        busiest_at=int(every.argmax()),
        busiest_obedient=int((every - day.traffic.of_the_day("rash")).max()),
        throttled_obedient=int((day.traffic.of_the_day("throttled") - day.traffic.of_the_day("rash throttled")).sum()),
        throttled=int(day.traffic.of_the_day("throttled").sum()),
        rounds=len(courses),
        reached=sum(course.reached for course in courses),
        missed=[course.opened_at for course in courses if not course.reached],
        filled_seconds=(round(float(np.mean(filled)), 1), max(filled)) if filled else (0.0, 0.0),
        rash_places=round(sum(course.rash for course in courses) / max(1, sum(course.places for course in courses)), 4),
        idle_devices=int(idle.sum()),
        idle_mean=round(float(devices.sent[idle].mean()), 1),
        idle_most=int(devices.sent[idle].max()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How the rate came back after an outage, by the minute, beside the same minutes of an ordinary day.

    What an outage kept from being answered is the backlog: as many requests as would have come within it. It is reckoned as
    spread evenly over the hour that follows: devices of a large fleet come once an hour or so.
    """

    usual: list[float]
    """Requests a second in the busiest minute from five minutes before to five after: rounds open at other moments."""
    backlog: float
    """Requests a second."""
    after: list[float]
    highest: float
    """The busiest minute, as a multiple of what is usual then and the backlog."""
    first: float
    """Requests of the first quarter of an hour, as a multiple of the usual ones."""

    @property
    def holds(self) -> bool:
        """Whether the rate was back in a quarter of an hour, and never overshot."""
        return self.highest <= SWING and self.first >= 1 / SWING


def recovery(plan: DayPlan, usual: NDArray[np.int64], seen: NDArray[np.int64]) -> Recovery | None:
    """The hour after the outage; None if there was none."""
    if plan.outage is None:
        return None
    since, until = (int(at) for at in plan.outage)
    ordinary, minutes = by_minute(usual), range(until // MINUTE, until // MINUTE + 60)
    before = np.array([ordinary[at - 5 : at + 6].max() for at in minutes])
    hour = slice(minutes.start, minutes.stop)
    after = by_minute(seen)[hour]
    backlog = float(usual[since:until].sum()) / 3600
    return Recovery(
        usual=[round(float(rate), 1) for rate in before],
        backlog=round(backlog, 1),
        after=[round(float(rate), 1) for rate in after],
        highest=round(float((after / (before + backlog)).max()), 3),
        first=round(float(after[:FIRST].sum() / ordinary[hour][:FIRST].sum()), 3),
    )


def by_minute(seconds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Requests a second, averaged over each minute."""
    whole = len(seconds) // MINUTE * MINUTE
    return np.asarray(seconds[:whole].reshape(-1, MINUTE).mean(axis=1), np.float64)
