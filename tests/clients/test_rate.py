"""How often a client may ask: the rule, against a bucket that anybody can check."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.clients.rate import LONGEST_SECONDS, MOST_BURST, RequestRate, TooSoon

RATE = RequestRate(burst=3, seconds=10.0)
NOW = 1_770_000_000.0
rates = st.builds(RequestRate, burst=st.integers(1, 40), seconds=st.integers(1, 60).map(float))
gaps = st.lists(st.integers(0, 90).map(float), min_size=1, max_size=60)


def served(rate: RequestRate, times: list[float]) -> list[bool]:
    arrival: float | None = None
    found = []
    for now in times:
        taken = rate.taken(arrival, now)
        found.append(not isinstance(taken, TooSoon))
        arrival = arrival if isinstance(taken, TooSoon) else taken
    return found


def bucket(rate: RequestRate, times: list[float]) -> list[bool]:
    """A bucket of tokens, full at first, into which one falls each `seconds`; counted in seconds, which are whole here."""
    level, last, found = rate.burst * rate.seconds, times[0], []
    for now in times:
        level, last = min(rate.burst * rate.seconds, level + now - last), now
        found.append(level >= rate.seconds)
        level -= rate.seconds * found[-1]
    return found


def at(gaps: list[float]) -> list[float]:
    times = [NOW]
    for gap in gaps:
        times.append(times[-1] + gap)
    return times


def test_a_burst_at_once_then_one_each_so_many_seconds() -> None:
    assert served(RATE, [NOW] * 5) == [True, True, True, False, False]
    assert served(RATE, [NOW, NOW, NOW, NOW + 9.9, NOW + 10, NOW + 10, NOW + 20]) == [True] * 3 + [False, True, False, True]
    assert RATE.taken(NOW + 30, NOW) == TooSoon(10.0)


@given(rates, gaps)
def test_it_serves_exactly_what_a_bucket_of_tokens_serves(rate: RequestRate, gaps: list[float]) -> None:
    assert served(rate, at(gaps)) == bucket(rate, at(gaps))


@given(rates, gaps)
def test_who_waits_as_long_as_it_is_told_is_served(rate: RequestRate, gaps: list[float]) -> None:
    arrival: float | None = None
    for now in at(gaps):
        taken = rate.taken(arrival, now)
        if isinstance(taken, TooSoon):
            assert 0.0 < taken.seconds <= rate.burst * rate.seconds
            taken = rate.taken(arrival, now + math.ceil(taken.seconds))
            assert not isinstance(taken, TooSoon)
        else:
            arrival = taken


@given(rates, gaps, st.floats(-1e9, 1e9))
def test_a_clock_that_jumps_keeps_nobody_out_for_longer_than_the_burst(
    rate: RequestRate, gaps: list[float], jump: float
) -> None:
    arrival: float | None = None
    for now in at(gaps):
        taken = rate.taken(arrival, now)
        arrival = arrival if isinstance(taken, TooSoon) else taken
    now = at(gaps)[-1] + jump
    taken = rate.taken(arrival, now)
    if isinstance(taken, TooSoon):
        assert taken.seconds <= rate.burst * rate.seconds
        assert not isinstance(rate.taken(arrival, now + math.ceil(taken.seconds)), TooSoon)


@given(rates, st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1e11))
def test_whatever_a_row_holds_it_is_an_answer_and_no_wait_is_longer_than_the_burst(
    rate: RequestRate, arrival: float, now: float
) -> None:
    taken = rate.taken(arrival, now)
    if isinstance(taken, TooSoon):
        assert 0.0 < taken.seconds <= rate.burst * rate.seconds
    else:
        assert now - 1e-3 <= taken <= now + rate.burst * rate.seconds + 1e-3


@given(rates, st.floats(0, 1e10), st.floats(0, 1e6))
def test_who_comes_no_faster_than_the_rate_needs_nobody_to_know_its_last_number(
    rate: RequestRate, now: float, silent: float
) -> None:
    assert rate.taken(now - silent, now) == rate.taken(None, now) == rate.fresh(now)


@pytest.mark.parametrize(
    ("burst", "seconds"),
    [(0, 10), (-1, 10), (MOST_BURST + 1, 10), (30, -1), (30, LONGEST_SECONDS + 1), (30, math.nan), (30, math.inf)],
)
def test_a_rate_that_is_none_is_refused_and_no_seconds_are_no_limit(burst: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="expected a burst of 1 to 10000 and 0 to 3600 seconds"):
        RequestRate(burst=burst, seconds=seconds)
    assert RequestRate(burst=1, seconds=0.0).is_unlimited


@given(st.floats(0.0, 1e9), st.integers(1, 100), st.floats(0.0, 3600.0))
def test_a_rate_is_slowed_and_never_quickened_and_no_limit_stays_none(seconds: float, burst: int, own: float) -> None:
    rate = RequestRate(burst=burst, seconds=own)
    slowed = rate.slowed(seconds)
    assert slowed.burst == burst
    assert own <= slowed.seconds <= max(own, min(seconds, 3600.0))
    assert (slowed.seconds == 0.0) is (own == 0.0 or (own == 0.0 and seconds == 0.0))
