"""A small fleet's day, as the bench of a million has it: what it counts, and what it promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.fleet.awake import DAY, LEAST, MIDDLE, MOST, Nights
from bench.fleet.day import FleetDay
from bench.fleet.fairness import FairCase, evenness, run
from bench.fleet.plans import DayPlan
from bench.fleet.reports import recovery, report
from muster.wire.admin import RoundConfig

PLAN = DayPlan(
    config=RoundConfig(goal=20, quorum=10, every_seconds=1800.0), clients=2_000, before=1800.0, seconds=5400.0, seed=1
)


def test_the_share_that_is_awake_swings_by_four() -> None:
    nights = Nights(20_000, np.random.default_rng(0))
    assert nights.share(MIDDLE) == pytest.approx(MOST, abs=0.001)
    assert nights.share(MIDDLE + DAY / 2) == pytest.approx(LEAST, abs=0.02)


def test_who_comes_while_asleep_comes_when_it_wakes() -> None:
    nights = Nights(1_000, np.random.default_rng(0))
    everybody, night = np.arange(1_000), np.full(1_000, 3 * 3600.0)
    awake = nights.awake_from(everybody, night)
    assert np.all((awake >= night) & (awake < night + DAY))
    assert np.all(nights.awake_from(everybody, awake + 1e-6) == awake + 1e-6)


def test_every_round_of_a_day_reaches_its_goal_and_every_request_is_somebodys() -> None:
    day = FleetDay(PLAN).live()
    found = report(day)
    assert (found.rounds, found.reached, found.missed) == (3, 3, [])
    assert sum(found.requests[kind] for kind in ("heartbeats", "check-ins", "work")) == day.devices.sent.sum()
    assert found.idle_most <= 100


def test_after_an_outage_the_fleet_comes_back_and_rash_devices_keep_nobody_out() -> None:
    usual = FleetDay(PLAN).live()
    plan = replace(PLAN, outage=(1200.0, 1700.0), rash=20, fresh=200, enrolling=(100.0, 400.0))
    troubled = FleetDay(plan).live()
    found = report(troubled)
    assert found.reached == 3
    assert found.requests["enrolments"] == 200
    assert found.requests["rash"] == pytest.approx(20 * 5400 / 3, rel=0.01)
    assert found.requests["too often"] / found.requests["rash"] > 0.85, "each has 30 at once, and then one now and then"
    assert found.requests["unanswered"] > 0
    assert recovery(PLAN, usual.traffic.all, usual.traffic.all) is None
    assert recovery(plan, usual.traffic.all, troubled.traffic.all) is not None


def test_a_draw_is_even_and_first_come_is_not() -> None:
    case = FairCase(lottery=False, obeys=False, over_selection=1.0, slowed=False, rounds=15, clients=200, goal=10)
    first, drawn = run(case), run(replace(case, lottery=True))
    assert sum(first.places) >= 15 * 10
    assert not evenness(first.places, 15).holds
    assert evenness(drawn.places, 15).holds
    assert evenness(first.places, 15).slowest < evenness(drawn.places, 15).slowest


def test_evenness_of_numbers_that_a_reader_can_check() -> None:
    even = evenness([2, 2, 2, 2], 4)  # half of the clients in each of four rounds
    assert (even.statistic, even.p, even.slowest, even.quickest) == (0.0, 1.0, 1.0, 1.0)
    uneven = evenness([0, 4, 0, 4], 4)  # Σ (count - 2)² = 16, n p (1 - p) = 1, three degrees of freedom
    assert uneven.statistic == pytest.approx(16 / 3)
    assert not evenness([0, 100, 0, 100], 100).holds
