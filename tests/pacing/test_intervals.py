"""How long it is between two requests: within every bound, for every fleet."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.pacing.intervals import (
    LONGEST_SECONDS,
    LONGEST_WAIT_SECONDS,
    MONTH_SECONDS,
    STEERED,
    Intervals,
    PaceRules,
    RoundNeed,
    intervals,
    least_budget,
    least_ceiling,
    places_open,
    serves,
)
from muster.pacing.waits import WaitReason, spread, wait

DEFAULT = PaceRules()
NOON = 1_767_268_800.0

fleets = st.integers(-(10**18), 10**18) | st.integers(0, 10**6)
rules_of_any = st.builds(
    PaceRules,
    tick_seconds=st.floats(0.05, 3600.0),
    heartbeat_seconds=st.floats(0.05, 86_400.0),
    ceiling=st.floats(0.01, 1e6),
    budget=st.none() | st.floats(1.0, 1e15),
)
needs = st.builds(RoundNeed, waiting=fleets, places=st.integers(0, 10**6), seconds=st.floats(1e-3, 86_400.0))
draws = st.floats(0.0, 1.0, exclude_max=True)
heard = st.none() | st.floats(0.25, 8 * 86_400.0)


@given(rules=rules_of_any, clients=fleets, need=st.none() | needs, within=heard)
def test_every_interval_is_a_time_that_a_device_may_stay_away(
    rules: PaceRules, clients: int, need: RoundNeed | None, within: float | None
) -> None:
    found = intervals(rules, clients, need, within)
    for seconds in (found.heartbeat_seconds, found.waiting_seconds):
        assert math.isfinite(seconds)
        assert 0 < seconds <= LONGEST_SECONDS


@given(rules=rules_of_any, clients=st.integers(1, 10**9), share=st.floats(0.0, 1.0), need=needs, within=heard)
def test_a_fleet_that_can_be_served_stays_below_the_ceiling_and_within_the_budget(
    rules: PaceRules, clients: int, share: float, need: RoundNeed, within: float | None
) -> None:
    if not serves(rules, clients):
        return
    need = RoundNeed(waiting=share * clients, places=need.places, seconds=need.seconds)
    found = intervals(rules, clients, need, within)
    asked = clients / found.heartbeat_seconds + share * clients / found.waiting_seconds
    assert asked <= 0.8 * rules.ceiling * (1 + 1e-9)
    if found.meeting_seconds is not None:
        assert share * clients / found.meeting_seconds <= 0.4 * rules.ceiling * (1 + 1e-9), "not even in a meeting's seconds"
    ends = LONGEST_SECONDS in (found.heartbeat_seconds, found.waiting_seconds)
    if rules.budget is not None and not ends:
        assert asked * MONTH_SECONDS <= STEERED * rules.budget * (1 + 1e-9)


@given(rules=rules_of_any, few=st.integers(0, 10**9), more=st.integers(0, 10**9), need=needs, within=heard)
def test_a_larger_fleet_never_comes_more_often(
    rules: PaceRules, few: int, more: int, need: RoundNeed, within: float | None
) -> None:
    def of(clients: int) -> Intervals:
        waits = RoundNeed(waiting=clients, places=need.places, seconds=need.seconds)
        return intervals(rules, clients, waits, within)

    small, large = of(few), of(few + more)
    assert small.heartbeat_seconds <= large.heartbeat_seconds * (1 + 1e-9)
    assert small.waiting_seconds <= large.waiting_seconds * (1 + 1e-9)
    assert intervals(rules, few).heartbeat_seconds <= intervals(rules, few + more).heartbeat_seconds * (1 + 1e-9)


@pytest.mark.parametrize(
    ("clients", "seconds"),
    [(-5, 900), (0, 900), (150, 900), (300, 1800), (900, 5400), (10**6, 5400), (10**8, 50_000), (10**18, 57_600)],
)
def test_an_idle_fleet_beats_as_often_as_costs_nothing(clients: int, seconds: float) -> None:
    assert intervals(DEFAULT, clients).heartbeat_seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("clients", "goal", "seconds"),
    [(50, 50, 60), (97, 50, 60), (1_000, 50, 615.4), (100_000, 50, 5400), (100_000, 1_000, 3076.9), (10**6, 10_000, 3076.9)],
)
def test_a_waiting_fleet_comes_as_often_as_a_round_fills_in_time(clients: int, goal: int, seconds: float) -> None:
    need = RoundNeed(waiting=clients, places=1.3 * goal, seconds=600.0)
    assert intervals(DEFAULT, clients, need).waiting_seconds == pytest.approx(seconds, rel=1e-3)


def test_settings_that_ask_for_less_are_obeyed_by_a_small_fleet() -> None:
    quick = PaceRules(tick_seconds=0.2, heartbeat_seconds=2.0)
    found = intervals(quick, 3, RoundNeed(waiting=3, places=3, seconds=600.0))
    assert (found.heartbeat_seconds, found.waiting_seconds) == (2.0, 0.2)


def test_who_is_to_be_heard_comes_sooner_but_not_sooner_than_costs_nothing() -> None:
    assert intervals(DEFAULT, 10**6, None, 1800.0).heartbeat_seconds == 1800.0
    assert intervals(DEFAULT, 10**6, None, 1.0).heartbeat_seconds == 900.0
    assert intervals(DEFAULT, 10**7, None, 900.0).heartbeat_seconds == 5000.0, "the ceiling stands above it"
    assert intervals(DEFAULT, 100, None, 86_400.0).heartbeat_seconds == 900.0


def test_the_least_bounds_are_the_edge_of_what_serves() -> None:
    ceiling, budget = least_ceiling(10**6), least_budget(10**6)
    assert serves(PaceRules(ceiling=ceiling, budget=budget), 10**6)
    assert not serves(PaceRules(ceiling=ceiling * 0.999, budget=budget), 10**6)
    assert not serves(PaceRules(ceiling=ceiling, budget=budget * 0.999), 10**6)
    idle = intervals(PaceRules(budget=budget * 1.01), 10**6)
    assert 10**6 * MONTH_SECONDS / idle.heartbeat_seconds <= STEERED * budget * 1.01


@given(interval=st.floats(0.05, LONGEST_SECONDS), draw=draws)
def test_a_spread_wait_lies_between_half_an_interval_and_one_and_a_half(interval: float, draw: float) -> None:
    assert 0.5 * interval <= spread(interval, draw) <= min(1.5 * interval, LONGEST_WAIT_SECONDS)


@given(interval=st.floats(0.05, LONGEST_SECONDS))
def test_on_average_a_spread_wait_is_the_interval(interval: float) -> None:
    assert sum(spread(interval, (n + 0.5) / 100) for n in range(100)) / 100 == pytest.approx(interval)


MEET = Intervals(heartbeat_seconds=900.0, waiting_seconds=60.0, meeting_seconds=5.0)


@given(now=st.floats(0.0, 4e9), draw=draws, other=draws)
def test_who_comes_to_a_meeting_comes_to_the_same_next_one(now: float, draw: float, other: float) -> None:
    meeting = now + wait("between-rounds", MEET, now=now, draw=0.0)
    assert meeting / 60.0 == pytest.approx(round(meeting / 60.0), abs=1e-6)
    early, late = meeting + 5.0 * draw, meeting + 5.0 * other
    again = [at + wait("round-full", MEET, now=at, draw=drawn) for at, drawn in ((early, other), (late, draw))]
    assert all(meeting + 60.0 - 1e-5 <= at <= meeting + 65.0 + 1e-5 for at in again)


def test_two_that_ask_within_a_second_meet() -> None:
    for early in range(25):  # between two cuts: those who ask on either side of one come to meetings that follow each other
        waits = [
            at + wait("between-rounds", MEET, now=at, draw=draw) for at, draw in ((NOON + early, 0.9), (NOON + early + 1, 0.1))
        ]
        assert abs(waits[0] - waits[1]) <= 5.0


SPREAD = Intervals(heartbeat_seconds=5400.0, waiting_seconds=600.0)
REASONS: list[WaitReason] = [
    "no-training", "not-eligible", "not-drawn", "between-rounds", "round-full", "round-closed", "already-done",
]  # fmt: skip


@given(
    reason=st.sampled_from(REASONS), paces=st.builds(intervals, rules_of_any, fleets, st.none() | needs),
    now=st.floats(0.0, 4e9), draw=draws, turn=st.floats(-1e6, 1e6), opens=st.floats(-1e6, 1e9),
)  # fmt: skip
def test_every_wait_is_one_that_a_device_obeys(
    reason: WaitReason, paces: Intervals, now: float, draw: float, turn: float, opens: float
) -> None:
    seconds = wait(reason, paces, now=now, draw=draw, turn_seconds=turn, opens_seconds=opens)
    assert 0 <= seconds <= LONGEST_WAIT_SECONDS


def test_the_table_of_waits() -> None:
    for reason in REASONS:
        expected = {"no-training": 5400.0, "not-eligible": 5400.0, "not-drawn": 30.0}.get(reason, 600.0)
        assert wait(reason, SPREAD, now=NOON, draw=0.5, turn_seconds=30.0) == expected
    assert wait("not-drawn", replace(SPREAD, takes_turns=False), now=NOON, draw=0.5, turn_seconds=30.0) == 600.0, "no crowd"
    assert wait("not-drawn", SPREAD, now=NOON, draw=0.5, turn_seconds=3000.0) == 600.0, "the round may be over before"
    assert wait("already-done", SPREAD, now=NOON, draw=0.5, opens_seconds=3000.0) == 3300.0, "nobody is asked to come before"
    assert wait("round-full", SPREAD, now=NOON, draw=0.0, opens_seconds=10**9) == LONGEST_WAIT_SECONDS
    assert wait("already-done", MEET, now=NOON, draw=0.5, opens_seconds=3000.0) == 3002.5, "and together, if they meet"


@pytest.mark.parametrize(
    ("clients", "places", "turns"), [(10, 13, True), (1000, 40, True), (1000, 65, False), (10**6, 13_000, False)]
)
def test_devices_come_at_their_turn_only_where_so_few_wait_that_no_crowd_can_have_the_same(
    clients: int, places: int, turns: bool
) -> None:
    need = RoundNeed(waiting=clients, places=places, seconds=600.0)
    assert intervals(PaceRules(), clients, need).takes_turns is turns


@given(st.floats(0.001, 1e6), st.integers(0, 10**6), st.floats(-1e9, 1e9))
def test_places_open_no_faster_than_a_tenth_of_the_ceiling_and_all_in_the_end(
    ceiling: float, places: int, seconds: float
) -> None:
    rules = PaceRules(ceiling=ceiling)
    found = places_open(rules, places, seconds)
    assert 0 <= found <= min(places, 0.1 * ceiling * (1.0 + max(seconds, 0.0)) + 1)
    assert found >= min(places, 1)
    assert places_open(rules, places, seconds + 1.0) >= found
    assert places_open(rules, places, 11.0 * places / ceiling) == places
